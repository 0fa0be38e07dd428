"""The contract of an engine: `train(cohort, report)`."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fittingroom.specs.experiment import TrialSpec
from fittingroom.views.states import TrialPhase

Metrics = Mapping[str, float]
"""The metrics of one epoch under Keras's names."""
NO_METRICS: Mapping[str, Metrics] = MappingProxyType({})
Weights = list[NDArray[Any]]
"""Weights in the order of Keras's `model.get_weights()`."""


@dataclass(frozen=True)
class Arrays:
    """Training and validation arrays of a cohort."""

    key: str
    """Key of the arrays: equal keys mean equal arrays."""
    x: NDArray[np.float32]
    """(training rows, features)"""
    y: NDArray[Any]
    """(training rows, outputs)"""
    x_validation: NDArray[np.float32] | None
    """(validation rows, features), or None where nothing is validated."""
    y_validation: NDArray[Any] | None
    """(validation rows, outputs)"""
    weight: NDArray[np.float32] | None = None
    """(training rows,): how much each row counts in the training loss; None: 1 each."""

    def arrays(self) -> list[NDArray[Any]]:
        """Return the arrays that are not None, in order."""
        given = (self.x, self.y, self.x_validation, self.y_validation, self.weight)
        return [array for array in given if array is not None]

    @property
    def nbytes(self) -> int:
        """Size of all arrays, in bytes."""
        return sum(array.nbytes for array in self.arrays())


@dataclass(frozen=True)
class CohortTrial:
    """One trial of a cohort."""

    id: str
    spec: TrialSpec
    ended_after: int | None = None
    """Epochs after which the trial ended in an earlier attempt; None if unfinished."""
    is_pruned: bool = False
    """True if it was pruned then."""


@dataclass(frozen=True)
class Checkpoint:
    """All that an engine needs to go on after an epoch as if it had never stopped."""

    epochs: Mapping[str, int]
    """The trials that are in training, and how many epochs each has completed."""
    document: Mapping[str, Any]
    """State of the engine, as JSON."""
    arrays: Mapping[str, NDArray[Any]]
    """Arrays of the engine."""


@dataclass(frozen=True)
class Cohort:
    """Trials that differ in nothing but seed, epochs and the optimizer's numbers, and their common arrays.

    Trials that have ended stay in it: what shares a program with a trial decides the rounding of its last bit.
    """

    trials: Sequence[CohortTrial]
    arrays: Arrays
    compiler: str | None = None
    """Compiler of an earlier attempt, if any: another one would round differently."""
    checkpoint: Checkpoint | None = None
    """Checkpoint to resume from; None for the first epoch."""
    earlier: Mapping[int, Sequence[float]] = field(default_factory=dict)
    """Objectives that candidates of earlier rounds of a search had reached, by epoch: a pruner compares with them."""


class CannotTrainError(Exception):
    """The engine has no way to train this cohort; nothing was reported yet."""


class UnusableCheckpointError(Exception):
    """The checkpoint is not one of this cohort and engine; nothing was reported yet."""


@dataclass(frozen=True)
class EpochDecision:
    """Answer to an engine's report of an epoch."""

    stopped: Mapping[str, str] = field(default_factory=dict)
    """Trials that must not be trained any further, and why: those whose epochs are complete as well as those that stop
    early, and possibly trials that have not begun."""
    best: AbstractSet[str] = frozenset()
    """Trials that keep the weights of this epoch: they end with them, unless a later epoch is kept. Usually many in
    every epoch, so that keeping must cost next to nothing."""
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    """Learning rates to go on with, where they change."""
    checkpoint: bool = False
    """True to save a checkpoint, after the rest of the decision is carried out."""
    kept: AbstractSet[str] = frozenset()
    """Trials that end now and whose state is kept, so that it may be gone on from: see `Report.on_last_state`."""


class Report(Protocol):
    """Receiver of an engine's reports. Exceptions that it raises end the training and must pass through the engine."""

    def on_phase(self, phase: TrialPhase) -> None:
        """Take what the engine is about to do before the first epoch; it then trains, once `on_program` was called."""

    def on_program(self, record: Mapping[str, Any]) -> None:
        """Take what there is to know of how the cohort is trained, as JSON."""

    def on_epoch(
        self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
    ) -> EpochDecision:
        """Take the metrics of an epoch.

        Args:
            epoch: the epoch that was completed, from 1.
            metrics: by trial id; trials that did not train in this epoch are left out.
            again: the same of trials that ended in an earlier attempt, after this epoch, and were computed again.
        """

    def on_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take the checkpoint that was asked for."""

    def on_last_state(self, checkpoint: Checkpoint) -> None:
        """Take the state of trials that end now and is kept, before `on_trial_end` is called for them."""

    def on_trial_end(self, trial_id: str, weights: Callable[[], Weights]) -> None:
        """Take what a trial that was stopped has become.

        Args:
            trial_id: the trial.
            weights: gives its weights, those that were to be kept or else the last; to be called now or never.
        """


class Engine(Protocol):
    """Trains cohorts. Engines differ in speed, never in numbers."""

    name: str

    def train(self, cohort: Cohort, report: Report) -> None:
        """Train every trial of a cohort until the report says to stop it.

        Raises:
            CannotTrainError: this engine cannot; another one may.
            UnusableCheckpointError: it cannot go on from the cohort's checkpoint; without it, it may.
        """

    def continued(self, last: Checkpoint, trials: Mapping[str, str]) -> Checkpoint:
        """Return a checkpoint from which new trials go on where others have ended.

        Args:
            last: what was given to `Report.on_last_state`.
            trials: ids of the trials that have ended, by those of the new ones: a whole cohort in its order.

        Raises:
            UnusableCheckpointError: the state of one of them is not in it.
        """


def fitted(arrays: Mapping[str, NDArray[Any]], names: Sequence[str], like: Sequence[NDArray[Any]]) -> Weights:
    """Return some of a checkpoint's arrays, if they are what they must be.

    Args:
        arrays: the checkpoint's.
        names: which ones.
        like: arrays of the shapes and types that they must have.

    Raises:
        UnusableCheckpointError: one is missing, or is another.
    """
    found = []
    for name, expected in zip(names, like, strict=True):
        array = arrays.get(name)
        if array is None or array.shape != expected.shape or array.dtype != expected.dtype:
            had = "is not there" if array is None else f"is {array.dtype}{array.shape}"
            raise UnusableCheckpointError(f"{name} {had}, expected {expected.dtype}{expected.shape}")
        found.append(array)
    return found
