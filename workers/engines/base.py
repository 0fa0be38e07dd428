"""The contract of an engine: `train(cohort, report)`.

May import: numpy, the specs. Knows neither SQL nor Celery nor HTTP, nor why a trial must stop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.spec.experiment import TrialSpec

Metrics = Mapping[str, float]
"""The metrics of one epoch under Keras's names."""


@dataclass(frozen=True)
class Arrays:
    """What a cohort trains on and is validated on."""

    x: NDArray[np.float32]
    """(training rows, features)"""
    y: NDArray[Any]
    """(training rows, outputs)"""
    x_validation: NDArray[np.float32] | None
    """(validation rows, features), or None where nothing is validated."""
    y_validation: NDArray[Any] | None
    """(validation rows, outputs)"""


@dataclass(frozen=True)
class CohortTrial:
    """One trial of a cohort."""

    id: str
    spec: TrialSpec


@dataclass(frozen=True)
class Cohort:
    """Trials that differ in nothing but seed, epochs and the optimizer's numbers, and their common arrays."""

    trials: Sequence[CohortTrial]
    arrays: Arrays


class Report(Protocol):
    """What an engine calls after each epoch."""

    def __call__(self, epoch: int, metrics: Mapping[str, Metrics]) -> Mapping[str, str]:
        """Take the metrics of an epoch.

        Args:
            epoch: the epoch that was completed, from 1.
            metrics: by trial id; trials that did not train in this epoch are left out.

        Returns:
            Trials that must not be trained any further, and why: those whose epochs are complete as well as those
            that stop early, and possibly trials that have not begun.

        Any exception it raises ends the training of the cohort and must pass through the engine.
        """


class Engine(Protocol):
    """Trains cohorts. Engines differ in speed, never in numbers."""

    name: str

    def train(self, cohort: Cohort, report: Report) -> None:
        """Train every trial of a cohort until the report says to stop it."""
