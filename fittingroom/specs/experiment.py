"""The experiment that a client submits, and the trial that a worker trains.

Checks that span several fields, such as whether the last layer fits the dataset, are in
`fittingroom.specs.validation.trainability`.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from fittingroom.specs.base import Bool, Int, Spec, Visible, refuse_early
from fittingroom.specs.choices import Device
from fittingroom.specs.fit import EarlyStopping, Fit, Objective, ReduceLROnPlateau
from fittingroom.specs.keras_import.document import from_keras
from fittingroom.specs.layers.any_layer import Layer
from fittingroom.specs.layers.core import Shared
from fittingroom.specs.layers.layer_spec import LayerName, LayerSpec
from fittingroom.specs.limits import (
    MAX_AXIS_LENGTH,
    MAX_LAYERS,
    MAX_METRICS,
    MAX_MODELS,
    MAX_NAME_LENGTH,
    MAX_RESHAPE_RANK,
    MAX_SEED,
    MAX_SEEDS,
    MAX_TAG_LENGTH,
    MAX_TAGS,
    MAX_TRIALS,
)
from fittingroom.specs.losses import Loss
from fittingroom.specs.metrics import Metric
from fittingroom.specs.named import expand_name
from fittingroom.specs.optimizers import Optimizer
from fittingroom.specs.search_space import search_space_kind
from fittingroom.specs.webhook import Webhook

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), Visible()]
Tag = Annotated[str, Field(min_length=1, max_length=MAX_TAG_LENGTH), Visible()]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Seed = Annotated[Int, Field(ge=0, le=MAX_SEED)]
Backend = Literal["tensorflow", "jax"]
Precision = Literal["float32", "tf32", "mixed_bfloat16"]


class DatasetReference(Spec):
    """A dataset by its name."""

    name: Name
    """A dataset's name, as `GET /v1/datasets` lists it."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the content. Default: the content that the name refers to at submit."""


class Dataset(DatasetReference):
    """Training rows."""

    rows: Annotated[Int, Field(ge=2)] | None = None
    """Number of rows to use: the first ones after a seeded shuffle. Default: all rows, in their own order."""
    standardize: Bool = False
    """Scale each feature to mean 0 and standard deviation 1, measured on the training rows only."""
    validation: Annotated[
        DatasetReference | None, BeforeValidator(expand_name, json_schema_input_type=Name | DatasetReference | None)
    ] = None
    """Another dataset used for validation, in place of `fit.validation_split`."""


InputShape = Annotated[
    list[Annotated[Int, Field(ge=1, le=MAX_AXIS_LENGTH)]], Field(min_length=1, max_length=MAX_RESHAPE_RANK)
]


class Model(Spec):
    """A network: its layers in order; the last layer is the output."""

    input_shape: InputShape | None = None
    """Input shape without the batch axis, e.g. `[28, 28, 1]`. Default: a flat vector."""
    inputs: (
        Annotated[
            dict[LayerName, InputShape],
            Field(min_length=1, max_length=MAX_LAYERS),
            refuse_early(dict[LayerName, Any], MAX_LAYERS),
        ]
        | None
    ) = None
    """Several inputs by name, with the shape of each: the numbers of a row are divided among them in this order.
    Layers take them by their `inputs`."""
    layers: list[Layer] = Field(min_length=1, max_length=MAX_LAYERS)
    """Layers in order. The input of each is the output of the one before, unless it has `inputs`."""

    _places: list[tuple[str | int, ...]] = PrivateAttr(default_factory=list)

    def place_of(self, position: int, *field: str) -> tuple[str | int, ...]:
        """Return where a layer, or a field of it, stands in the document from which the network was read."""
        if self._places:
            return (*self._places[position], "config", *field) if field else self._places[position]
        return ("layers", position, *field)

    def parts(self) -> Iterator[LayerSpec]:
        """Yield all layers, those within others included."""
        for layer in self.layers:
            yield from layer.parts()

    @model_validator(mode="after")
    def _one_of_shape_and_inputs(self) -> Self:
        if self.input_shape is not None and self.inputs is not None:
            raise ValueError("give either 'input_shape' (one input) or 'inputs' (several, by name)")
        if self.inputs is not None and (kind := search_space_kind(self.inputs)) is not None:
            raise ValueError(f"an input cannot be called {kind!r}, as a search space is")
        return self

    @property
    def only_fit_trains(self) -> str | None:
        """Reason why the network trains by Keras's `fit` alone, or None."""
        if not all(layer.is_pure for layer in self.parts()):
            return "a layer changes its own weights, which only Keras's fit trains"
        again = {layer.layer for layer in self.layers if isinstance(layer, Shared)}
        called = [part for layer in self.layers if layer.name in again for part in layer.parts()]
        if any(part.regularizes_activity or not part.keeps_rows_apart for part in called):
            return "a layer that is called again has state or a penalty of its outputs, which only Keras's fit adds up"
        return None


class KerasModel(Spec):
    """A network as Keras 3 writes it with `model.to_json()`: Sequential or Functional, of supported layers.

    It is stored and shown as `layers`.
    """

    keras: dict[str, Any] | str
    """The JSON document, as an object or as a string."""


def _read_model(value: Any, handler: ValidatorFunctionWrapHandler) -> Model:  # noqa: ANN401 - JSON
    document, places = from_keras(value)
    model: Model = handler(document)
    if places:
        model._places = places  # noqa: SLF001 - of the same module
    return model


