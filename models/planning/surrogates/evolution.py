"""Evolution strategy: CatCMA with margin (Hamano et al., 2025), which is CMA-ES (Hansen, 2016) for numbers and names.

The library cmaes computes it. Each round is a generation. The distribution that a round is drawn from follows from the
observations alone: the strategy is made anew for each round, and learns one generation after the other.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from models.planning.surrogates.cube import Cube, Floats, Observations, Points, StructureLimit

_DRAWN = 500
"""Number of points that are drawn to choose from."""
_MAX_LEVELS = 1_000
"""Ranges of more levels are continuous ones to the strategy."""

_GOOD_PART = 0.1
"""Part of the points that a distribution is begun with: the best ones."""
_LEAST_DEVIATION = 0.3
"""Standard deviation that the points' own is widened by at first, in normal quantiles: a whole range has 1."""
_GREATEST_FIRST_DEVIATION = 1.5
"""Largest standard deviation at first: points at both ends of a range have more."""
_GREATEST_DEVIATION = 3.0
"""Standard deviation above which nearly all points would lie at the ends of a range."""
_NEAREST_END = 1e-6
"""Distance to the end of a range, as a part of it, at which all coordinates are alike."""


class _Strategy:
    """A strategy over the dimensions of a cube, in the order of the library: continuous ones, levels, names.

    Coordinates of numbers and levels are normal quantiles to it, which have no ends: a point that is moved to the end
    of a range would widen the distribution, though nothing beyond is better.
    """

    def __init__(self, cube: Cube, population: int, seed: int) -> None:
        """Set it up.

        Args:
            cube: of the search.
            population: number of points in a generation.
            seed: of its draws.
        """
        self._cube, self._population, self._seed = cube, population, seed
        counts = cube.levels
        # Two values are a probability, as the library's authors advise.
        is_name = (counts == 2) | (~cube.is_ordered & (counts > 1))
        is_level = cube.is_ordered & (counts > 2) & (counts <= _MAX_LEVELS)
        self._numbers = np.flatnonzero(~is_name & ~is_level & (counts != 1))
        self._levels, self._names = np.flatnonzero(is_level), np.flatnonzero(is_name)
        self._ordered = np.concatenate([self._numbers, self._levels])
        self._is_value = np.arange(counts[self._names].max(initial=0)) < counts[self._names, None]
        self._usual_numbers = np.zeros(len(self._ordered))
        """Means of the last generation: they stand for coordinates that count in none of its points."""
        self._usual_names = self._is_value / counts[self._names, None]

    def begin(self, points: Points) -> None:
        """Make the first distribution around good points: for names, by how often they are there.

        Args:
            points: of shape (points, dimensions).
        """
        from cmaes import CatCMAwM  # noqa: PLC0415 - few searches need it

        counts = self._cube.levels
        numbers, names = self._parts(points)
        gaussian: dict[str, Any] = {}
        if len(self._ordered):
            spread = np.cov(numbers, rowvar=False, bias=True).reshape(len(self._ordered), -1)
            covariance = spread + _LEAST_DEVIATION**2 * np.eye(len(self._ordered))
            scale = np.minimum(1, _GREATEST_FIRST_DEVIATION / np.sqrt(np.diag(covariance)))
            covariance *= np.outer(scale, scale)
            gaussian = {"mean": numbers.mean(axis=0), "sigma": 1.0, "cov": covariance}
        often = np.where(self._is_value, names.sum(axis=0) + 1, 0)
        self._optimizer = CatCMAwM(
            x_space=[[-np.inf, np.inf]] * len(self._numbers) or None,
            z_space=[_quantiles((np.arange(counts[one]) + 0.5) / counts[one]).tolist() for one in self._levels] or None,
            c_space=counts[self._names].tolist() or None, cat_param=often / often.sum(axis=1, keepdims=True),
            population_size=self._population, seed=self._seed, **gaussian,
        )  # fmt: skip

    def tell(self, points: Points) -> None:
        """Move the distribution by a generation.

        Args:
            points: of shape (population, dimensions), the best first.

        Raises:
            numpy.linalg.LinAlgError: the distribution has become too narrow for floating point.
        """
        continuous = len(self._numbers)
        generation = [
            (self._optimizer.Solution(number[:continuous], number[continuous:], name, number), float(rank))
            for rank, (number, name) in enumerate(zip(*self._parts(points), strict=True))
        ]
        with np.errstate(all="ignore"):  # `sample` finds what is no number
            self._optimizer.tell(generation)

    def sample(self, count: int) -> Points:
        """Return points drawn from the distribution, of shape (count, dimensions).

        Raises:
            numpy.linalg.LinAlgError: it has become of no use.
        """
        points = np.full((count, self._cube.size), 0.5)
        for point in points:
            found = self._optimizer.ask()
            for dimensions, part in ((self._numbers, found.x), (self._levels, found.z)):
                if part is not None:
                    point[dimensions] = part
            if found.c is not None:
                chosen = (np.argmax(found.c, axis=1) + 0.5) / self._cube.levels[self._names]
                point[self._names] = np.where(found.c.any(axis=1), chosen, np.nan)
        if not np.isfinite(points).all() or np.any(points[:, self._numbers].std(axis=0) > _GREATEST_DEVIATION):
            raise np.linalg.LinAlgError(
                "the distribution has parameters that are no numbers, or is wider than the cube"
            )
        points[:, self._ordered] = ndtr(points[:, self._ordered])
        return self._cube.snapped(points)

    def _parts(self, points: Points) -> tuple[Floats, Floats]:
        """Return quantiles of the numbers and levels of points, and their names as one-hot vectors.

        What does not count in a point is the mean of the others, so that it moves the distribution nowhere.
        """
        counted, counts = self._cube.counted(points), self._cube.levels[self._names]
        values = np.floor(points[:, self._names] * counts)
        one_hot = (values[:, :, None] == np.arange(self._is_value.shape[1])).astype(np.float64)
        names, self._usual_names = _filled(one_hot, counted[:, self._names, None], self._usual_names)
        quantiles = _quantiles(points[:, self._ordered])
        numbers, self._usual_numbers = _filled(quantiles, counted[:, self._ordered], self._usual_numbers)
        return numbers, names


