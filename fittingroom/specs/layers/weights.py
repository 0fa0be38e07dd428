"""Initializers, regularizers and constraints of weights, with the names and defaults of Keras."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from typing_extensions import TypeAliasType

from fittingroom.specs.base import Bool, Int, Real, Spec
from fittingroom.specs.named import expand_name
from fittingroom.specs.search.searchable import SearchableName, SearchableNameOr, SearchableReal

InitializerName = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal",
    "random_uniform", "random_normal", "truncated_normal", "orthogonal", "zeros", "ones", "variance_scaling",
    "identity", "uniform", "normal",
]  # fmt: skip
_Number = Annotated[Real, Field(ge=-1e6, le=1e6)]
_Positive = Annotated[Real, Field(gt=0, le=1e6)]
_Axis = Annotated[Int, Field(ge=0, le=4)]
Penalty = Annotated[Real, Field(ge=0, le=1e6)]


class Constant(Spec):
    """All weights equal one number (`keras.initializers.Constant`)."""

    name: Literal["constant"]
    value: SearchableReal[_Number] = 0.0
    """The number."""


class RandomNormal(Spec):
    """Normal distribution (`keras.initializers.RandomNormal`)."""

    name: Literal["random_normal"]
    mean: SearchableReal[_Number] = 0.0
    """Mean."""
    stddev: SearchableReal[_Positive] = 0.05
    """Standard deviation."""


class TruncatedNormal(Spec):
    """Normal distribution without values beyond two standard deviations (`keras.initializers.TruncatedNormal`)."""

    name: Literal["truncated_normal"]
    mean: SearchableReal[_Number] = 0.0
    """Mean."""
    stddev: SearchableReal[_Positive] = 0.05
    """Standard deviation, before values are left out."""


class RandomUniform(Spec):
    """Uniform distribution (`keras.initializers.RandomUniform`)."""

    name: Literal["random_uniform"]
    minval: SearchableReal[_Number] = -0.05
    """Lowest value."""
    maxval: SearchableReal[_Number] = 0.05
    """Highest value."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if isinstance(self.minval, float) and isinstance(self.maxval, float) and self.minval > self.maxval:
            raise ValueError(f"minval {self.minval} is above maxval {self.maxval}")
        return self


class VarianceScaling(Spec):
    """Distribution whose width follows from the shape of the weights (`keras.initializers.VarianceScaling`)."""

    name: Literal["variance_scaling"]
    scale: SearchableReal[_Positive] = 1.0
    """Factor of the variance."""
    mode: SearchableName[Literal["fan_in", "fan_out", "fan_avg"]] = "fan_in"
    """Number by which the variance is divided: inputs, outputs, or the mean of both."""
    distribution: SearchableName[Literal["truncated_normal", "untruncated_normal", "uniform"]] = "truncated_normal"
    """Shape of the distribution."""


class OrthogonalInitializer(Spec):
    """Random orthogonal matrix (`keras.initializers.Orthogonal`)."""

    name: Literal["orthogonal"]
    gain: SearchableReal[_Positive] = 1.0
    """Factor of the matrix."""


class IdentityInitializer(Spec):
    """Identity matrix, for kernels with two axes (`keras.initializers.Identity`)."""

    name: Literal["identity"]
    gain: SearchableReal[_Positive] = 1.0
    """Factor of the matrix."""


InitializerSpec = Annotated[
    Constant
    | RandomNormal
    | TruncatedNormal
    | RandomUniform
    | VarianceScaling
    | OrthogonalInitializer
    | IdentityInitializer,
    Field(discriminator="name"),
]
Initializer = TypeAliasType("Initializer", SearchableNameOr[InitializerName, InitializerSpec])
"""An initializer's name, or an object with `name` and its numbers."""


class Regularizer(Spec):
    """Weight penalty added to the loss (`keras.regularizers.L1L2`)."""

    l1: SearchableReal[Penalty] = 0.0
    """L1 factor: multiplies the sum of absolute weights."""
    l2: SearchableReal[Penalty] = 0.0
    """L2 factor: multiplies the sum of squared weights."""


class OrthogonalRegularizer(Spec):
    """Penalty of rows, or columns, that are not orthogonal (`keras.regularizers.OrthogonalRegularizer`)."""

    name: Literal["orthogonal_regularizer"]
    factor: SearchableReal[Penalty] = 0.01
    """Factor of the penalty."""
    mode: SearchableName[Literal["rows", "columns"]] = "rows"
    """Vectors that are compared with each other."""


_PENALTIES = {
    "l1": {"l1": 0.01},
    "l2": {"l2": 0.01},
    "l1_l2": {"l1": 0.01, "l2": 0.01},
    "l1l2": {"l1": 0.01, "l2": 0.01},
}


