"""Search spaces by arithmetic: number of combinations, values at coordinates from 0 to below 1."""

import math
from collections.abc import Mapping
from typing import Any

from models.planning.templates import Path, Value


def count_combinations(spaces: Mapping[Path, dict[str, Any]]) -> int | float:
    """Return how many combinations there are, by arithmetic; 1 without a space, infinite with a continuous one."""
    counts = [count_values(space) for space in spaces.values()]
    return math.inf if math.inf in counts else math.prod(counts)  # a product of integers may be beyond any float


def count_values(space: dict[str, Any]) -> int | float:
    """Return how many values a space has; infinite for a continuous range."""
    if "choice" in space:
        return len(space["choice"])
    return 1 + space["int_uniform"][1] - space["int_uniform"][0] if "int_uniform" in space else math.inf


def list_values(space: dict[str, Any]) -> list[Value]:
    """Return all values of a space that is not continuous."""
    if "choice" in space:
        return list(space["choice"])
    low, high = space["int_uniform"]
    return list(range(low, high + 1))


def value_at(space: dict[str, Any], coordinate: float) -> Value:
    """Return the value of a space at a coordinate."""
    key, values = next(iter(space.items()))
    if key == "choice":
        chosen: Value = values[int(coordinate * len(values))]
        return chosen
    low, high = values
    if key == "uniform":
        return float(low + coordinate * (high - low))
    if key == "log_uniform":
        drawn = math.exp(math.log(low) + coordinate * (math.log(high) - math.log(low)))
        return float(min(max(drawn, low), high))  # rounding must not leave the range
    return int(low) + int(coordinate * (high - low + 1))


def coordinate_of(space: dict[str, Any], value: Value) -> float:
    """Return the coordinate of a value: the inverse of `value_at`, in the middle of what gives the same value."""
    key, values = next(iter(space.items()))
    if key == "choice":
        return float((values.index(value) + 0.5) / len(values))
    low, high, number = *map(float, values), float(value)
    if key == "int_uniform":
        return (number - low + 0.5) / (high - low + 1)
    if key == "log_uniform":
        low, high, number = math.log(low), math.log(high), math.log(number)
    return (number - low) / (high - low) if high > low else 0.5  # two numbers may have one logarithm


def is_ordered(space: dict[str, Any]) -> bool:
    """Return True if the values of a space are numbers, so that near ones are alike."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in next(iter(space.values())))


def in_order(space: dict[str, Any]) -> dict[str, Any]:
    """Return a space with the numbers of a choice from the lowest to the highest, so that neighbours are alike."""
    return {"choice": sorted(space["choice"])} if "choice" in space and is_ordered(space) else space
