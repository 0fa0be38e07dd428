"""Learning-rate schedules, with the names and defaults of Keras."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fittingroom.specs.base import Bool, Int, Real, Spec
from fittingroom.specs.limits import MAX_BOUNDARIES
from fittingroom.specs.search.searchable import SearchableInt, SearchableName, SearchableReal, SearchableRealOr

Positive = Annotated[Real, Field(gt=0, le=1e6)]
NotNegative = Annotated[Real, Field(ge=0, le=1e6)]
Steps = Annotated[Int, Field(ge=1, le=10**9)]


class ExponentialDecay(Spec):
    """Exponential decay by `decay_rate` every `decay_steps` batches (Keras: `schedules.ExponentialDecay`)."""

    schedule: Literal["exponential_decay"]
    initial_learning_rate: SearchableReal[Positive]
    """Learning rate of the first batch."""
    decay_steps: SearchableInt[Steps]
    """Number of batches after which the rate has been multiplied by `decay_rate`."""
    decay_rate: SearchableReal[Annotated[Real, Field(gt=0, le=1)]]
    """Decay factor."""
    staircase: SearchableName[Bool] = False
    """True to decay in steps instead of continuously."""


class CosineDecay(Spec):
    """Cosine decay with optional warm-up (Keras: `schedules.CosineDecay`)."""

    schedule: Literal["cosine_decay"]
    initial_learning_rate: SearchableReal[NotNegative]
    """Learning rate of the first batch (often 0 with a warm-up)."""
    decay_steps: SearchableInt[Steps]
    """Number of batches of the decay."""
    alpha: SearchableReal[NotNegative] = 0.0
    """Final learning rate as a fraction of the initial one."""
    warmup_target: SearchableReal[Positive] | None = None
    """Learning rate at the end of the warm-up. Default: no warm-up."""
    warmup_steps: SearchableInt[Annotated[Int, Field(ge=0, le=10**9)]] = 0
    """Number of batches of the warm-up."""


class PiecewiseConstantDecay(Spec):
    """Constant learning rate between boundaries (Keras: `schedules.PiecewiseConstantDecay`)."""

    schedule: Literal["piecewise_constant_decay"]
    boundaries: list[Steps] = Field(min_length=1, max_length=MAX_BOUNDARIES)
    """Batch numbers at which the rate changes, in ascending order."""
    values: list[Positive] = Field(min_length=2, max_length=MAX_BOUNDARIES + 1)
    """Learning rates: one more than there are boundaries."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(later <= earlier for earlier, later in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(f"boundaries must rise, found {self.boundaries}")
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"{len(self.boundaries)} boundaries need {len(self.boundaries) + 1} values, found {len(self.values)}"
            )
        return self


class InverseTimeDecay(Spec):
    """Decay by 1 / (1 + `decay_rate` * batches / `decay_steps`) (Keras: `schedules.InverseTimeDecay`)."""

    schedule: Literal["inverse_time_decay"]
    initial_learning_rate: SearchableReal[Positive]
    """Learning rate of the first batch."""
    decay_steps: SearchableInt[Steps]
    """Number of batches after which the rate has been divided by 1 + `decay_rate`."""
    decay_rate: SearchableReal[Positive]
    """Decay factor."""
    staircase: SearchableName[Bool] = False
    """True to decay in steps instead of continuously."""


class PolynomialDecay(Spec):
    """Decay to `end_learning_rate` by a polynomial (Keras: `schedules.PolynomialDecay`)."""

    schedule: Literal["polynomial_decay"]
    initial_learning_rate: SearchableReal[Positive]
    """Learning rate of the first batch."""
    decay_steps: SearchableInt[Steps]
    """Number of batches of the decay."""
    end_learning_rate: SearchableReal[NotNegative] = 0.0001
    """Final learning rate."""
    power: SearchableReal[Positive] = 1.0
    """Power of the polynomial; 1 is linear."""
    cycle: SearchableName[Bool] = False
    """True to begin anew, over twice, three times … as many batches, instead of staying at the final rate."""


class CosineDecayRestarts(Spec):
    """Cosine decay that begins anew again and again (Keras: `schedules.CosineDecayRestarts`)."""

    schedule: Literal["cosine_decay_restarts"]
    initial_learning_rate: SearchableReal[Positive]
    """Learning rate of the first batch."""
    first_decay_steps: SearchableInt[Steps]
    """Number of batches of the first decay."""
    t_mul: SearchableReal[Annotated[Real, Field(ge=1, le=100)]] = 2.0
    """Factor by which each decay takes more batches than the one before."""
    m_mul: SearchableReal[Annotated[Real, Field(gt=0, le=100)]] = 1.0
    """Factor of the learning rate at which each decay begins, against the one before."""
    alpha: SearchableReal[NotNegative] = 0.0
    """Final learning rate of each decay as a fraction of the initial one."""


Schedule = Annotated[
    ExponentialDecay | CosineDecay | PiecewiseConstantDecay | InverseTimeDecay | PolynomialDecay | CosineDecayRestarts,
    Field(discriminator="schedule"),
]
LearningRate = SearchableRealOr[Positive, Schedule]


def is_constant(schedule: Mapping[str, object], name: str) -> bool:
    """Return True for numbers of a schedule that a program has as constants, as `fit` has.

    Where a schedule rounds to whole periods, dividing by a constant and by a tensor differ in the last bit, and with it
    by a whole period.
    """
    rounds = schedule.get("cycle") or schedule.get("staircase") or "t_mul" in schedule
    return bool(rounds) and name in {"decay_steps", "first_decay_steps", "t_mul"}
