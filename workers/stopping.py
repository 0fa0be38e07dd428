"""When a trial has trained enough: all epochs, no further improvement, or a loss that is no number any more.

May import: numpy, the specs, the lifecycle. Knows no engine: both are told when to stop by this.
"""

import math

import numpy as np

from models.lifecycle import StopReason
from models.spec.experiment import TrialSpec
from models.spec.fit import EarlyStopping
from models.spec.metrics import better_direction
from models.spec.search import fixed
from workers.engines.base import Metrics


class TrialWatch:
    """Watches one trial, epoch by epoch."""

    def __init__(self, spec: TrialSpec) -> None:
        """Args: spec: the trial."""
        self._epochs = fixed(spec.fit.epochs)
        self._patience = None if spec.early_stopping is None else Patience(spec.early_stopping)

    def after(self, epoch: int, metrics: Metrics) -> StopReason | None:
        """Say why the trial is to stop after this epoch (counted from 1), or None if it is to go on."""
        if not math.isfinite(metrics["loss"]):
            return StopReason.DIVERGED
        # Patience is asked in the last epoch too, so that its state is what Keras's would be.
        exhausted = self._patience is not None and self._patience.is_exhausted(epoch, metrics)
        if epoch >= self._epochs:
            return StopReason.EPOCHS
        return StopReason.EARLY_STOPPING if exhausted else None


class Patience:
    """The rule of `keras.callbacks.EarlyStopping`; a test runs the two beside each other."""

    def __init__(self, spec: EarlyStopping) -> None:
        """Args: spec: the options, under Keras's names."""
        self._monitor = spec.monitor
        self._patience = fixed(spec.patience)
        self._baseline = spec.baseline
        self._first_watched = spec.start_from_epoch + 1
        if spec.mode == "auto":
            self._less_is_better = better_direction(spec.monitor) == "minimize"
        else:
            self._less_is_better = spec.mode == "min"
        self._min_delta = -spec.min_delta if self._less_is_better else spec.min_delta
        self._best: float | None = None
        self._wait = 0

    def is_exhausted(self, epoch: int, metrics: Metrics) -> bool:
        """Take an epoch, counted from 1; True if the trial is to stop after it."""
        current = metrics[self._monitor]
        if epoch < self._first_watched:
            return False
        self._wait += 1
        if self._is_improvement(current, self._best):
            self._best = current
            if self._baseline is None or self._is_improvement(current, self._baseline):
                self._wait = 0
            return False
        return self._wait >= self._patience and epoch > 1

    def _is_improvement(self, value: float, reference: float | None) -> bool:
        if reference is None:
            return True
        # Keras compares as float32.
        with np.errstate(over="ignore"):
            moved, against = np.float32(value - self._min_delta), np.float32(reference)
        return bool(moved < against if self._less_is_better else moved > against)
