"""The experiment that a client submits, and the trial that a worker trains.

Checks that span several fields, such as whether the last layer fits the dataset, are in
`fittingroom.specs.validation.trainability`.
"""

import itertools
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fittingroom.specs.base import Bool, Int, Spec, Visible, refuse_early
from fittingroom.specs.choices import Device
from fittingroom.specs.fit import EarlyStopping, Fit, Objective, ReduceLROnPlateau
from fittingroom.specs.heads import Head, LossOfEach, LossWeights, MetricsOfEach, heads_of, refuse_other_outputs
from fittingroom.specs.limits import (
    MAX_FOLDS,
    MAX_MODELS,
    MAX_NAME_LENGTH,
    MAX_SEEDS,
    MAX_TAG_LENGTH,
    MAX_TAGS,
)
from fittingroom.specs.losses import Loss
from fittingroom.specs.model import Model
from fittingroom.specs.model_space import AnyModel
from fittingroom.specs.named import expand_name
from fittingroom.specs.optimizers import Optimizer
from fittingroom.specs.search.pruners import Pruner
from fittingroom.specs.search.samplers import Confirm, GridSampler, Sampler, Seed
from fittingroom.specs.search.search_space import Choice
from fittingroom.specs.search.searchable import SearchableDocument
from fittingroom.specs.webhook import Webhook

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), Visible()]
Tag = Annotated[str, Field(min_length=1, max_length=MAX_TAG_LENGTH), Visible()]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Backend = Literal["tensorflow", "jax"]
Precision = Literal["float32", "tf32", "mixed_bfloat16"]


class DatasetReference(Spec):
    """A dataset by its name."""

    name: Name
    """A dataset's name, as `GET /v1/datasets` lists it."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 of the content. Default: the content that the name refers to at submit."""


class EvaluateBody(Spec):
    """Rows to measure a trained network on."""

    dataset: Annotated[
        DatasetReference | None, BeforeValidator(expand_name, json_schema_input_type=Name | DatasetReference | None)
    ] = None
    """A dataset with the same columns: its name, or an object with `name` and `sha256`. Default: the rows that
    `fit.test_split` set aside."""


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


class _Training(Spec):
    """Fields shared by an experiment and its trials."""

    dataset: Annotated[Dataset, BeforeValidator(expand_name, json_schema_input_type=Name | Dataset)]
    """Training data: a dataset's name, or an object with `name` and options."""
    optimizer: Optimizer
    """Optimizer: a Keras name, or an object with `name` and hyperparameters."""
    loss: LossOfEach
    """Loss function: a Keras name, or an object with `name` and options. Of a network with several `outputs`, an
    object with the loss of each by name."""
    loss_weights: LossWeights | None = None
    """Factor of each output's loss in the sum that is minimized, by name. Default: 1 each."""
    metrics: MetricsOfEach = Field(default=[])
    """Metrics recorded after each epoch, beside the loss. Of a network with several `outputs`, an object with the
    metrics of some or each, by name."""
    fit: Fit = Fit()
    """Arguments of `model.fit`: epochs, batch size, validation split and others."""
    early_stopping: EarlyStopping | None = None
    """Early stopping, as `keras.callbacks.EarlyStopping`. Default: none."""
    reduce_lr_on_plateau: ReduceLROnPlateau | None = None
    """Learning-rate reduction, as `keras.callbacks.ReduceLROnPlateau`. Default: none. The history then has
    `learning_rate`."""
    pruner: Pruner | None = None
    """Pruner: stops the worse trials early. Default: none. Compared are trials that train side by side, as they
    differ in numbers of the optimizer and in seeds alone, and in a search in rounds those of earlier rounds."""
    precision: Precision = "float32"
    """Numeric precision: `float32`; `tf32`, which rounds factors of matrix products to 10 bits on GPUs that support it;
    or `mixed_bfloat16`, Keras's policy of that name: computation in bfloat16, weights in float32."""

    @property
    def is_validated(self) -> bool:
        """True if there are validation rows."""
        return self.fit.validation_split > 0 or self.fit.folds is not None or self.dataset.validation is not None

    @property
    def heads(self) -> list[Head]:
        """Outputs with what each is trained on, in the order of `loss`; one without a name if there is one."""
        return heads_of(self.loss, self.loss_weights, self.metrics)

    @model_validator(mode="after")
    def _of_the_same_outputs(self) -> Self:
        refuse_other_outputs(self.loss, self.loss_weights, self.metrics)
        return self


