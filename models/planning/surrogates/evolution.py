"""Evolution strategy: CatCMA with margin (Hamano et al., 2025), which is CMA-ES (Hansen, 2016) for numbers and names.

The library cmaes computes it. Each round is a generation. The distribution that a round is drawn from follows from the
observations alone: the strategy is made anew for each round, and learns one generation after the other.
"""

from collections.abc import Iterator

import numpy as np

from models.planning.surrogates.cube import Cube, Floats, Observations, Points, StructureLimit

_DRAWN = 500
"""Number of points that are drawn to choose from."""
_MAX_LEVELS = 1_000
"""Ranges of more levels are continuous ones to the strategy."""

_GOOD_PART = 0.1
"""Part of the points drawn with no results that the first distribution is made of: the best ones."""


class _Strategy:
    """A strategy, and the dimensions of the cube as it orders them: continuous ones, levels, names."""

    def __init__(self, cube: Cube, population: int, seed: int) -> None:
        """Args: the cube; the number of points in a generation; and of the source of randomness."""
        self._cube, self._population, self._seed = cube, population, seed
        levels = cube.levels
        # Two values are a probability, as the library's authors advise.
        is_name = (levels == 2) | (~cube.is_ordered & (levels > 1))
        is_level = cube.is_ordered & (levels > 2) & (levels <= _MAX_LEVELS)
        self._names, self._levels = np.flatnonzero(is_name), np.flatnonzero(is_level)
        self._numbers = np.flatnonzero(~is_name & ~is_level & (levels != 1))

    def begin(self, points: Points) -> None:
        """Make the first distribution (Nomura et al., 2021, for numbers; for names, how often they are there).

        Args:
            points: of shape (points, dimensions), good ones.
        """
        from cmaes import CatCMAwM, get_warm_start_mgd  # noqa: PLC0415 - few searches need it

        counts = self._cube.levels
        ordered, names = self._parts(points)
        mean, deviation, covariance = None, None, None
        if ordered.shape[1]:
            mean, deviation, covariance = get_warm_start_mgd([(one, 0.0) for one in ordered], gamma=1.0)
        is_there = np.arange(names.shape[2]) < counts[self._names, None]
        often = np.where(is_there, names.sum(axis=0) + 1, 0)
        self._optimizer = CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self._numbers) or None,
            z_space=[((np.arange(counts[one]) + 0.5) / counts[one]).tolist() for one in self._levels] or None,
            c_space=counts[self._names].tolist() or None, population_size=self._population, seed=self._seed,
            mean=mean, sigma=deviation, cov=covariance, cat_param=often / often.sum(axis=1, keepdims=True),
        )  # fmt: skip

    def tell(self, points: Points) -> None:
        """Move the distribution by a generation.

        Args:
            points: of shape (population, dimensions), the best first.
        """
        from cmaes import CatCMAwM  # noqa: PLC0415 - few searches need it

        split = len(self._numbers)
        told = [
            (CatCMAwM.Solution(one[:split], one[split:], name, one), float(rank))
            for rank, (one, name) in enumerate(zip(*self._parts(points), strict=True))
        ]
        with np.errstate(all="ignore"):  # what is not finite, the next decomposition finds
            self._optimizer.tell(told)

    def _parts(self, points: Points) -> tuple[Floats, Floats]:
        """Return the numbers and levels of points, and their names as one-hot vectors: (points, names, values).

        What does not count in a point is the mean of the others, so that it moves the distribution nowhere.
        """
        counted = self._cube.counted(points)
        levels = self._cube.levels[self._names]
        values = np.floor(points[:, self._names] * levels)
        one_hot = (values[:, :, None] == np.arange(levels.max(initial=0))).astype(np.float64)
        names = _mean_for_missing(np.where(counted[:, self._names, None], one_hot, np.nan))
        ordered = np.where(counted, points, np.nan)[:, [*self._numbers, *self._levels]]
        return _mean_for_missing(ordered), names

    def sample(self, count: int) -> Points:
        """Return points drawn from the distribution, of shape (count, dimensions)."""
        points = np.full((count, self._cube.size), 0.5)
        for point in points:
            found = self._optimizer.ask()
            for dimensions, part in ((self._numbers, found.x), (self._levels, found.z)):
                if part is not None:
                    point[dimensions] = part
            if found.c is not None:
                point[self._names] = (np.argmax(found.c, axis=1) + 0.5) / self._cube.levels[self._names]
        return self._cube.snapped(points)


def propose_by_evolution(observations: Observations) -> Iterator[Points]:
    """Yield points of the next generation, each of shape (dimensions,)."""
    cube, points, values = observations.cube, observations.points, observations.values
    if not np.any(cube.levels != 1):
        return
    population = max(observations.round_size, 4 + int(3 * np.log(cube.size)))
    strategy = _Strategy(cube, population, int(observations.rng.integers(2**31)))
    undirected = min(observations.undirected, len(points))
    strategy.begin(_best(points[:undirected], values, _GOOD_PART))
    # Where a failed trial makes a generation incomplete, the search goes on at once: the oldest points are left out.
    for begin in range(undirected + (len(points) - undirected) % population, len(points), population):
        end = begin + population
        try:
            strategy.tell(_best(points[begin:end], values[begin:], 1))
        except np.linalg.LinAlgError:  # a distribution that has become too narrow for floating point: begin anew
            strategy.begin(_best(points[:end], values, _GOOD_PART))
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
    """Return a part of some points, at least one, the best first; their values may be followed by those of others."""
    order = np.argsort(values[: len(points)], kind="stable")
    return points[order[: max(1, round(part * len(points)))]]


def _mean_for_missing(values: Floats) -> Floats:
    """Return values with the mean along the first axis in place of NaN, and 0.5 where there is none."""
    is_there = ~np.isnan(values)
    sums, counts = np.where(is_there, values, 0).sum(axis=0), is_there.sum(axis=0)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), 0.5)
    return np.where(is_there, values, means)
