"""The optimizers and learning-rate schedules, under Keras's names and with Keras's defaults."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from fittingroom.specs.base import Bool, Int, Real, Spec
from fittingroom.specs.limits import MAX_BOUNDARIES
from fittingroom.specs.named import named
from fittingroom.specs.search_space import SearchableInt, SearchableName, SearchableReal, SearchableRealOr

Positive = Annotated[Real, Field(gt=0, le=1e6)]
NotNegative = Annotated[Real, Field(ge=0, le=1e6)]
Fraction = Annotated[Real, Field(ge=0, lt=1)]
Steps = Annotated[Int, Field(ge=1, le=10**9)]


class ExponentialDecay(Spec):
    """Multiplies the rate by `decay_rate` every `decay_steps` batches (Keras: `schedules.ExponentialDecay`)."""

    schedule: Literal["exponential_decay"]
    initial_learning_rate: SearchableReal[Positive]
    """The rate of the first batch."""
    decay_steps: SearchableInt[Steps]
    """After how many batches the rate has been multiplied once."""
    decay_rate: SearchableReal[Annotated[Real, Field(gt=0, le=1)]]
    """The factor."""
    staircase: SearchableName[Bool] = False
    """Whether the rate falls in steps instead of smoothly."""


class CosineDecay(Spec):
    """Lets the rate fall along half a cosine wave (Keras: `schedules.CosineDecay`)."""

    schedule: Literal["cosine_decay"]
    initial_learning_rate: SearchableReal[NotNegative]
    """The rate of the first batch (0 is usual with a warm-up)."""
    decay_steps: SearchableInt[Steps]
    """After how many batches the rate has reached its end."""
    alpha: SearchableReal[NotNegative] = 0.0
    """The end, as a part of the start."""
    warmup_target: SearchableReal[Positive] | None = None
    """The rate to rise to before the fall; none for no warm-up."""
    warmup_steps: SearchableInt[Annotated[Int, Field(ge=0, le=10**9)]] = 0
    """How many batches the rise takes."""


class PiecewiseConstantDecay(Spec):
    """One rate up to each boundary (Keras: `schedules.PiecewiseConstantDecay`)."""

    schedule: Literal["piecewise_constant_decay"]
    boundaries: list[Steps] = Field(min_length=1, max_length=MAX_BOUNDARIES)
    """Batches at which the rate changes, rising."""
    values: list[Positive] = Field(min_length=2, max_length=MAX_BOUNDARIES + 1)
    """The rates: one more than there are boundaries."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if any(later <= earlier for earlier, later in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(f"boundaries must rise, found {self.boundaries}")
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"{len(self.boundaries)} boundaries need {len(self.boundaries) + 1} values, found {len(self.values)}"
            )
        return self


Schedule = Annotated[ExponentialDecay | CosineDecay | PiecewiseConstantDecay, Field(discriminator="schedule")]
LearningRate = SearchableRealOr[Positive, Schedule]


class _Optimizer(Spec):
    """What all optimizers share."""

    learning_rate: LearningRate = 0.001
    """How far a step goes; a number, a search space or a schedule."""
    weight_decay: SearchableReal[NotNegative] | None = None
    """Part of each weight taken away per step."""
    clipnorm: SearchableReal[Positive] | None = None
    """Each gradient's norm is cut to this."""
    clipvalue: SearchableReal[Positive] | None = None
    """Each number of a gradient is cut to plus or minus this."""
    global_clipnorm: SearchableReal[Positive] | None = None
    """The norm of all gradients together is cut to this."""

    @model_validator(mode="after")
    def _one_clipping(self) -> Self:
        given = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"only one kind of gradient clipping may be set, found {' and '.join(given)}")
        return self


class _Adaptive(_Optimizer):
    """What the Adam family shares."""

    beta_1: SearchableReal[Fraction] = 0.9
    """How slowly the mean of the gradients follows."""
    beta_2: SearchableReal[Fraction] = 0.999
    """How slowly the mean of their squares follows."""
    epsilon: SearchableReal[Positive] = 1e-7
    """Added to the divisor, so that nothing is divided by 0."""


class SGD(_Optimizer):
    """Gradient descent (`keras.optimizers.SGD`)."""

    name: Literal["sgd"]
    learning_rate: LearningRate = 0.01
    """How far a step goes; a number, a search space or a schedule."""
    momentum: SearchableReal[Annotated[Real, Field(ge=0, le=1)]] = 0.0
    """How much of the last step is kept."""
    nesterov: SearchableName[Bool] = False
    """Whether the gradient is taken where the momentum leads."""


class Adam(_Adaptive):
    """Adaptive moments (`keras.optimizers.Adam`)."""

    name: Literal["adam"]
    amsgrad: SearchableName[Bool] = False
    """Whether the largest past square is kept."""


class AdamW(_Adaptive):
    """Adam with decoupled weight decay (`keras.optimizers.AdamW`)."""

    name: Literal["adamw"]
    weight_decay: SearchableReal[NotNegative] = 0.004
    """Part of each weight taken away per step."""
    amsgrad: SearchableName[Bool] = False
    """Whether the largest past square is kept."""


class RMSprop(_Optimizer):
    """Steps divided by a running root mean square (`keras.optimizers.RMSprop`)."""

    name: Literal["rmsprop"]
    rho: SearchableReal[Fraction] = 0.9
    """How slowly the mean square follows."""
    momentum: SearchableReal[Annotated[Real, Field(ge=0, le=1)]] = 0.0
    """How much of the last step is kept."""
    epsilon: SearchableReal[Positive] = 1e-7
    """Added to the divisor, so that nothing is divided by 0."""
    centered: SearchableName[Bool] = False
    """Whether the variance is used in place of the mean square."""


class Adagrad(_Optimizer):
    """Steps that shrink with all past gradients (`keras.optimizers.Adagrad`)."""

    name: Literal["adagrad"]
    initial_accumulator_value: SearchableReal[NotNegative] = 0.1
    """Where the sum of squares starts."""
    epsilon: SearchableReal[Positive] = 1e-7
    """Added to the divisor, so that nothing is divided by 0."""


class Nadam(_Adaptive):
    """Adam with Nesterov momentum (`keras.optimizers.Nadam`)."""

    name: Literal["nadam"]


class Lion(_Optimizer):
    """Steps by the sign of the momentum (`keras.optimizers.Lion`)."""

    name: Literal["lion"]
    beta_1: SearchableReal[Annotated[Real, Field(gt=0, le=1)]] = 0.9
    """How the gradient and the momentum are mixed."""
    beta_2: SearchableReal[Fraction] = 0.99
    """How slowly the momentum follows."""


_InFull = Annotated[SGD | Adam | AdamW | RMSprop | Adagrad | Nadam | Lion, Field(discriminator="name")]
_Name = Literal["sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam", "lion"]
Optimizer = Annotated[_InFull, BeforeValidator(named, json_schema_input_type=_Name | _InFull)]
