"""Early stopping: no improvement for `patience` epochs."""

from collections.abc import Mapping
from typing import Any

from fittingroom.specs.fit import EarlyStopping
from fittingroom.specs.search.search_space import sampled_value
from workers.engines.base import Metrics
from workers.reporting.monitor import Monitor


class Patience:
    """The rule of `keras.callbacks.EarlyStopping`; a test runs the two beside each other.

    Attributes:
        is_best: whether the epoch taken last is the one whose weights `restore_best_weights` would restore.
    """

    def __init__(self, spec: EarlyStopping) -> None:
        """Args: spec: the options, under Keras's names."""
        self._monitor = Monitor(spec.monitor, spec.mode, spec.min_delta)
        self._patience = sampled_value(spec.patience)
        self._baseline = spec.baseline
        self._first_watched = spec.start_from_epoch + 1
        self._best: float | None = None
        self._wait = 0
        self.is_best = False

    def state(self) -> dict[str, Any]:
        """Return the state as JSON, for a checkpoint."""
        return {"best": self._best, "wait": self._wait}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self._best, self._wait = state["best"], state["wait"]

    def is_exhausted(self, epoch: int, metrics: Metrics) -> bool:
        """Take an epoch, counted from 1; True if the trial is to stop after it."""
        current = self._monitor.value(metrics)
        self.is_best = False
        if epoch < self._first_watched:
            return False
        self._wait += 1
        if self._monitor.is_improvement(current, self._best):
            self._best, self.is_best = current, True
            if self._baseline is None or self._monitor.is_improvement(current, self._baseline):
                self._wait = 0
            return False
        return self._wait >= self._patience and epoch > 1