def _penalty(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Write out a name, with Keras's factors."""
    if not isinstance(value, str):
        return value
    return _PENALTIES.get(value, {"name": value})


def _kind_of_penalty(value: Any) -> str:  # noqa: ANN401 - JSON
    is_named = isinstance(value, OrthogonalRegularizer) or (isinstance(value, dict) and "name" in value)
    return "orthogonal" if is_named else "factors"


_EitherRegularizer = Annotated[
    Annotated[Regularizer, Tag("factors")] | Annotated[OrthogonalRegularizer, Tag("orthogonal")],
    Discriminator(_kind_of_penalty),
    BeforeValidator(
        _penalty, json_schema_input_type=Regularizer | OrthogonalRegularizer | Literal["l1", "l2", "l1_l2"]
    ),
]
AnyRegularizer = TypeAliasType("AnyRegularizer", _EitherRegularizer)
"""Factors of the penalty, or a name with Keras's factors: `l1`, `l2`, `l1_l2`."""


ActivityRegularizer = TypeAliasType(
    "ActivityRegularizer",
    Annotated[
        Regularizer, BeforeValidator(_penalty, json_schema_input_type=Regularizer | Literal["l1", "l2", "l1_l2"])
    ],
)
"""Factors of a penalty of outputs, or a name with Keras's factors: `l1`, `l2`, `l1_l2`."""


class MaxNorm(Spec):
    """Limit of the norm of a unit's weights (`keras.constraints.MaxNorm`)."""

    name: Literal["max_norm"]
    max_value: SearchableReal[_Positive] = 2.0
    """Maximum norm."""
    axis: _Axis | Annotated[list[_Axis], Field(min_length=1, max_length=4)] = 0
    """Axis, or axes, of the norm."""


class MinMaxNorm(Spec):
    """Limits of the norm of a unit's weights (`keras.constraints.MinMaxNorm`)."""

    name: Literal["min_max_norm"]
    min_value: SearchableReal[Penalty] = 0.0
    """Minimum norm."""
    max_value: SearchableReal[_Positive] = 1.0
    """Maximum norm."""
    rate: SearchableReal[Annotated[Real, Field(gt=0, le=1)]] = 1.0
    """Part of the way to the limit that is taken in a step."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if isinstance(self.min_value, float) and isinstance(self.max_value, float) and self.min_value > self.max_value:
            raise ValueError(f"min_value {self.min_value} is above max_value {self.max_value}")
        return self

    axis: _Axis | Annotated[list[_Axis], Field(min_length=1, max_length=4)] = 0
    """Axis, or axes, of the norm."""


class NonNeg(Spec):
    """No negative weights (`keras.constraints.NonNeg`)."""

    name: Literal["non_neg"]


class UnitNorm(Spec):
    """Norm 1 of a unit's weights (`keras.constraints.UnitNorm`)."""

    name: Literal["unit_norm"]
    axis: _Axis | Annotated[list[_Axis], Field(min_length=1, max_length=4)] = 0
    """Axis, or axes, of the norm."""


ConstraintName = Literal["max_norm", "min_max_norm", "non_neg", "unit_norm"]
_ByName = Annotated[MaxNorm | MinMaxNorm | NonNeg | UnitNorm, Field(discriminator="name")]
Constraint = TypeAliasType(
    "Constraint", Annotated[_ByName, BeforeValidator(expand_name, json_schema_input_type=ConstraintName | _ByName)]
)
"""A constraint's name, or an object with `name` and its numbers."""


class Kernel(Spec):
    """Options of a layer's kernel."""

    kernel_initializer: Initializer = "glorot_uniform"
    """Initializer of the kernel."""
    kernel_regularizer: AnyRegularizer | None = None
    """Regularizer of the kernel."""
    kernel_constraint: Constraint | None = None
    """Constraint of the kernel."""


class Bias(Spec):
    """Options of a layer's bias."""

    use_bias: SearchableName[Bool] = True
    """True to add a bias."""
    bias_initializer: Initializer = "zeros"
    """Initializer of the bias."""
    bias_regularizer: AnyRegularizer | None = None
    """Regularizer of the bias."""
    bias_constraint: Constraint | None = None
    """Constraint of the bias."""


class GammaBeta(Spec):
    """Options of a normalization's learned factor and offset."""

    center: SearchableName[Bool] = True
    """True to add a learned offset (beta)."""
    scale: SearchableName[Bool] = True
    """True to multiply by a learned factor (gamma)."""
    beta_initializer: Initializer = "zeros"
    """Initializer of beta."""
    gamma_initializer: Initializer = "ones"
    """Initializer of gamma."""
    beta_regularizer: AnyRegularizer | None = None
    """Regularizer of beta."""
    gamma_regularizer: AnyRegularizer | None = None
    """Regularizer of gamma."""
    beta_constraint: Constraint | None = None
    """Constraint of beta."""
    gamma_constraint: Constraint | None = None
    """Constraint of gamma."""
