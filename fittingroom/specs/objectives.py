"""Values of an objective: which way they improve, which is better, and their mean over the trials of a candidate."""

import math
from collections.abc import Sequence

from fittingroom.specs.choices import Direction
from fittingroom.specs.metrics import MetricSpec
from fittingroom.specs.named import kinds, name_of

_MAXIMIZED = frozenset(name_of(metric) for metric in kinds(MetricSpec) if metric.is_maximized)


def better_direction(recorded: str) -> Direction:
    """Return the direction in which a metric improves, by its name in a history: perhaps of one output, or `val_`."""
    is_maximized = any(recorded == name or recorded.endswith(f"_{name}") for name in _MAXIMIZED)
    return "maximize" if is_maximized else "minimize"


def mean_objective(values: Sequence[float | None], direction: Direction) -> float:
    """Return the mean over the seeds of a candidate; infinitely bad where one of them has no number."""
    worst = math.inf if direction == "minimize" else -math.inf
    numbers = [worst if value is None else value for value in values]
    return worst if worst in numbers else math.fsum(numbers) / len(numbers)


def is_better(value: float, best: float | None, direction: Direction) -> bool:
    """Return True if a value is better than the best so far; NaN never is."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    return value < best if direction == "minimize" else value > best
