"""How a network is trained: epochs and batches, when to stop early, and what counts as better."""

from typing import Annotated, Literal

from pydantic import Field

from fittingroom.specs.base import Bool, Int, Real, Spec, Visible, refuse_early
from fittingroom.specs.choices import Direction
from fittingroom.specs.limits import MAX_BATCH_SIZE, MAX_CLASSES, MAX_EPOCHS, MAX_NAME_LENGTH, MAX_TIME_LIMIT_SECONDS
from fittingroom.specs.search_space import SearchableInt, SearchableName

ClassNumber = Annotated[str, Field(pattern="^(0|[1-9][0-9]{0,4})$")]
_ClassWeights = dict[ClassNumber, Annotated[Real, Field(ge=0, le=1e6)]]
MetricName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), Visible()]


class Fit(Spec):
    """The arguments of `model.fit`, and how long it may take."""

    epochs: SearchableInt[Annotated[Int, Field(ge=1, le=MAX_EPOCHS)]] = 1
    """How many times the training rows are passed."""
    batch_size: SearchableInt[Annotated[Int, Field(ge=1, le=MAX_BATCH_SIZE)]] = 32
    """How many rows make one step of the optimizer."""
    validation_split: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    """The part of the rows, taken from the end, that is kept for validation."""
    shuffle: SearchableName[Bool] = True
    """Whether each epoch sees the training rows in another order, drawn from the seed."""
    class_weight: (
        Annotated[_ClassWeights, Field(min_length=1, max_length=MAX_CLASSES), refuse_early(_ClassWeights, MAX_CLASSES)]
        | None
    ) = None
    """How much each class counts in the training loss, by its number: `{"0": 1, "1": 5}`; by default 1 each."""
    time_limit_seconds: Annotated[Real, Field(gt=0, le=MAX_TIME_LIMIT_SECONDS)] | None = None
    """A trial ends with the epoch in which it has trained for so long; by default never. Waiting does not count."""


class EarlyStopping(Spec):
    """Ends a trial when a metric has ceased to improve (`keras.callbacks.EarlyStopping`)."""

    monitor: MetricName = "val_loss"
    """The metric to watch."""
    min_delta: Annotated[Real, Field(ge=0, le=1e6)] = 0.0
    """The least change that counts as an improvement."""
    patience: SearchableInt[Annotated[Int, Field(ge=0, le=MAX_EPOCHS)]] = 0
    """How many epochs without improvement are borne."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether less or more is better; `auto` knows by the metric's name."""
    baseline: Real | None = None
    """A value the metric must beat for the patience to start anew."""
    restore_best_weights: Bool = False
    """Whether the trial ends with the weights of its best epoch in place of its last."""
    start_from_epoch: Annotated[Int, Field(ge=0, le=MAX_EPOCHS)] = 0
    """How many epochs pass before watching begins."""


class ReduceLROnPlateau(Spec):
    """Lowers the learning rate when a metric has ceased to improve (`keras.callbacks.ReduceLROnPlateau`)."""

    monitor: MetricName = "val_loss"
    """The metric to watch."""
    factor: Annotated[Real, Field(gt=0, lt=1)] = 0.1
    """What the learning rate is multiplied by."""
    patience: SearchableInt[Annotated[Int, Field(ge=0, le=MAX_EPOCHS)]] = 10
    """How many epochs without improvement are borne."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether less or more is better; `auto` knows by the metric's name."""
    min_delta: Annotated[Real, Field(ge=0, le=1e6)] = 1e-4
    """The least change that counts as an improvement."""
    cooldown: Annotated[Int, Field(ge=0, le=MAX_EPOCHS)] = 0
    """How many epochs pass after a reduction before watching goes on."""
    min_lr: Annotated[Real, Field(ge=0, le=1e6)] = 0.0
    """The learning rate is not made smaller than this."""


class Objective(Spec):
    """What trials are compared by: the best epoch of each, in this metric."""

    metric: MetricName
    """`loss`, `accuracy`, `val_loss`, …: a metric that the trials record."""
    direction: Direction | None = None
    """`minimize` or `maximize`; by default the one that fits the metric."""
