"""Gaussian process with a Matérn 5/2 kernel, and expected improvement (Jones, Schonlau & Welch, 1998).

Values are replaced by normal quantiles of their ranks, so that neither the scale nor a few diverged trials matter.
Length scales, variance and noise are the most probable ones (Rasmussen & Williams, 2006, chapter 5). After each choice
the process is conditioned on its own expectation there ("kriging believer", Ginsbourger et al., 2010).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri

from models.planning.surrogates.cube import Floats, Observations, Points, StructureLimit

_MAX_POINTS = 256
"""Maximum number of observations that are used: the best half, and others at random."""
_MAX_FITTED = 128
"""Maximum number of observations that the kernel's parameters are fitted to."""
_PRIOR_RATE, _PRIOR_NOISE = math.log(2.0), math.log(0.02)
_SQRT5 = math.sqrt(5)


@dataclass(frozen=True)
class _Kernel:
    """Matérn 5/2 with one rate for each dimension: the inverse of its squared length scale."""

    rates: Floats
    variance: float
    noise: float

    @classmethod
    def from_logarithms(cls, logarithms: Floats) -> "_Kernel":
        rates, (variance, noise) = np.exp(logarithms[:-2]), np.exp(logarithms[-2:])
        return cls(rates, float(variance), float(noise))

    def scaled_distances(self, is_ordered: npt.NDArray[np.bool_], some: Points, others: Points) -> Floats:
        """Return the square root of 5 times the distances in length scales, of shape (some, others).

        Different names are 1 apart. Of numbers, products in place of differences take a matrix multiplication.
        """
        lengths = np.sqrt(self.rates[is_ordered])
        one, other = some[:, is_ordered] * lengths, others[:, is_ordered] * lengths
        squares = -2 * one @ other.T  # in place from here on: to touch new memory takes longer than to compute
        squares += np.sum(one**2, axis=1)[:, None]
        squares += np.sum(other**2, axis=1)
        for number in np.flatnonzero(~is_ordered):
            squares += self.rates[number] * (some[:, number, None] != others[:, number])
        np.maximum(squares, 0, out=squares)
        np.sqrt(squares, out=squares)
        squares *= _SQRT5
        return squares

    def covariance(self, is_ordered: npt.NDArray[np.bool_], some: Points, others: Points) -> Floats:
        """Return the covariance of points, of shape (some, others)."""
        scaled = self.scaled_distances(is_ordered, some, others)
        covariance: Floats = scaled * (1 / 3)
        covariance += 1
        covariance *= scaled
        covariance += 1
        np.negative(scaled, out=scaled)
        covariance *= np.exp(scaled, out=scaled)
        covariance *= self.variance
        return covariance


def propose_by_gaussian_process(observations: Observations) -> Iterator[Points]:
    """Yield points by expected improvement, each of shape (dimensions,)."""
    cube, rng = observations.cube, observations.rng
    candidates = cube.candidates(observations.points[observations.order], rng)
    kept = _chosen_for(observations, _MAX_POINTS)
    points, targets = observations.points[kept], _normal_scores(observations.values[kept])
    kernel = _fit(observations, points, targets)
    covariance = kernel.covariance(cube.is_ordered, points, points)
    lower = np.linalg.cholesky(covariance + (kernel.noise + 1e-8) * np.eye(len(points)))
    weights = solve_triangular(lower, targets, lower=True)
    covariances = kernel.covariance(cube.is_ordered, points, candidates)
    across = solve_triangular(lower, covariances, lower=True, overwrite_b=True)
    mean = across.T @ weights
    variance = kernel.variance - np.einsum("ij,ij->j", across, across)
    best = float(np.min(solve_triangular(lower, covariance, lower=True).T @ weights))
    limit = StructureLimit(observations, candidates)
    rows = len(points)
    room = np.concatenate([across, np.empty((observations.round_size, len(candidates)))])
    while True:
        deviation = np.sqrt(np.maximum(variance, 1e-10))
        index = limit.best(_expected_improvement(best, mean, deviation))
        if index is None:
            return
        yield candidates[index]
        best = min(best, float(mean[index]))
        shared = kernel.covariance(cube.is_ordered, candidates, candidates[index : index + 1])[:, 0]
        across = room[:rows]
        change = (shared - across[:, index] @ across) / math.sqrt(max(variance[index], 1e-10) + kernel.noise)
        if rows == len(room):  # some of the round's combinations cannot be trained
            room = np.concatenate([room, np.empty((observations.round_size, len(candidates)))])
        room[rows] = change
        rows += 1
        variance = variance - change**2


