"""Gaussian process with a Matérn 5/2 kernel, and expected improvement (Jones, Schonlau & Welch, 1998).

Values are replaced by normal quantiles of their ranks, so that neither the scale nor a few diverged trials matter.
Length scales, variance and noise are the most probable ones (Rasmussen & Williams, 2006, chapter 5). After each choice
the process is conditioned on its own expectation there ("kriging believer", Ginsbourger et al., 2010).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri

from models.planning.surrogates.cube import Floats, Observations, Points, StructureLimit

_MAX_POINTS = 256
"""Maximum number of observations that are used: the best half, and others at random."""
_NUMBERS_AT_ONCE = 20_000_000
"""Number of squared differences that are in memory at a time."""
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

    def __call__(self, squares: Floats) -> Floats:
        """Return the covariance of pairs.

        Args:
            squares: squared differences, of shape (…, dimensions).
        """
        scaled = _SQRT5 * np.sqrt(squares @ self.rates)
        covariance: Floats = self.variance * (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
        return covariance


def propose_by_gaussian_process(observations: Observations) -> Iterator[Points]:
    """Yield points by expected improvement, each of shape (dimensions,)."""
    cube, rng = observations.cube, observations.rng
    candidates = cube.candidates(observations.points[observations.order], rng)
    kept = _chosen_for(observations, _MAX_POINTS)
    points, targets = observations.points[kept], _normal_scores(observations.values[kept])
    kernel = _fit(observations, points, targets)
    covariance = kernel(_squares(observations, points, points))
    lower = np.linalg.cholesky(covariance + (kernel.noise + 1e-8) * np.eye(len(points)))
    weights = solve_triangular(lower, targets, lower=True)
    parts = np.array_split(candidates, -(-candidates.size * len(points) // _NUMBERS_AT_ONCE))
    covariances = [kernel(_squares(observations, points, part)) for part in parts]
    across = solve_triangular(lower, np.concatenate(covariances, axis=1), lower=True)
    mean = across.T @ weights
    variance = kernel.variance - np.sum(across**2, axis=0)
    best = float(np.min(solve_triangular(lower, covariance, lower=True).T @ weights))
    limit = StructureLimit(observations, candidates)
    while True:
        deviation = np.sqrt(np.maximum(variance, 1e-10))
        index = limit.best(_expected_improvement(best, mean, deviation))
        if index is None:
            return
        yield candidates[index]
        best = min(best, float(mean[index]))
        shared = kernel(_squares(observations, candidates, candidates[index : index + 1]))[:, 0]
        change = (shared - across.T @ across[:, index]) / math.sqrt(max(variance[index], 1e-10) + kernel.noise)
        across = np.vstack([across, change])
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


def _squares(observations: Observations, some: Points, others: Points) -> Floats:
    """Return the squared differences by dimension; 1 between different names. Shape (some, others, dimensions)."""
    squares = (some[:, None, :] - others[None, :, :]) ** 2
    return np.where(observations.cube.is_ordered, squares, squares > 0)


def _fit(observations: Observations, points: Points, targets: Floats) -> _Kernel:
    """Return the kernel whose parameters are the most probable."""
    if len(points) > _MAX_FITTED:
        some = np.sort(observations.rng.permutation(len(points))[:_MAX_FITTED])
        points, targets = points[some], targets[some]
    squares, dimensions = _squares(observations, points, points), observations.cube.size
    begin = np.array([_PRIOR_RATE] * dimensions + [0.0, _PRIOR_NOISE])
    bounds = [(-7.0, 7.0)] * dimensions + [(-3.0, 3.0), (-10.0, 1.0)]
    found = minimize(
        _loss, begin, args=(squares, targets, begin), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 30},
    )  # fmt: skip
    return _Kernel.from_logarithms(np.asarray(found.x, np.float64))


def _loss(logarithms: Floats, squares: Floats, targets: Floats, expected: Floats) -> tuple[float, Floats]:
    """Return the negative logarithm of the posterior of the kernel's parameters, and its gradient.

    Args:
        logarithms: of the rates, the variance and the noise.
        squares: squared differences of the points.
        targets: the values.
        expected: means of the normal priors of the logarithms.
    """
    kernel, count = _Kernel.from_logarithms(logarithms), len(targets)
    scaled = _SQRT5 * np.sqrt(squares @ kernel.rates)
    decay = np.exp(-scaled)
    covariance = kernel.variance * (1 + scaled + scaled**2 / 3) * decay
    noisy = covariance + (kernel.noise + 1e-8) * np.eye(count)
    lower = np.linalg.cholesky(noisy)
    inverse = np.linalg.inv(noisy)
    weights = inverse @ targets
    # Half the derivative of the evidence by each entry of the covariance: equation 5.9 of Rasmussen & Williams.
    by_entry = 0.5 * (inverse - np.outer(weights, weights))
    by_rate = np.tensordot(by_entry * (-5 / 6) * kernel.variance * (1 + scaled) * decay, squares, 2) * kernel.rates
    gradient = np.concatenate([by_rate, [np.sum(by_entry * covariance), kernel.noise * np.trace(by_entry)]])
    spread = np.full(len(logarithms), 1.5)
    spread[-2] = 1.0
    away = (logarithms - expected) / spread
    evidence = 0.5 * targets @ weights + np.sum(np.log(np.diag(lower)))
    return float(evidence + 0.5 * np.sum(away**2)), gradient + away / spread
