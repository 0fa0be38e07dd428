"""Optimizers, with the names and defaults of Keras. An optimizer is one class: its options and its traits."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from fittingroom.specs.base import Bool, Int, Real
from fittingroom.specs.named import Named, by_name
from fittingroom.specs.schedules import LearningRate, NotNegative, Positive, Steps
from fittingroom.specs.search.searchable import SearchableInt, SearchableName, SearchableReal

Fraction = Annotated[Real, Field(ge=0, lt=1)]


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