def _expected_improvement(best: float, mean: Floats, deviation: Floats) -> Floats:
    """Return the expectation of max(best - value, 0) for normal values."""
    gap = (best - mean) / deviation
    improvement: Floats = deviation * (gap * ndtr(gap) + np.exp(-(gap**2) / 2) / math.sqrt(2 * math.pi))
    return improvement


def _chosen_for(observations: Observations, size: int) -> Floats:
    """Return indices of so many observations, or all: the best half, and others at random."""
    order = observations.order
    if len(order) > size:
        others = observations.rng.permutation(order[size // 2 :])[: size - size // 2]
        order = np.concatenate([order[: size // 2], others])
    return np.sort(order)


def _normal_scores(values: Floats) -> Floats:
    """Return the normal quantiles of ranks; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts + 1) / 2)[inverse.reshape(-1)]
    scores: Floats = ndtri((ranks + 0.5) / len(values))
    return scores


def _fit(observations: Observations, points: Points, targets: Floats) -> _Kernel:
    """Return the kernel whose parameters are the most probable."""
    if len(points) > _MAX_FITTED:
        some = np.sort(observations.rng.permutation(len(points))[:_MAX_FITTED])
        points, targets = points[some], targets[some]
    cube = observations.cube
    begin = np.array([_PRIOR_RATE] * cube.size + [0.0, _PRIOR_NOISE])
    bounds = [(-7.0, 7.0)] * cube.size + [(-3.0, 3.0), (-10.0, 1.0)]
    found = minimize(
        _loss, begin, args=(cube.is_ordered, points, targets, begin), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 30},
    )  # fmt: skip
    return _Kernel.from_logarithms(np.asarray(found.x, np.float64))


def _loss(
    logarithms: Floats, is_ordered: npt.NDArray[np.bool_], points: Points, targets: Floats, expected: Floats
) -> tuple[float, Floats]:
    """Return the negative logarithm of the posterior of the kernel's parameters, and its gradient.

    Args:
        logarithms: of the rates, the variance and the noise.
        is_ordered: by dimension.
        points: of shape (points, dimensions).
        targets: the values.
        expected: means of the normal priors of the logarithms.
    """
    kernel, count = _Kernel.from_logarithms(logarithms), len(targets)
    scaled = kernel.scaled_distances(is_ordered, points, points)
    decay = np.exp(-scaled)
    covariance = kernel.variance * (1 + scaled + scaled**2 / 3) * decay
    noisy = covariance + (kernel.noise + 1e-8) * np.eye(count)
    lower = np.linalg.cholesky(noisy)
    half, _ = dpotri(lower, lower=True)
    inverse = np.tril(half) + np.tril(half, -1).T
    weights = inverse @ targets
    # Half the derivative of the evidence by each entry of the covariance: equation 5.9 of Rasmussen & Williams.
    by_entry = 0.5 * (inverse - np.outer(weights, weights))
    by_square = by_entry * (-5 / 6) * kernel.variance * (1 + scaled) * decay
    by_rate = _sums_of_squares(by_square, is_ordered, points) * kernel.rates
    gradient = np.concatenate([by_rate, [np.sum(by_entry * covariance), kernel.noise * np.trace(by_entry)]])
    spread = np.full(len(logarithms), 1.5)
    spread[-2] = 1.0
    away = (logarithms - expected) / spread
    evidence = 0.5 * targets @ weights + np.sum(np.log(np.diag(lower)))
    return float(evidence + 0.5 * np.sum(away**2)), gradient + away / spread


def _sums_of_squares(weights: Floats, is_ordered: npt.NDArray[np.bool_], points: Points) -> Floats:
    """Return the weighted sum of the squared differences of all pairs, by dimension; of different names 1 each.

    Args:
        weights: of the pairs, symmetric, of shape (points, points).
        is_ordered: by dimension.
        points: of shape (points, dimensions).
    """
    sums = np.zeros(len(is_ordered))
    numbers = points[:, is_ordered]
    sums[is_ordered] = 2 * np.sum(numbers * (weights.sum(axis=1)[:, None] * numbers - weights @ numbers), axis=0)
    for number in np.flatnonzero(~is_ordered):
        sums[number] = np.sum(weights, where=points[:, number, None] != points[:, number])
    return sums
