"""Optimizers and learning-rate schedules, with the names and defaults of Keras."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from fittingroom.specs.base import Bool, Int, Real, Spec
from fittingroom.specs.limits import MAX_BOUNDARIES
from fittingroom.specs.named import Named, by_name
from fittingroom.specs.search_space import SearchableInt, SearchableName, SearchableReal, SearchableRealOr

Positive = Annotated[Real, Field(gt=0, le=1e6)]
NotNegative = Annotated[Real, Field(ge=0, le=1e6)]
Fraction = Annotated[Real, Field(ge=0, lt=1)]
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


class OptimizerSpec(Named):
    """Base of all optimizers, with the options of all; a class has the name of Keras's own."""

    is_of_fit_alone: ClassVar[bool] = False
    """True if no other engine trains with it."""
    learning_rate: LearningRate = 0.001
    """Learning rate: a number, a search space, or a learning-rate schedule."""
    weight_decay: SearchableReal[NotNegative] | None = None
    """Weight decay: fraction of each weight subtracted per step."""
    clipnorm: SearchableReal[Positive] | None = None
    """Maximum norm of each gradient; larger ones are scaled down."""
    clipvalue: SearchableReal[Positive] | None = None
    """Maximum absolute value of each element of a gradient; larger ones are clipped."""
    global_clipnorm: SearchableReal[Positive] | None = None
    """Maximum norm of all gradients together; larger ones are scaled down."""
    use_ema: Bool = False
    """True to keep an exponential moving average of the weights. The weights of a trial's best epoch are kept as they
    were then: give `ema_overwrite_frequency` as well, so that they are averages."""
    ema_momentum: Annotated[Real, Field(ge=0, le=1)] = 0.99
    """Momentum of that average."""
    ema_overwrite_frequency: Steps | None = None
    """Number of batches after which the weights become their average. Default: only at the end."""
    gradient_accumulation_steps: Annotated[Int, Field(ge=2, le=10_000)] | None = None
    """Number of batches whose mean gradient makes one step. Default: each batch makes one."""
    loss_scale_factor: Positive | None = None
    """Factor of the loss before gradients are computed, by which they are divided. Default: none."""

    @property
    def only_fit_trains(self) -> str | None:
        """Reason why Keras's `fit` alone does what is asked for, or None."""
        if self.is_of_fit_alone:
            return (
                f"what {self.name} keeps begins with the weights, or follows from their names, as Keras's fit has them"
            )
        if self.use_ema or self.gradient_accumulation_steps is not None or self.loss_scale_factor is not None:
            return "averages of weights, accumulated gradients and scaled losses are of Keras's fit alone"
        return None

    @model_validator(mode="after")
    def _one_clipping(self) -> Self:
        given = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"only one kind of gradient clipping may be set, found {' and '.join(given)}")
        return self


class _Adaptive(OptimizerSpec):
    """Fields of the Adam family."""

    beta_1: SearchableReal[Fraction] = 0.9
    """Exponential decay rate of the first moment (mean of gradients)."""
    beta_2: SearchableReal[Fraction] = 0.999
    """Exponential decay rate of the second moment (mean of squared gradients)."""
    epsilon: SearchableReal[Positive] = 1e-7
    """Small number added to the divisor to avoid division by zero."""


class SGD(OptimizerSpec):
    """Stochastic gradient descent with optional momentum (`keras.optimizers.SGD`)."""

    name: Literal["sgd"]
    learning_rate: LearningRate = 0.01
    """Learning rate: a number, a search space, or a learning-rate schedule."""
    momentum: SearchableReal[Annotated[Real, Field(ge=0, le=1)]] = 0.0
    """Momentum: fraction of the previous step added to this one."""
    nesterov: SearchableName[Bool] = False
    """True to use Nesterov momentum."""


class Adam(_Adaptive):
    """Adam: adaptive moment estimation (`keras.optimizers.Adam`)."""

    name: Literal["adam"]
    amsgrad: SearchableName[Bool] = False
    """True to use the AMSGrad variant: the maximum of past second moments."""


class AdamW(_Adaptive):
    """Adam with decoupled weight decay (`keras.optimizers.AdamW`)."""

    name: Literal["adamw"]
    weight_decay: SearchableReal[NotNegative] = 0.004
    """Weight decay: fraction of each weight subtracted per step."""
    amsgrad: SearchableName[Bool] = False
    """True to use the AMSGrad variant: the maximum of past second moments."""


class RMSprop(OptimizerSpec):
    """RMSprop: gradients divided by a moving root mean square (`keras.optimizers.RMSprop`)."""

    name: Literal["rmsprop"]
    rho: SearchableReal[Fraction] = 0.9
    """Decay rate of the moving mean square."""
    momentum: SearchableReal[Annotated[Real, Field(ge=0, le=1)]] = 0.0
    """Momentum: fraction of the previous step added to this one."""
    epsilon: SearchableReal[Positive] = 1e-7
    """Small number added to the divisor to avoid division by zero."""
    centered: SearchableName[Bool] = False
    """True to normalise by the estimated variance instead of the mean square."""


class Adagrad(OptimizerSpec):
    """Adagrad: steps shrink with the sum of squared gradients (`keras.optimizers.Adagrad`)."""

    name: Literal["adagrad"]
    initial_accumulator_value: SearchableReal[NotNegative] = 0.1
    """Initial value of the sum of squares."""
    epsilon: SearchableReal[Positive] = 1e-7
    """Small number added to the divisor to avoid division by zero."""


class Nadam(_Adaptive):
    """Adam with Nesterov momentum (`keras.optimizers.Nadam`)."""

    name: Literal["nadam"]


