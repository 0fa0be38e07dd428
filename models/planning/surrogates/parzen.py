"""Tree-structured Parzen estimator (Bergstra et al., 2011), multivariate: densities of good points and of the others.

A density is a mixture of one product kernel for each point, and a uniform one: a Gaussian reflected at the ends of the
range for numbers, for names the same one with some probability. A chosen point counts among the others at once
("constant liar"), so that the points of a round differ.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.planning.surrogates.cube import Cube, Floats, Observations, Points, StructureLimit, reflected

_GOOD_PART, _MAX_GOOD = 0.1, 25
_CANDIDATES = 256
_NARROWEST = 0.1
"""Least standard deviation of a kernel, as a part of a range."""


@dataclass(frozen=True)
class _Density:
    cube: Cube
    points: Points
    widths: Floats
    """Standard deviation for numbers, probability of another one for names; by dimension."""

    @classmethod
    def of(cls, cube: Cube, points: Points) -> "_Density":
        shrinking = len(points) ** (-1 / (cube.size + 4))  # Scott's rule
        numbers = np.maximum(np.clip(shrinking * points.std(axis=0), _NARROWEST, 1), _half_level(cube))
        names = min(0.5, shrinking) * (1 - 1 / np.maximum(cube.levels, 2))
        return cls(cube, points, np.where(cube.is_ordered, numbers, names))

    def sample(self, count: int, rng: np.random.Generator) -> Points:
        """Return points drawn from the density."""
        uniform = rng.random((count, self.cube.size))
        index = rng.integers(len(self.points) + 1, size=count)
        centre = self.points[np.minimum(index, len(self.points) - 1)]
        numbers = reflected(centre + self.widths * rng.standard_normal(uniform.shape))
        redrawn = self.widths / (1 - 1 / np.maximum(self.cube.levels, 2))  # of which some are the same name again
        names = np.where(rng.random(uniform.shape) < redrawn, uniform, centre)
        drawn = np.where(self.cube.is_ordered, numbers, names)
        return self.cube.snapped(np.where((index == len(self.points))[:, None], uniform, drawn))

    def kernel_sums(self, points: Points, centres: Points) -> Floats:
        """Return the sum of the kernels at some centres, for each point, in units of the uniform density."""
        logarithm = np.zeros((len(points), len(centres)))
        for dimension, width in enumerate(self.widths):
            one, other = points[:, dimension][:, None], centres[:, dimension][None, :]
            if self.cube.is_ordered[dimension]:
                gaussians = sum(np.exp(-0.5 * ((one - at) / width) ** 2) for at in (other, -other, 2 - other))
                logarithm += np.log(gaussians / (width * math.sqrt(2 * math.pi)) + 1e-300)
            elif self.cube.levels[dimension] > 1:
                levels = float(self.cube.levels[dimension])
                another = width / (levels - 1)
                logarithm += np.log(np.where(one == other, 1 - width, another) * levels)
        sums: Floats = np.exp(logarithm).sum(axis=1)
        return sums


def propose_by_parzen(observations: Observations) -> Iterator[Points]:
    """Yield points by the ratio of the two densities, each of shape (dimensions,)."""
    cube, order = observations.cube, observations.order
    good_count = min(math.ceil(_GOOD_PART * len(order)), _MAX_GOOD)
    good, bad = (_Density.of(cube, observations.points[chosen]) for chosen in (order[:good_count], order[good_count:]))
    candidates = np.unique(good.sample(_CANDIDATES, observations.rng), axis=0)
    likely = np.log(1 + good.kernel_sums(candidates, good.points))
    unlikely = 1 + bad.kernel_sums(candidates, bad.points)
    limit = StructureLimit(observations, candidates)
    while True:
        index = limit.best(likely - np.log(unlikely))
        if index is None:
            return
        yield candidates[index]
        unlikely = unlikely + bad.kernel_sums(candidates, candidates[index : index + 1])


def _half_level(cube: Cube) -> Floats:
    """Return nearly half the distance of two levels; 0 where a dimension is continuous."""
    return np.where(cube.levels > 0, 0.4 / np.maximum(cube.levels, 1), 0.0)
