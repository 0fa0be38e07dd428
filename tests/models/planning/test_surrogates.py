"""Surrogates: points that differ, few structures a round, and better values than points spread evenly."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.stats import qmc

from models.planning.surrogates.cube import Cube, Observations, Points, reflected
from models.planning.surrogates.evolution import propose_by_evolution
from models.planning.surrogates.gaussian_process import _Kernel, _loss, propose_by_gaussian_process
from models.planning.surrogates.parzen import _Density, propose_by_parzen

Propose = Callable[[Observations], Iterator[Points]]
PROPOSALS = {"cma_es": propose_by_evolution, "gp": propose_by_gaussian_process, "tpe": propose_by_parzen}
each = pytest.mark.parametrize("propose", PROPOSALS.values(), ids=PROPOSALS)

MIXED = Cube(np.array([0, 0, 5, 3]), np.array([True, True, True, False]), np.array([False, False, True, True]))
"""Two continuous ranges, five ordered levels, three names; the last two are structural."""


def value_of(points: Points) -> Points:
    """Least at 0.3, 0.7, the second level and the third name."""
    numbers = np.sum((points[:, :2] - [0.3, 0.7]) ** 2, axis=1)
    return numbers + 0.2 * (points[:, 2] - 0.3) ** 2 + 0.05 * (points[:, 3] < 0.6)


def observed(count: int, seed: int = 0, max_structures: int = 20, cube: Cube = MIXED) -> Observations:
    points = cube.snapped(qmc.Sobol(cube.size, rng=seed).random(64))[:count]
    return Observations(cube, points, value_of(points), max_structures, np.random.default_rng(seed), 20, 20)


@each
def test_points_of_a_round_differ_and_were_not_observed(propose: Propose) -> None:
    found = observed(40)
    points = np.array(list(itertools.islice(propose(found), 20)))
    everything = np.vstack([found.points, points])
    assert len(np.unique(everything, axis=0)) == len(np.unique(found.points, axis=0)) + 20
    assert np.all((points >= 0) & (points < 1))
    assert np.array_equal(points, MIXED.snapped(points))


@each
def test_a_round_has_few_structures(propose: Propose) -> None:
    points = np.array(list(itertools.islice(propose(observed(40, max_structures=3)), 20)))
    assert len(np.unique(points[:, 2:], axis=0)) <= 3


@each
def test_equal_observations_and_seeds_give_equal_points(propose: Propose) -> None:
    one, two = (list(itertools.islice(propose(observed(30)), 10)) for _ in range(2))
    assert np.array_equal(one, two)


@each
def test_search_finds_better_values_than_points_spread_evenly(propose: Propose) -> None:
    gains = []
    for seed in range(3):
        found = observed(20, seed)
        for number in range(3):
            new = np.array(list(itertools.islice(propose(found), 20)))
            points = np.vstack([found.points, new])
            rng = np.random.default_rng([seed, number])
            found = Observations(MIXED, points, value_of(points), 20, rng, 20, 20)
        spread = value_of(MIXED.snapped(qmc.Sobol(MIXED.size, rng=seed).random(128)[:80]))
        gains.append(spread.min() / found.values.min())
    assert math.prod(gains) > 2**3


@each
def test_diverged_trials_and_equal_values_are_no_obstacle(propose: Propose) -> None:
    found = observed(30)
    values = np.where(np.arange(30) < 25, np.inf, 1.0)
    points = list(itertools.islice(propose(replace(found, values=values, max_structures=5)), 20))
    assert len(points) == 20


@each
def test_a_space_that_has_few_points_ends(propose: Propose) -> None:
    cube = Cube(np.array([4, 3]), np.array([True, False]), np.array([False, True]))
    every = np.array([[(i + 0.5) / 4, (j + 0.5) / 3] for i in range(4) for j in range(3)])
    found = Observations(cube, every[:10], np.arange(10.0), 5, np.random.default_rng(0), 20, 20)
    left = {tuple(point) for point in propose(found)}
    assert left <= {tuple(point) for point in every[10:]}


def test_gradient_of_the_kernels_parameters_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    points, targets = rng.random((12, 4)), rng.standard_normal(12)
    points[:, 2] = np.round(points[:, 2] * 2) / 2  # names
    given = np.array([True, True, False, True]), points, targets, np.zeros(6)
    at = rng.standard_normal(6) * 0.5
    assert check_grad(lambda x: _loss(x, *given)[0], lambda x: _loss(x, *given)[1], at) < 1e-5


def test_distances_are_those_of_differences() -> None:
    rng = np.random.default_rng(0)
    some, others = rng.random((30, 4)), rng.random((20, 4))
    some[:, 2], others[:, 2] = np.round(some[:, 2] * 2) / 2, np.round(others[:, 2] * 2) / 2
    kernel = _Kernel(np.array([0.1, 3.0, 0.5, 1_000.0]), 1.0, 0.1)
    squares = (some[:, None] - others[None]) ** 2
    squares[:, :, 2] = squares[:, :, 2] > 0
    found = kernel.scaled_distances(np.array([True, True, False, True]), some, others)
    np.testing.assert_allclose(found, np.sqrt(5 * squares @ kernel.rates), rtol=1e-9)
    own = kernel.scaled_distances(np.array([True, True, False, True]), some, some)
    assert np.abs(np.diag(own)).max() < 1e-5


def test_a_density_of_parzen_is_one_over_the_whole_cube() -> None:
    density = _Density.of(MIXED, observed(10).points)
    levels = [np.linspace(0.005, 0.995, 100), np.array([0.1, 0.3, 0.5, 0.7, 0.9]), np.array([1, 3, 5]) / 6]
    for dimension, grid in ((0, levels[0]), (2, levels[1]), (3, levels[2])):
        cube = Cube(
            *(part[dimension : dimension + 1] for part in (MIXED.levels, MIXED.is_ordered, MIXED.is_structural))
        )
        one = _Density(cube, density.points[:, dimension : dimension + 1], density.widths[dimension : dimension + 1])
        mean = one.kernel_sums(grid[:, None], one.points).mean() / len(one.points)
        assert mean == pytest.approx(1, abs=0.05 if dimension == 2 else 1e-3)


def test_reflection_stays_in_the_range() -> None:
    assert reflected(np.array([-0.2, 0.4, 1.3, 2.2, -1.5])) == pytest.approx([0.2, 0.4, 0.7, 0.2, 0.5])
