"""Pruners: at rungs, the worse candidates of a cohort stop. A candidate is all seeds of one combination of values.

In a search in rounds, candidates of earlier rounds take places among those that go on.
"""

import math
from typing import Annotated, Literal

from pydantic import Field

from fittingroom.specs.base import Int, Spec
from fittingroom.specs.limits import MAX_EPOCHS, MAX_TRIALS


class _Halving(Spec):
    """Fields of the pruners whose rungs lie ever further apart."""

    name: str
    min_epochs: Annotated[Int, Field(ge=1, le=MAX_EPOCHS)] = 1
    """Epoch of the first rung; each later one is at `reduction_factor` times as many."""
    reduction_factor: Annotated[Int, Field(ge=2, le=100)] = 3
    """Number of candidates of which one goes on; at least one does."""

    def rungs(self, epochs: int) -> list[int]:
        """Return the rungs of a trial of so many epochs, before its last one."""
        found, rung = [], self.min_epochs
        while rung < epochs:
            found.append(rung)
            rung *= self.reduction_factor
        return found

    def kept(self, candidates: int) -> int:
        """Return how many of so many candidates go on from a rung."""
        return math.ceil(candidates / self.reduction_factor)


class SuccessiveHalving(_Halving):
    """Successive halving: at each rung the best part goes on (Jamieson & Talwalkar, 2016)."""

    name: Literal["successive_halving"]

    def rungs_of(self, candidates: int, epochs: int) -> list[list[int]]:
        """Return the rungs of each of so many candidates: all have the same."""
        return [self.rungs(epochs)] * candidates


class Hyperband(_Halving):
    """Hyperband: successive halving in brackets, each with its first rung later (Li et al., 2018).

    So candidates that begin slowly have a chance. The more rungs a bracket has, the more candidates are in it; the last
    one has none.
    """

    name: Literal["hyperband"]

    def rungs_of(self, candidates: int, epochs: int) -> list[list[int]]:
        """Return the rungs of each of so many candidates: those of its bracket."""
        rungs = self.rungs(epochs)
        brackets = [rungs[start:] for start in range(len(rungs) + 1)]
        # As many candidates as Hyperband begins a bracket of so many rungs with, dealt in turns.
        weights = [self.reduction_factor ** len(bracket) / (len(bracket) + 1) for bracket in brackets]
        sizes, found = [0] * len(brackets), []
        for dealt in range(1, candidates + 1):
            missing = [weight / sum(weights) * dealt - size for weight, size in zip(weights, sizes, strict=True)]
            place = missing.index(max(missing))
            sizes[place] += 1
            found.append(brackets[place])
        return found


class TopKPruner(Spec):
    """One rung, after which the best candidates go on (Bohdal et al., 2023: one epoch is often enough)."""

    name: Literal["top_k"]
    k: Annotated[Int, Field(ge=1, le=MAX_TRIALS)]
    """Number of candidates that go on: of a cohort, and in a search in rounds of all so far."""
    epochs: Annotated[Int, Field(ge=1, le=MAX_EPOCHS)] = 1
    """Epoch of the rung."""

    def rungs(self, epochs: int) -> list[int]:
        """Return the rung, if a trial of so many epochs has it before its last one."""
        return [self.epochs] if self.epochs < epochs else []

    def rungs_of(self, candidates: int, epochs: int) -> list[list[int]]:
        """Return the rungs of each of so many candidates: all have the same."""
        return [self.rungs(epochs)] * candidates

    def kept(self, candidates: int) -> int:
        """Return how many of so many candidates go on from the rung."""
        return min(self.k, candidates)


Pruner = Annotated[SuccessiveHalving | Hyperband | TopKPruner, Field(discriminator="name")]