AnyModel = Annotated[Model, WrapValidator(_read_model, json_schema_input_type=Model | KerasModel)]


class GridSampler(Spec):
    """Grid search: every combination of the choices."""

    name: Literal["grid"]


class RandomSampler(Spec):
    """Random search: combinations drawn at random, reproducible by seed."""

    name: Literal["random"]
    trials: Annotated[Int, Field(ge=1, le=MAX_TRIALS)]
    """Number of combinations per model."""
    seed: Seed = 0
    """Random seed of the sampler."""


Sampler = Annotated[GridSampler | RandomSampler, Field(discriminator="name")]


class _Training(Spec):
    """Fields shared by an experiment and its trials."""

    dataset: Annotated[Dataset, BeforeValidator(expand_name, json_schema_input_type=Name | Dataset)]
    """Training data: a dataset's name, or an object with `name` and options."""
    optimizer: Optimizer
    """Optimizer: a Keras name, or an object with `name` and hyperparameters."""
    loss: Loss
    """Loss function: a Keras name, or an object with `name` and options."""
    metrics: list[Metric] = Field(default=[], max_length=MAX_METRICS)
    """Metrics recorded after each epoch, beside the loss."""
    fit: Fit = Fit()
    """Arguments of `model.fit`: epochs, batch size, validation split and others."""
    early_stopping: EarlyStopping | None = None
    """Early stopping, as `keras.callbacks.EarlyStopping`. Default: none."""
    reduce_lr_on_plateau: ReduceLROnPlateau | None = None
    """Learning-rate reduction, as `keras.callbacks.ReduceLROnPlateau`. Default: none. The history then has
    `learning_rate`."""
    precision: Precision = "float32"
    """Numeric precision: `float32`; `tf32`, which rounds factors of matrix products to 10 bits on GPUs that support it;
    or `mixed_bfloat16`, Keras's policy of that name: computation in bfloat16, weights in float32."""

    @property
    def is_validated(self) -> bool:
        """True if there are validation rows."""
        return self.fit.validation_split > 0 or self.dataset.validation is not None

    @field_validator("metrics")
    @classmethod
    def _no_metric_twice(cls, metrics: list[Metric]) -> list[Metric]:
        names = [metric.name for metric in metrics]
        if len(set(names)) < len(names):
            raise ValueError(f"duplicate metric in {names}; list each once")
        return metrics


class ExperimentSpec(_Training):
    """An experiment: one document, expanded into trials.

    A search space such as `{"choice": [0.1, 0.01]}` may stand in place of most numbers, names and flags of layers,
    optimizer, loss, `fit` and callbacks.
    """

    name: Name
    """Display name."""
    tags: list[Tag] = Field(default=[], max_length=MAX_TAGS)
    """Labels to filter experiments by."""
    model: AnyModel | None = None
    """The network. Give either `model` or `models`."""
    models: (
        Annotated[
            dict[ModelName, AnyModel],
            Field(min_length=1, max_length=MAX_MODELS),
            refuse_early(dict[ModelName, Any], MAX_MODELS),
        ]
        | None
    ) = None
    """Several networks to compare, by name. Give either `model` or `models`."""
    seeds: list[Seed] = Field(default=[0], min_length=1, max_length=MAX_SEEDS)
    """Random seeds. Every trial is repeated for each; equal seeds give equal initial weights and batches."""
    sampler: Sampler = GridSampler(name="grid")
    """Search algorithm: `grid` or `random`."""
    objective: Objective | None = None
    """Metric by which trials are compared. Default: `val_loss`, or `loss` without validation."""
    device: Device = "any"
    """Device to train on: `any`, `cpu` or `gpu`."""
    backend: Backend | None = None
    """Keras backend. Histories differ between backends: the same seed gives other initial weights. Default: the
    backend of the first worker; all trials of the experiment then use it."""
    webhook: Webhook | None = None
    """Webhook called when the experiment has ended. Default: none."""

    def public_dump(self) -> dict[str, Any]:
        """Return the submitted document as it is stored and shown: without the webhook, which has a secret."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={"webhook"})

    def to_document(self) -> dict[str, Any]:
        """Return the document as a client sends it: what was given, the secret of a webhook included."""
        if self.webhook is None:
            return self.public_dump()
        return self.public_dump() | {
            "webhook": {"url": self.webhook.url, "secret": self.webhook.secret.get_secret_value()}
        }

    @field_validator("seeds", "tags")
    @classmethod
    def _no_repeats(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) < len(values):
            raise ValueError(f"duplicate value in {values}; list each once")
        return values

    @model_validator(mode="after")
    def _one_of_model_and_models(self) -> Self:
        if (self.model is None) == (self.models is None):
            found = "neither" if self.model is None else "both"
            raise PydanticCustomError(
                "model_or_models",
                "give either 'model' (one network) or 'models' (several, by name); found {found}",
                {"found": found},
            )
        return self


class TrialSpec(_Training):
    """One trial as a worker trains it: one network, no search space left, one seed, an objective with a direction."""

    model: Model
    """The network."""
    seed: Seed
    """Seed of weight initialisation and batch shuffling."""
    objective: Objective
    """Metric that selects the best epoch."""
