"""Evolution strategy: ends of ranges, names, many spaces, and distributions that have broken."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.planning.surrogates.cube import Cube, Observations, Points
from models.planning.surrogates.evolution import _Strategy, propose_by_evolution
from tests.models.planning.test_surrogates import observed


def test_evolution_begins_anew_where_its_distribution_has_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library divides by a deviation that may become 0."""
    begun, told = [], []
    begin, tell = _Strategy.begin, _Strategy.tell

    def break_once(self: Any, points: Points) -> None:
        told.append(points)
        if len(told) == 2:
            raise np.linalg.LinAlgError("Eigenvalues did not converge")
        tell(self, points)

    monkeypatch.setattr(_Strategy, "begin", lambda self, points: begun.append(points) or begin(self, points))
    monkeypatch.setattr(_Strategy, "tell", break_once)
    found = observed(60)
    found = replace(found, round_size=10)
    points = np.array(list(itertools.islice(propose_by_evolution(found), 10)))
    assert points.shape == (10, 4)
    assert [len(one) for one in begun] == [2, 4], "a tenth of the first twenty, and of the forty until it broke"
    assert len(told) == 4


def searched(cube: Cube, objective: Callable[[Points], Points], rounds: int, size: int = 20) -> Observations:
    """Return what an evolution strategy has found after some rounds."""
    points = cube.snapped(np.random.default_rng(0).random((size, cube.size)))
    for number in range(rounds):
        found = Observations(cube, points, objective(points), size, np.random.default_rng(number), size, size)
        points = np.vstack([points, list(itertools.islice(propose_by_evolution(found), size))])
        assert np.isfinite(points).all()
    return Observations(cube, points, objective(points), size, np.random.default_rng(rounds), size, size)


def numbers(dimensions: int) -> Cube:
    return Cube(np.zeros(dimensions, np.int64), np.ones(dimensions, np.bool_), np.zeros(dimensions, np.bool_))


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_evolution_finds_values_at_the_end_of_their_ranges(end: float) -> None:
    values = searched(numbers(6), lambda points: np.abs(points - end).sum(axis=1), rounds=25).values
    assert values.min() < 0.05
    assert np.median(values[-20:]) < 0.3 < np.median(values[:20])


def test_evolution_takes_many_spaces() -> None:
    [point] = itertools.islice(propose_by_evolution(searched(numbers(250), lambda points: points.sum(axis=1), 1)), 1)
    assert point.shape == (250,)


def test_evolution_begins_between_good_points_at_both_ends() -> None:
    points = np.linspace(0.1, 0.9, 20)[:, None]
    points[[3, 7], 0] = 5e-4, 1 - 5e-4
    values = np.minimum(points[:, 0], 1 - points[:, 0])
    for undirected in (20, 0):
        found = Observations(numbers(1), points, values, 5, np.random.default_rng(0), 20, undirected)
        drawn = np.array(list(itertools.islice(propose_by_evolution(found), 20)))
        assert drawn.shape == (20, 1)
        assert np.any(drawn < 0.3)
        assert np.any(drawn > 0.7)


NAMES_THAT_DEPEND = Cube(
    np.array([4, 2, 6, 2, 4, 2]), np.zeros(6, np.bool_), np.zeros(6, np.bool_),
    conditions={1: (0, 0), 2: (0, 3), 3: (1, 0)},
)  # fmt: skip


def test_evolution_draws_each_name_where_hardly_any_counts() -> None:
    """Names of an option that a search never chooses keep their probabilities, and no other name gets one."""
    strategy = _Strategy(NAMES_THAT_DEPEND, 20, seed=0)
    never = NAMES_THAT_DEPEND.snapped(np.tile([0.4, 0.5, 0.5, 0.5, 0.1, 0.2], (20, 1)))
    strategy.begin(never[:2])
    for _ in range(5):
        strategy.tell(never)
    drawn = strategy.sample(3_000)
    chosen = drawn[np.floor(drawn[:, 0] * 4) == 3]
    counts = np.bincount(np.floor(chosen[:, 2] * 6).astype(int), minlength=6)
    assert len(chosen) > 50
    assert counts.max() < 4 * max(1, counts.min()), "six names, about as often each"


def test_evolution_begins_anew_where_probabilities_have_become_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library divides 0 by 0 where nothing counts; names are then drawn from probabilities that are no numbers."""
    found = searched(NAMES_THAT_DEPEND, lambda points: points[:, 0], rounds=3, size=6)
    sample = _Strategy.sample
    asked = []

    def broken(self: Any, count: int) -> Points:
        asked.append(count)
        if len(asked) == 1:
            monkeypatch.setattr(self._optimizer, "_q", np.full_like(self._optimizer._q, np.nan))  # noqa: SLF001
        return sample(self, count)

    monkeypatch.setattr(_Strategy, "sample", broken)
    points = np.array(list(itertools.islice(propose_by_evolution(found), 6)))
    assert len(asked) == 2, "begun anew"
    assert np.array_equal(points, NAMES_THAT_DEPEND.snapped(points))