class Lion(OptimizerSpec):
    """Lion: steps by the sign of the momentum (`keras.optimizers.Lion`)."""

    name: Literal["lion"]
    beta_1: SearchableReal[Annotated[Real, Field(gt=0, le=1)]] = 0.9
    """Weight of the momentum in the update, against the current gradient."""
    beta_2: SearchableReal[Fraction] = 0.99
    """Exponential decay rate of the momentum."""


class Adadelta(OptimizerSpec):
    """Adadelta: steps by the ratio of moving root mean squares (`keras.optimizers.Adadelta`)."""

    name: Literal["adadelta"]
    rho: SearchableReal[Fraction] = 0.95
    """Decay rate of the moving mean squares."""
    epsilon: SearchableReal[Positive] = 1e-7
    """Small number added to the divisor to avoid division by zero."""


class Adamax(_Adaptive):
    """Adam with the infinity norm (`keras.optimizers.Adamax`)."""

    name: Literal["adamax"]


class Ftrl(OptimizerSpec):
    """Follow the regularized leader (`keras.optimizers.Ftrl`)."""

    name: Literal["ftrl"]
    learning_rate_power: SearchableReal[Annotated[Real, Field(ge=-10, le=0)]] = -0.5
    """Power by which the learning rate decreases in training; 0 for a fixed one."""
    initial_accumulator_value: SearchableReal[NotNegative] = 0.1
    """Initial value of the sum of squares."""
    l1_regularization_strength: SearchableReal[NotNegative] = 0.0
    """L1 penalty of the weights."""
    l2_regularization_strength: SearchableReal[NotNegative] = 0.0
    """L2 penalty of the weights."""
    l2_shrinkage_regularization_strength: SearchableReal[NotNegative] = 0.0
    """L2 penalty of the size of steps."""
    beta: SearchableReal[NotNegative] = 0.0
    """Beta of the paper."""


class Lamb(_Adaptive):
    """LAMB: Adam with a step for each layer, for large batches (`keras.optimizers.Lamb`)."""

    name: Literal["lamb"]


class Adafactor(OptimizerSpec):
    """Adafactor: Adam with factored second moments (`keras.optimizers.Adafactor`)."""

    name: Literal["adafactor"]
    beta_2_decay: SearchableReal[Annotated[Real, Field(ge=-10, lt=0)]] = -0.8
    """Power of the decay rate of the second moment over the batches."""
    epsilon_1: SearchableReal[Annotated[Real, Field(gt=0, le=1)]] = 1e-30
    """Small number added to the divisor to avoid division by zero."""
    epsilon_2: SearchableReal[Annotated[Real, Field(gt=0, le=1)]] = 0.001
    """Least scale of a step, as a part of the scale of the weights."""
    clip_threshold: SearchableReal[Positive] = 1.0
    """Root mean square of a step above which it is scaled down."""
    relative_step: SearchableName[Bool] = True
    """True to limit the learning rate by the number of batches."""


class Muon(OptimizerSpec):
    """Muon: orthogonal steps of matrices, and Adam for all other weights (`keras.optimizers.Muon`)."""

    name: Literal["muon"]
    is_of_fit_alone: ClassVar[bool] = True
    weight_decay: SearchableReal[NotNegative] = 0.004
    """Weight decay of matrices: fraction of each weight subtracted per step."""
    momentum: SearchableReal[Fraction] = 0.95
    """Momentum of the gradients of matrices."""
    nesterov: SearchableName[Bool] = True
    """True to use Nesterov momentum."""
    ns_steps: SearchableInt[Annotated[Int, Field(ge=1, le=20)]] = 5
    """Number of Newton-Schulz iterations that make a step orthogonal."""
    muon_a: Annotated[Real, Field(ge=-100, le=100)] = 3.4445
    """First coefficient of that iteration."""
    muon_b: Annotated[Real, Field(ge=-100, le=100)] = -4.775
    """Second coefficient of that iteration."""
    muon_c: Annotated[Real, Field(ge=-100, le=100)] = 2.0315
    """Third coefficient of that iteration."""
    rms_rate: SearchableReal[Positive] = 0.2
    """Root mean square of a step, as a part of the learning rate."""
    exclude_embeddings: SearchableName[Bool] = True
    """True to train embeddings with Adam."""
    adam_lr_ratio: SearchableReal[Positive] = 1.0
    """Learning rate of Adam, as a part of the learning rate."""
    adam_beta_1: SearchableReal[Fraction] = 0.9
    """Exponential decay rate of Adam's first moment."""
    adam_beta_2: SearchableReal[Fraction] = 0.999
    """Exponential decay rate of Adam's second moment."""
    adam_weight_decay: SearchableReal[NotNegative] = 0.004
    """Weight decay of all other weights."""
    epsilon: SearchableReal[Positive] = 1e-7
    """Small number added to the divisor to avoid division by zero."""


class ScheduleFreeAdamW(_Adaptive):
    """AdamW that needs no schedule: it averages weights as it goes (`keras.optimizers.ScheduleFreeAdamW`)."""

    name: Literal["schedule_free_adamw"]
    is_of_fit_alone: ClassVar[bool] = True
    learning_rate: LearningRate = 0.0025
    """Learning rate: a number, a search space, or a learning-rate schedule."""
    epsilon: SearchableReal[Positive] = 1e-8
    """Small number added to the divisor to avoid division by zero."""
    warmup_steps: SearchableInt[Annotated[Int, Field(ge=0, le=10**9)]] = 0
    """Number of batches over which the learning rate grows."""


if TYPE_CHECKING:
    Optimizer: TypeAlias = OptimizerSpec
else:
    Optimizer = by_name(OptimizerSpec)
