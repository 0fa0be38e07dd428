"""The experiment that a client submits, and the trial that a worker trains.

What no single field can tell, such as whether the last layer fits the dataset, is judged in
`fittingroom.specs.validation.trainability`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fittingroom.specs.base import Bool, Int, Spec, Visible, refuse_early
from fittingroom.specs.choices import Device
from fittingroom.specs.fit import EarlyStopping, Fit, Objective, ReduceLROnPlateau
from fittingroom.specs.keras_import.document import from_keras
from fittingroom.specs.layers import Layer
from fittingroom.specs.limits import (
    MAX_AXIS_LENGTH,
    MAX_LAYERS,
    MAX_METRICS,
    MAX_MODELS,
    MAX_NAME_LENGTH,
    MAX_SEED,
    MAX_SEEDS,
    MAX_TAG_LENGTH,
    MAX_TAGS,
    MAX_TRIALS,
)
from fittingroom.specs.losses import Loss
from fittingroom.specs.metrics import Metric
from fittingroom.specs.named import named
from fittingroom.specs.optimizers import Optimizer
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
    """The content that is meant; by default what the name stands for when the experiment is submitted."""


class Dataset(DatasetReference):
    """Which rows are trained on."""

    rows: Annotated[Int, Field(ge=2)] | None = None
    """Take only so many rows, the first after a seeded shuffle; by default all, in their own order."""
    standardize: Bool = False
    """Give each feature mean 0 and deviation 1, measured on the training rows only."""
    validation: Annotated[
        DatasetReference | None, BeforeValidator(named, json_schema_input_type=Name | DatasetReference | None)
    ] = None
    """Another dataset, all of whose rows are for validation, in the place of `fit.validation_split`."""


InputShape = Annotated[list[Annotated[Int, Field(ge=1, le=MAX_AXIS_LENGTH)]], Field(min_length=1, max_length=4)]


class Model(Spec):
    """A network: its layers, first to last; the last one is its output."""

    input_shape: InputShape | None = None
    """The shape in which the numbers of a row are laid out for the first layer; by default they are in a line."""
    layers: list[Layer] = Field(min_length=1, max_length=MAX_LAYERS)
    """The layers, first to last. Each takes what the one before it gives, unless it says otherwise."""


class KerasModel(Spec):
    """A network as `model.to_json()` of Keras 3 gives it: Sequential or Functional, of layers that are known here.

    It is translated into layers, and shown as these from then on.
    """

    keras: dict[str, Any] | str
    """The JSON, as an object or as the text it came in."""


AnyModel = Annotated[Model, BeforeValidator(from_keras, json_schema_input_type=Model | KerasModel)]


class GridSampler(Spec):
    """Every combination of the choices."""

    name: Literal["grid"]


class RandomSampler(Spec):
    """Combinations drawn at random, the same ones for the same seed."""

    name: Literal["random"]
    trials: Annotated[Int, Field(ge=1, le=MAX_TRIALS)]
    """How many combinations are drawn for each model."""
    seed: Seed = 0
    """Where the drawing starts."""


Sampler = Annotated[GridSampler | RandomSampler, Field(discriminator="name")]


class _Training(Spec):
    """What an experiment and each of its trials have in common."""

    dataset: Dataset
    """Which rows are trained on."""
    optimizer: Optimizer
    """How the weights are moved: a name, or a document with a name and its hyperparameters."""
    loss: Loss
    """What is made small: a name, or a document with a name and its options."""
    metrics: list[Metric] = Field(default=[], max_length=MAX_METRICS)
    """What is recorded beside the loss after each epoch."""
    fit: Fit = Fit()
    """Epochs, batch size, validation."""
    early_stopping: EarlyStopping | None = None
    """When to end a trial early; by default never."""
    reduce_lr_on_plateau: ReduceLROnPlateau | None = None
    """When to lower the learning rate; by default never. The history then has it as `learning_rate`."""
    precision: Precision = "float32"
    """How precisely to multiply: `float32`; `tf32`, which multiplies matrices rounded to 10 bits on a GPU that has it;
    or `mixed_bfloat16`, Keras's policy of that name, whose layers compute in bfloat16 while weights stay float32."""

    @property
    def is_validated(self) -> bool:
        """Whether there are rows for validation."""
        return self.fit.validation_split > 0 or self.dataset.validation is not None

    @field_validator("metrics")
    @classmethod
    def _no_metric_twice(cls, metrics: list[Metric]) -> list[Metric]:
        names = [metric.name for metric in metrics]
        if len(set(names)) < len(names):
            raise ValueError(f"a metric stands twice in {names}; each name can be recorded once")
        return metrics


class ExperimentSpec(_Training):
    """An experiment: one document, expanded into trials.

    A search space such as `{"choice": [0.1, 0.01]}` may stand wherever a number or a name stands in the optimizer,
    in `fit` or in a layer.
    """

    name: Name
    """What people call it."""
    tags: list[Tag] = Field(default=[], max_length=MAX_TAGS)
    """Words to find it by."""
    model: AnyModel | None = None
    """The network; give this or `models`."""
    models: (
        Annotated[
            dict[ModelName, AnyModel],
            Field(min_length=1, max_length=MAX_MODELS),
            refuse_early(dict[ModelName, Any], MAX_MODELS),
        ]
        | None
    ) = None
    """Several networks by name, to be compared; give this or `model`."""
    seeds: list[Seed] = Field(default=[0], min_length=1, max_length=MAX_SEEDS)
    """Every trial is repeated for each seed; the same seed means the same first weights and the same batches."""
    sampler: Sampler = GridSampler(name="grid")
    """How values are taken from the search spaces."""
    objective: Objective | None = None
    """What trials are compared by; by default `val_loss`, or `loss` where nothing is validated."""
    device: Device = "any"
    """Where to train: `any`, `cpu` or `gpu`."""
    backend: Backend | None = None
    """Which of Keras's backends to train with, as histories differ between them: other first weights for the same
    seed. By default that of the worker that begins; all trials then stay with it."""
    webhook: Webhook | None = None
    """Who is told when the experiment has ended; by default nobody."""

    def shown(self) -> dict[str, Any]:
        """What was submitted, as it is stored and shown: without the webhook, which has a secret."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={"webhook"})

    def to_document(self) -> dict[str, Any]:
        """Return the document as a client sends it: what was given, the secret of a webhook included."""
        if self.webhook is None:
            return self.shown()
        return self.shown() | {"webhook": {"url": self.webhook.url, "secret": self.webhook.secret.get_secret_value()}}

    @field_validator("seeds", "tags")
    @classmethod
    def _no_repeats(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) < len(values):
            raise ValueError(f"a value stands twice in {values}; name each once")
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
    """Where first weights and batch order come from."""
    objective: Objective
    """What the best epoch is chosen by."""
