"""Monitor of a metric's improvement, as Keras's `MonitorCallback`."""

from typing import Literal

import numpy as np

from fittingroom.specs.objectives import better_direction
from workers.engines.base import Metrics


class Monitor:
    """Watches one metric."""

    def __init__(self, metric: str, mode: Literal["auto", "min", "max"], min_delta: float) -> None:
        """Args: the metric's name, its direction (`auto`: inferred from the name), the minimum change."""
        self._metric = metric
        self._less_is_better = better_direction(metric) == "minimize" if mode == "auto" else mode == "min"
        self._min_delta = -min_delta if self._less_is_better else min_delta

    def value(self, metrics: Metrics) -> float:
        """Return the monitored metric of an epoch."""
        return metrics[self._metric]

    def is_improvement(self, value: float, reference: float | None) -> bool:
        """Return True if a value is better than another, or there is no other."""
        if reference is None:
            return True
        # Keras compares as float32.
        with np.errstate(over="ignore"):
            moved, against = np.float32(value - self._min_delta), np.float32(reference)
        return bool(moved < against if self._less_is_better else moved > against)
