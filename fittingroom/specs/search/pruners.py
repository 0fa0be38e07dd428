"""Pruners: at rungs, the worse candidates of a cohort stop. A candidate is all seeds of one combination of values.

In a search in rounds, candidates are compared with those of earlier rounds too; `median` compares with nothing else.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from statistics import median
from typing import Annotated, Literal

from pydantic import Field

from fittingroom.specs.base import Int, Spec
from fittingroom.specs.limits import MAX_EPOCHS, MAX_TRIALS


class _Pruner(Spec, ABC):
    """A pruner, of which all candidates have the same rungs."""

    name: str

    @abstractmethod
    def rungs(self, epochs: int) -> list[int]:
        """Return the rungs of a trial of so many epochs, before its last one."""

    def rungs_of(self, candidates: int, epochs: int) -> list[list[int]]:
        """Return the rungs of each of so many candidates."""
        return [self.rungs(epochs)] * candidates


class _Halving(_Pruner):
    """Fields of the pruners whose rungs lie ever further apart."""

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


class TopKPruner(_Pruner):
    """One rung, after which the best candidates go on (Bohdal et al., 2023: one epoch is often enough)."""

    name: Literal["top_k"]
    k: Annotated[Int, Field(ge=1, le=MAX_TRIALS)]
    """Number of candidates that go on: of a cohort, and in a search in rounds of all so far."""
    epochs: Annotated[Int, Field(ge=1, le=MAX_EPOCHS)] = 1
    """Epoch of the rung."""

    def rungs(self, epochs: int) -> list[int]:
        """Return the rung, if a trial of so many epochs has it before its last one."""
        return [self.epochs] if self.epochs < epochs else []

    def kept(self, candidates: int) -> int:
        """Return how many of so many candidates go on from the rung."""
        return min(self.k, candidates)


class MedianPruner(_Pruner):
    """Median stopping: what is worse than the median of earlier rounds at the same epoch stops (Golovin et al., 2017).

    Compared is the best objective so far, the mean over seeds. Of random candidates about half stop at the first rung;
    of better and better ones, fewer.
    """

    name: Literal["median"]
    min_epochs: Annotated[Int, Field(ge=1, le=MAX_EPOCHS)] = 1
    """Epoch of the first rung."""
    interval: Annotated[Int, Field(ge=1, le=MAX_EPOCHS)] = 1
    """Epochs from each rung to the next."""
    min_candidates: Annotated[Int, Field(ge=1, le=MAX_TRIALS)] = 5
    """Number of candidates of earlier rounds that must have reached a rung; until then all go on from it."""

    def rungs(self, epochs: int) -> list[int]:
        """Return the rungs of a trial of so many epochs, before its last one."""
        return list(range(self.min_epochs, epochs, self.interval))

    def limit(self, earlier: Sequence[float]) -> float:
        """Return the value above which candidates stop.

        Args:
            earlier: values of the candidates of earlier rounds at the same epoch, the smaller the better.
        """
        return median(earlier) if len(earlier) >= self.min_candidates else math.inf


Pruner = Annotated[SuccessiveHalving | Hyperband | TopKPruner | MedianPruner, Field(discriminator="name")]