def propose_by_evolution(observations: Observations) -> Iterator[Points]:
    """Yield points of the next generation, each of shape (dimensions,)."""
    cube, points, values = observations.cube, observations.points, observations.values
    if not np.any(cube.levels != 1):
        return
    population = max(observations.round_size, 4 + int(3 * np.log(cube.size)))
    strategy = _Strategy(cube, population, int(observations.rng.integers(2**31)))
    undirected = min(observations.undirected or population, len(points))  # none where all of the first round failed
    strategy.begin(_best(points[:undirected], values[:undirected], _GOOD_PART))
    # Where a failed trial makes a generation incomplete, the search goes on at once: the oldest points are left out.
    for begin in range(undirected + (len(points) - undirected) % population, len(points), population):
        end = begin + population
        try:
            strategy.tell(_best(points[begin:end], values[begin:end], 1))
        except np.linalg.LinAlgError:
            strategy.begin(_best(points[:end], values[:end], _GOOD_PART))
    try:
        drawn = strategy.sample(_DRAWN)
    except np.linalg.LinAlgError:
        strategy.begin(_best(points, values, _GOOD_PART))
        drawn = strategy.sample(_DRAWN)
    # Where too few of the points share their structural values, others take those of the first ones.
    shared = drawn[np.arange(len(drawn)) % observations.max_structures]
    candidates = np.concatenate([drawn, cube.snapped(np.where(cube.is_structural, shared, drawn))])
    _, first = np.unique(candidates, axis=0, return_index=True)
    candidates = candidates[np.sort(first)]
    limit = StructureLimit(observations, candidates)
    in_order = -np.arange(len(candidates), dtype=np.float64)
    while (index := limit.best(in_order)) is not None:
        yield candidates[index]


def _best(points: Points, values: Floats, part: float) -> Points:
    """Return a part of some points, at least one, the best first."""
    order = np.argsort(values, kind="stable")
    return points[order[: max(1, round(part * len(points)))]]


def _quantiles(coordinates: Floats) -> Floats:
    """Return the normal quantiles of coordinates from 0 to 1."""
    quantiles: Floats = ndtri(np.clip(coordinates, _NEAREST_END, 1 - _NEAREST_END))
    return quantiles


def _filled(values: Floats, is_there: npt.NDArray[np.bool_], usual: Floats) -> tuple[Floats, Floats]:
    """Return values with the mean along the first axis where one is missing; and the means.

    Args:
        values: of shape (points, …).
        is_there: where they are, of a shape that broadcasts.
        usual: the means where none is there.
    """
    is_there = np.broadcast_to(is_there, values.shape)
    counts = is_there.sum(axis=0)
    means = np.where(counts > 0, np.where(is_there, values, 0).sum(axis=0) / np.maximum(counts, 1), usual)
    return np.where(is_there, values, means), means
