"""Samplers: how combinations of values are chosen from the search spaces of an experiment."""

import itertools
import math
from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from fittingroom.specs.base import Int, Spec
from fittingroom.specs.limits import MAX_PRIOR, MAX_SEED, MAX_SEEDS, MAX_TRIALS

ExperimentId = Annotated[str, Field(pattern=r"^exp_[0-9a-f]{32}$")]
Seed = Annotated[Int, Field(ge=0, le=MAX_SEED)]


class GridSampler(Spec):
    """Grid search: every combination of the choices."""

    name: Literal["grid"]


class _Drawing(Spec):
    """Fields of the samplers that draw."""

    name: str
    trials: Annotated[Int, Field(ge=1, le=MAX_TRIALS)]
    """Number of combinations per model. None is drawn twice: of a space that has no more, each is trained once."""
    seed: Seed = 0
    """Random seed of the sampler."""


class RandomSampler(_Drawing):
    """Random search: combinations drawn at random, reproducible by seed."""

    name: Literal["random"]


class QuasiRandomSampler(_Drawing):
    """Quasi-random search: combinations that fill the space evenly, by a scrambled Sobol sequence (Owen, 1998)."""

    name: Literal["quasi_random"]


class RoundSampler(_Drawing):
    """Fields of the samplers that learn from results, round by round."""

    round: Annotated[Int, Field(ge=1, le=MAX_TRIALS)] = 20
    """Number of combinations per model that are drawn together and train side by side. Each round is drawn when the
    last one has ended, from the results of all before; the first is quasi-random, unless there are ten results of
    `prior`. Small rounds learn more from each trial, large ones train more trials per compiled program."""
    prior: list[ExperimentId] = Field(default=[], max_length=MAX_PRIOR)
    """Earlier experiments whose results the search begins with, by id. Counted are candidates that this search could
    have drawn itself: values within its spaces, and all else the same. None of them is trained again. At most 2,000
    trials together. Default: none."""

    @field_validator("prior")
    @classmethod
    def _no_repeats(cls, prior: list[str]) -> list[str]:
        if len(set(prior)) < len(prior):
            raise ValueError(f"duplicate value in {prior}; list each once")
        return prior


class GaussianProcessSampler(RoundSampler):
    """Bayesian optimization with a Gaussian process and expected improvement (Jones et al., 1998), in rounds."""

    name: Literal["gp"]


class TPESampler(RoundSampler):
    """Tree-structured Parzen estimator (Bergstra et al., 2011), multivariate, in rounds."""

    name: Literal["tpe"]


class EvolutionSampler(RoundSampler):
    """Evolution strategy: CMA-ES (Hansen, 2016), for names too by CatCMA with margin (Hamano et al., 2025), in rounds.

    Each round is a generation, so a search needs many of them; with some hundred trials `gp` finds better ones.
    """

    name: Literal["cma_es"]


class LeadersSampler(Spec):
    """The best candidates of an earlier experiment: for more epochs, with other seeds, or on other data."""

    name: Literal["leaders"]
    experiment: ExperimentId
    """The earlier experiment, by id. It must have ended."""
    top: Annotated[Int, Field(ge=1, le=MAX_SEEDS)] = 5
    """Number of candidates to train: the best ones by their mean objective there, confirmed ones first. Their values
    must be within the search spaces of this experiment; a value that is fixed here is taken from here."""


class Confirm(Spec):
    """Further seeds for the best candidates, once the search has ended.

    Who is chosen as the best of many has been lucky too. Further seeds were not chosen by, so the comparison of the
    confirmed candidates is made of those alone.
    """

    top: Annotated[Int, Field(ge=1, le=MAX_SEEDS)] = 5
    """Number of candidates to confirm: the best ones by their mean objective."""
    seeds: Annotated[Int, Field(ge=2, le=MAX_SEEDS)] = 10
    """Number of further seeds for each. They are the lowest numbers that are not in `seeds` of the experiment."""
    stages: Annotated[Int, Field(ge=1, le=5)] = 1
    """Number of parts of about equal size that the seeds are trained in. After each, candidates that are significantly
    worse than the best have no more of them, and if one is left, it needs none. Each stage is a look at the results,
    which makes the comparison stricter: intervals and tests have the error rate divided by the number of stages."""

    @model_validator(mode="after")
    def _can_be_compared(self) -> Self:
        if self.stages > 1 and self.top == 1:
            raise ValueError(
                f"{self.stages} stages with one candidate: after a stage candidates are compared, and there is no "
                "other; leave stages out, or confirm two candidates"
            )
        if self.seeds < 2 * self.stages:
            raise ValueError(
                f"{self.stages} stages with {self.seeds} seeds: each stage needs two seeds at least; "
                f"use fewer stages, or {2 * self.stages} seeds"
            )
        return self

    def seeds_after(self, stage: int) -> int:
        """Return the number of seeds that a candidate has after a stage, counted from 1, if it goes on."""
        return math.ceil(self.seeds * stage / self.stages)

    def further_seeds(self, seeds: Collection[int]) -> list[int]:
        """Return the further seeds, given those of the experiment."""
        return list(itertools.islice((seed for seed in itertools.count() if seed not in seeds), self.seeds))


def reads_results(sampler: object) -> bool:
    """Return True for a sampler that needs results of earlier experiments to plan an experiment."""
    return isinstance(sampler, LeadersSampler) or (isinstance(sampler, RoundSampler) and bool(sampler.prior))


Sampler = Annotated[
    GridSampler
    | RandomSampler
    | QuasiRandomSampler
    | GaussianProcessSampler
    | TPESampler
    | EvolutionSampler
    | LeadersSampler,
    Field(discriminator="name"),
]
