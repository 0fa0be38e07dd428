"""Training options: epochs and batches, early stopping, learning-rate reduction, objective."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from fittingroom.specs.base import Bool, Int, Real, Spec, Visible, refuse_early
from fittingroom.specs.choices import Direction
from fittingroom.specs.limits import (
    MAX_BATCH_SIZE,
    MAX_CLASSES,
    MAX_EPOCHS,
    MAX_FOLDS,
    MAX_NAME_LENGTH,
    MAX_TIME_LIMIT_SECONDS,
)
from fittingroom.specs.search.searchable import SearchableInt, SearchableName

_ClassName = Annotated[str, Field(min_length=1, max_length=200), Visible()]
_Weights = dict[_ClassName, Annotated[Real, Field(ge=0, le=1e6)]]
# Tags stand in the paths of faults, which leave out what is no key of the client's: so none may be called like one.
ClassWeight = Annotated[
    Annotated[
        _Weights, Field(min_length=1, max_length=MAX_CLASSES), refuse_early(_Weights, MAX_CLASSES), Tag("\0by class")
    ]
    | Annotated[Literal["balanced"], Tag("\0balanced")],
    Discriminator(lambda given: "\0balanced" if isinstance(given, str) else "\0by class"),
]
MetricName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), Visible()]


Split = Literal["last", "shuffled", "stratified", "group"]


class Fit(Spec):
    """Arguments of `model.fit`, a time limit, and whether checkpoints are kept."""

    epochs: SearchableInt[Annotated[Int, Field(ge=1, le=MAX_EPOCHS)]] = 1
    """Number of epochs."""
    batch_size: SearchableInt[Annotated[Int, Field(ge=1, le=MAX_BATCH_SIZE)]] = 32
    """Number of rows per optimizer step."""
    validation_split: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    """Fraction of the rows used for validation: the last ones, unless `split` says otherwise."""
    test_split: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    """Fraction of the rows that is set aside before all others are split, by `split` too: neither trained nor validated
    on, and seen by no search. `POST /v1/trials/{id}/evaluate` measures a trained network on them."""
    folds: Annotated[Int, Field(ge=2, le=MAX_FOLDS)] | None = None
    """Number of folds of cross-validation, in place of `validation_split`: every trial is repeated for each, with
    another part of the rows for validation. Default: none."""
    split: Split = "last"
    """Choice of the validation and test rows: `last`, as in Keras; `shuffled`, at random; `stratified`, at random with
    the same fraction of each class; or `group`, whole groups at random, about as many rows: those that share a value of
    the dataset's group column stay together. It is the same for all candidates and seeds. Folds that are `last` are
    consecutive parts."""
    shuffle: SearchableName[Bool] = True
    """True to shuffle the training rows before each epoch, by the seed."""
    class_weight: ClassWeight | None = None
    """Weight of each class in the training loss: `{"died": 1, "survived": 5}`, or by class number where names are no
    numbers; or `balanced`: in inverse proportion to its training rows, as scikit-learn does. Default: 1 each."""
    delete_checkpoint: Bool = True
    """False to keep the state of a trial that completes its epochs, optimizer included: an extension of the experiment
    then goes on from its last epoch. It counts towards the storage quota. Named as in
    `keras.callbacks.BackupAndRestore`."""
    time_limit_seconds: Annotated[Real, Field(gt=0, le=MAX_TIME_LIMIT_SECONDS)] | None = None
    """Time limit per trial, in seconds of training without waiting; the trial ends with the epoch in which it is
    exceeded. Default: none."""


class EarlyStopping(Spec):
    """Stops a trial when a metric has stopped improving (`keras.callbacks.EarlyStopping`)."""

    monitor: MetricName = "val_loss"
    """Metric to monitor."""
    min_delta: Annotated[Real, Field(ge=0, le=1e6)] = 0.0
    """Minimum change that counts as an improvement."""
    patience: SearchableInt[Annotated[Int, Field(ge=0, le=MAX_EPOCHS)]] = 0
    """Number of epochs without improvement after which training stops."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Direction of improvement; `auto` infers it from the metric's name."""
    baseline: Real | None = None
    """Baseline: patience is reset only by values better than this."""
    restore_best_weights: Bool = False
    """True to end with the weights of the best epoch instead of the last."""
    start_from_epoch: Annotated[Int, Field(ge=0, le=MAX_EPOCHS)] = 0
    """Number of epochs before monitoring starts."""


class ReduceLROnPlateau(Spec):
    """Reduces the learning rate when a metric has stopped improving (`keras.callbacks.ReduceLROnPlateau`)."""

    monitor: MetricName = "val_loss"
    """Metric to monitor."""
    factor: Annotated[Real, Field(gt=0, lt=1)] = 0.1
    """Factor by which the learning rate is multiplied."""
    patience: SearchableInt[Annotated[Int, Field(ge=0, le=MAX_EPOCHS)]] = 10
    """Number of epochs without improvement after which the learning rate is reduced."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Direction of improvement; `auto` infers it from the metric's name."""
    min_delta: Annotated[Real, Field(ge=0, le=1e6)] = 1e-4
    """Minimum change that counts as an improvement."""
    cooldown: Annotated[Int, Field(ge=0, le=MAX_EPOCHS)] = 0
    """Number of epochs after a reduction before monitoring resumes."""
    min_lr: Annotated[Real, Field(ge=0, le=1e6)] = 0.0
    """Lower bound of the learning rate."""


class Objective(Spec):
    """Metric and direction by which trials are compared, at the best epoch of each."""

    metric: MetricName
    """Name of a recorded metric: `loss`, `accuracy`, `val_loss`, …"""
    direction: Direction | None = None
    """`minimize` or `maximize`. Default: inferred from the metric."""
