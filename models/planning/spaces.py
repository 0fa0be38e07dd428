"""Search spaces by arithmetic: number of values, values at coordinates from 0 to below 1."""

import math
from decimal import Decimal
from typing import Any

from models.planning.paths import Value


def count_values(space: dict[str, Any]) -> int | float:
    """Return how many values a space has; infinite for a continuous range."""
    if "choice" in space:
        return len(space["choice"])
    if "int_log_uniform" in space:
        low, high = _range(space)
        return int(1 + high - low)
    step = space.get("step") or (1 if "int_uniform" in space else None)
    if step is None:
        return math.inf
    low, high = _range(space)
    return 1 + int((_exact(high) - _exact(low)) / _exact(step))


def count_levels(space: dict[str, Any]) -> int:
    """Return into how many equal parts the coordinates of a space's values divide; 0 for none."""
    count = 0 if "int_log_uniform" in space else count_values(space)
    return 0 if count == math.inf else int(count)


def list_values(space: dict[str, Any]) -> list[Value]:
    """Return all values of a space that is not continuous."""
    if "choice" in space:
        return list(space["choice"])
    if "int_log_uniform" in space:
        low, high = space["int_log_uniform"]
        return list(range(low, high + 1))
    return [_at_step(space, number) for number in range(int(count_values(space)))]


def value_at(space: dict[str, Any], coordinate: float) -> Value:
    """Return the value of a space at a coordinate."""
    if "choice" in space:
        chosen: Value = space["choice"][int(coordinate * len(space["choice"]))]
        return chosen
    low, high = _range(space)
    if "int_log_uniform" in space or "log_uniform" in space:
        first, last = logarithms(space)
        drawn = math.exp(first + coordinate * (last - first))
        drawn = drawn if "log_uniform" in space else round(drawn)
        return min(max(drawn, low), high)  # rounding must not leave the range
    if (levels := count_levels(space)) > 0:
        return _at_step(space, int(coordinate * levels))
    return float(low + coordinate * (high - low))


def coordinate_of(space: dict[str, Any], value: Value) -> float:
    """Return the coordinate of a value: the inverse of `value_at`, in the middle of what gives the same value."""
    if "choice" in space:
        return float((space["choice"].index(value) + 0.5) / len(space["choice"]))
    low, high = _range(space)
    number = float(value)
    if (levels := count_levels(space)) > 0:
        step = float(space.get("step") or 1)
        return (round((number - low) / step) + 0.5) / levels
    if "int_log_uniform" in space or "log_uniform" in space:
        low, high = logarithms(space)
        number = math.log(number)
    return (number - low) / (high - low) if high > low else 0.5  # two numbers may have one logarithm


def has_value(space: dict[str, Any], value: Value) -> bool:
    """Return True if a space has a value."""
    if "choice" in space:
        return any(type(one) is type(value) and one == value for one in space["choice"])
    low, high = _range(space)
    if isinstance(value, bool | str) or not low <= value <= high:
        return False
    return value_at(space, coordinate_of(space, value)) == value if count_values(space) != math.inf else True


def logarithms(space: dict[str, Any]) -> tuple[float, float]:
    """Return the logarithms of the ends of a range; of integers, of those of what is rounded to them."""
    low, high = _range(space)
    beyond = 0.5 if "int_log_uniform" in space else 0.0
    return math.log(low - beyond), math.log(high + beyond)


def is_ordered(space: dict[str, Any]) -> bool:
    """Return True if the values of a space are numbers, so that near ones are alike."""
    values = space.get("choice", ())
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def in_order(space: dict[str, Any]) -> dict[str, Any]:
    """Return a space with the numbers of a choice from the lowest to the highest, so that neighbours are alike."""
    return {"choice": sorted(space["choice"])} if "choice" in space and is_ordered(space) else space


def _range(space: dict[str, Any]) -> tuple[float, float]:
    low, high = next(ends for key, ends in space.items() if key != "step")
    return low, high


def _at_step(space: dict[str, Any], number: int) -> float:
    """Return a value by its number from 0: the nearest to the decimal number that a person would write."""
    low, _ = _range(space)
    if "int_uniform" in space:
        return int(low + number * (space.get("step") or 1))
    return float(_exact(low) + number * _exact(space["step"]))


def _exact(number: float) -> Decimal:
    return Decimal(repr(number))
