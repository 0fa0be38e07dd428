"""Learning-rate reduction after `patience` epochs without improvement."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fittingroom.specs.fit import ReduceLROnPlateau
from fittingroom.specs.search.search_space import sampled_value
from workers.engines.base import Metrics
from workers.reporting.monitor import Monitor


class Plateau:
    """The rule of `keras.callbacks.ReduceLROnPlateau`; a test runs the two beside each other.

    Attributes:
        learning_rate: of the epoch that comes next, rounded to float32 as the optimizer keeps it.
    """

    def __init__(self, spec: ReduceLROnPlateau, learning_rate: float) -> None:
        """Args: spec: the options, under Keras's names; learning_rate: of the first epoch."""
        self._monitor = Monitor(spec.monitor, spec.mode, spec.min_delta)
        self._factor, self._least = spec.factor, spec.min_lr
        self._patience, self._cooldown = sampled_value(spec.patience), spec.cooldown
        self.learning_rate = _rounded(learning_rate)
        self._best: float | None = None
        self._wait = 0
        self._cooling = 0

    def state(self) -> dict[str, Any]:
        """Return the state as JSON, for a checkpoint."""
        return {
            "learning_rate": self.learning_rate, "best": self._best, "wait": self._wait, "cooling": self._cooling,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self.learning_rate, self._best = state["learning_rate"], state["best"]
        self._wait, self._cooling = state["wait"], state["cooling"]

    def after(self, metrics: Metrics) -> None:
        """Take an epoch, and change the learning rate if it is time."""
        current = self._monitor.value(metrics)
        if self._cooling > 0:
            self._cooling -= 1
            self._wait = 0
        if self._monitor.is_improvement(current, self._best):
            self._best = current
            self._wait = 0
        elif self._cooling == 0:
            self._wait += 1
            if self._wait >= self._patience and self.learning_rate > _rounded(self._least):
                self.learning_rate = _rounded(max(self.learning_rate * self._factor, self._least))
                self._cooling = self._cooldown
                self._wait = 0


def _rounded(rate: float) -> float:
    return float(np.float32(rate))