class ExperimentSpec(_Training):
    """An experiment: one document, expanded into trials.

    A search space such as `{"choice": [0.1, 0.01]}` may stand in place of most numbers, names and flags of layers,
    optimizer, loss, `fit` and callbacks.
    """

    model_config = ConfigDict(defer_build=False)

    name: Name
    """Display name."""
    tags: list[Tag] = Field(default=[], max_length=MAX_TAGS)
    """Labels to filter experiments by."""
    model: AnyModel | None = None
    """The network. Give either `model` or `models`."""
    optimizer: SearchableDocument[Optimizer, Optimizer]  # type: ignore[assignment]
    """Optimizer: a Keras name, an object with `name` and hyperparameters, or a choice of such."""
    loss: SearchableDocument[LossOfEach, Loss]  # type: ignore[assignment]
    """Loss function: a Keras name, an object with `name` and options, or a choice of such. Of a network with several
    `outputs`, an object with the loss of each by name."""
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
    """Search algorithm: `grid` trains all combinations, and is the default; `random` and `quasi_random` draw some;
    `gp`, `tpe` and `cma_es` learn from results, in rounds; `leaders` trains the best of an earlier experiment again."""
    confirm: Confirm | None = None
    """Further seeds for the best candidates, once the others have ended. Default: none."""
    objective: Objective | None = None
    """Metric by which trials are compared. Default: `val_loss`, or `loss` without validation."""
    device: Device = "any"
    """Device to train on: `any`, `cpu` or `gpu`."""
    backend: Backend | None = None
    """Keras backend. Histories differ between backends: the same seed gives other initial weights. Default: the
    backend of the first worker; all trials of the experiment then use it."""
    webhook: Webhook | None = None
    """Webhook called when the experiment has ended. Default: none."""

    @property
    def heads(self) -> list[Head]:
        """Outputs with what each is trained on, in the order of `loss`; with the first one of a choice of losses."""
        return self.by_loss()[0].heads if isinstance(self.loss, Choice) else super().heads

    def by_loss(self) -> list[Self]:
        """Return the experiment with each of its losses in turn."""
        losses = self.loss.choice if isinstance(self.loss, Choice) else [self.loss]
        return [self.model_copy(update={"loss": loss}) for loss in losses]

    @property
    def repeats(self) -> list[tuple[int, int | None]]:
        """Seed and fold of each trial of a candidate."""
        return self.repeats_of(self.seeds)

    def repeats_of(self, seeds: Iterable[int]) -> list[tuple[int, int | None]]:
        """Return the trials of a candidate with other seeds, each with its fold, counted from 1; None without folds."""
        folds = [None] if self.fit.folds is None else range(1, self.fit.folds + 1)
        return list(itertools.product(seeds, folds))

    @property
    def optimizers(self) -> list[Optimizer]:
        """The optimizers to choose from, or the one that there is."""
        return self.optimizer.choice if isinstance(self.optimizer, Choice) else [self.optimizer]

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
    fold: Annotated[Int, Field(ge=1, le=MAX_FOLDS)] | None = None
    """Fold whose rows are for validation, from 1; null without folds."""
    objective: Objective
    """Metric that selects the best epoch."""

    @property
    def heads(self) -> list[Head]:
        """Outputs with what each is trained on, in the order of the network's outputs."""
        heads = super().heads
        by_output = {head.output: head for head in heads}
        return heads if self.model.outputs is None else [by_output[name] for name in self.model.outputs]
