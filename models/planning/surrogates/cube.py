"""The unit cube of a search: its dimensions, and candidates in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.planning.combinations import UNCOUNTED, Combinations
from models.planning.spaces import count_levels, is_ordered, list_values, logarithms

Floats: TypeAlias = npt.NDArray[np.float64]
Points: TypeAlias = npt.NDArray[np.float64]
"""float64, of shape (points, dimensions)."""

_STRUCTURES = 200
"""Number of combinations of structural values among which a round chooses."""
_NUMBERS = 10
"""Number of candidates that share structural values and differ in the others."""
_LEADERS = 10
"""Number of best points near which candidates are looked for."""
_NEAR = 0.12
"""Standard deviation of a step from a leader, as a part of a range."""


@dataclass(frozen=True)
class Cube:
    """Dimensions of a search; each array has one entry for each of them."""

    levels: npt.NDArray[np.int64]
    """Number of values at equal distances; 0 where they are continuous, or integers on a logarithmic scale."""
    is_ordered: npt.NDArray[np.bool_]
    """True where near coordinates are alike; names and flags have no order."""
    is_structural: npt.NDArray[np.bool_]
    """True where another value makes another program to compile."""

    logarithms: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Logarithms of the ends of a range of integers on a logarithmic scale, by the number of its dimension."""
    conditions: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """The dimension of a choice on which a dimension depends, and the level at which it counts."""

    @classmethod
    def of(cls, combinations: Combinations, is_structural: list[bool]) -> "Cube":
        """Return the cube of search spaces."""
        spaces, places = list(combinations.spaces.values()), {path: n for n, path in enumerate(combinations.spaces)}
        return cls(
            np.array([count_levels(space) for space in spaces], np.int64),
            np.array([is_ordered(space) for space in spaces], np.bool_),
            np.array(is_structural, np.bool_),
            {number: logarithms(space) for number, space in enumerate(spaces) if "int_log_uniform" in space},
            {
                places[path]: (places[choice], list_values(combinations.spaces[choice]).index(option))
                for path, (choice, option) in combinations.conditions.items()
            },
        )

    @property
    def size(self) -> int:
        """Number of dimensions."""
        return len(self.levels)

    @cached_property
    def _divisor(self) -> Floats:
        return np.where(self.levels > 0, self.levels, 1).astype(np.float64)

    def snapped(self, points: Points) -> Points:
        """Return points moved to the middle of the level that they are in, or to the integer that they stand for."""
        inside = np.minimum(points, np.nextafter(1.0, 0.0))
        levels = np.floor(inside * self._divisor)
        inside = np.where(self.levels > 0, (levels + 0.5) / self._divisor, inside)
        for number, (low, high) in self.logarithms.items():
            integers = np.round(np.exp(low + inside[:, number] * (high - low)))
            ends = np.round(np.exp(low) + 0.5), np.round(np.exp(high) - 0.5)
            inside[:, number] = (np.log(np.clip(integers, *ends)) - low) / (high - low)
        return np.where(self.counted(inside), inside, UNCOUNTED)

    def counted(self, points: Points) -> npt.NDArray[np.bool_]:
        """Return which coordinates count: the choices that they depend on are at their level. The shape is the same."""
        counted = np.ones(points.shape, np.bool_)
        for number, (choice, level) in sorted(self.conditions.items()):
            is_chosen = np.floor(points[:, choice] * self._divisor[choice]) == level
            counted[:, number] = counted[:, choice] & is_chosen
        return counted

    def near(self, points: Points, rng: np.random.Generator) -> Points:
        """Return a step from each point: some of its coordinates are changed a little, some drawn anew."""
        shape = points.shape
        step = reflected(points + _NEAR * rng.standard_normal(shape))
        anywhere = rng.random(shape)
        changed = np.where((rng.random(shape) < 0.5) & self.is_ordered, step, anywhere)
        return np.where(rng.random(shape) < max(0.2, 1.5 / self.size), changed, points)

    def candidates(self, leaders: Points, rng: np.random.Generator) -> Points:
        """Return distinct points to choose from: half near the best ones, half anywhere, of few structures each.

        Args:
            leaders: the best points so far, the best first.
            rng: source of randomness.
        """
        best = leaders[:_LEADERS]
        drawn = best[rng.integers(len(best), size=_STRUCTURES * _NUMBERS)]
        drawn = self.near(drawn, rng)
        drawn[::2] = rng.random((len(drawn[::2]), self.size))
        if self.is_structural.any() and not self.is_structural.all():
            shared = np.repeat(drawn[:_STRUCTURES], _NUMBERS, axis=0)
            drawn = np.where(self.is_structural, shared, drawn)
        return np.unique(self.snapped(drawn), axis=0)

    def structures(self, points: Points) -> npt.NDArray[np.int64]:
        """Return a number for each point, equal for those of equal structural values; shape (points,)."""
        _, found = np.unique(points[:, self.is_structural], axis=0, return_inverse=True)
        return found.reshape(len(points)).astype(np.int64)


@dataclass(frozen=True)
class Observations:
    """Results of a search so far, and the options of choosing the next points."""

    cube: Cube
    points: Points
    values: Floats
    """Objective of each point, of shape (points,); lower is better."""
    max_structures: int
    """Maximum number of combinations of structural values in a round."""
    rng: np.random.Generator
    round_size: int
    """Number of points in a round."""
    undirected: int
    """Number of points, the first ones, that were drawn with no results: those of the first round, and of `prior`."""

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """Indices of the points, the best first; the earlier of equals."""
        return np.argsort(self.values, kind="stable").astype(np.int64)


class StructureLimit:
    """Choice among candidates that keeps the number of structures of a round small."""

    def __init__(self, observations: Observations, candidates: Points) -> None:
        """Args: observations; and the points to choose from."""
        known = {point.tobytes() for point in observations.points}
        self._is_left = np.array([point.tobytes() not in known for point in candidates], np.bool_)
        self._structures = observations.cube.structures(candidates)
        self._limit = observations.max_structures
        self._chosen: set[int] = set()

    def best(self, acquisition: Floats) -> int | None:
        """Return the index of the best candidate that may be chosen, and mark it chosen; None if none is left."""
        allowed = self._is_left
        if len(self._chosen) >= self._limit:
            of_chosen = allowed & np.isin(self._structures, list(self._chosen))
            allowed = of_chosen if of_chosen.any() else allowed
        if not allowed.any():
            return None
        index = int(np.argmax(np.where(allowed, acquisition, -np.inf)))
        self._is_left[index] = False
        self._chosen.add(int(self._structures[index]))
        return index


def reflected(coordinates: Floats) -> Floats:
    """Return coordinates with what is beyond 0 or 1 reflected into the range."""
    folded = np.abs(coordinates) % 2
    return np.where(folded > 1, 2 - folded, folded)
