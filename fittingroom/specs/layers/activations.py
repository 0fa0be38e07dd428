"""Activation functions, as options and as layers, with the names and defaults of Keras."""

import math
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from fittingroom.specs.base import Int, Real, Spec
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape
from fittingroom.specs.layers.shape_rules import axis_of
from fittingroom.specs.layers.weights import ActivityRegularizer, AnyRegularizer, Constraint, Initializer
from fittingroom.specs.search.searchable import SearchableName, SearchableReal

ActivationName = Literal[
    "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "sigmoid", "hard_sigmoid",
    "softmax", "softplus", "softsign", "tanh", "exponential", "celu", "hard_silu", "hard_tanh", "hard_shrink",
    "soft_shrink", "tanh_shrink", "log_sigmoid", "log_softmax", "squareplus", "sparse_plus", "sparse_sigmoid",
    "sparsemax",
]  # fmt: skip
ActivationFunction = TypeAliasType("ActivationFunction", SearchableName[ActivationName])
"""Name of an activation function, or a choice of such."""
_Slope = Annotated[Real, Field(ge=0, le=1e6)]
_Axis = Annotated[Int, Field(ge=-8, le=8)]
Axes = _Axis | Annotated[list[_Axis], Field(min_length=1, max_length=8)]


class Activated(Spec):
    """Options of what a layer does with its outputs."""

    activation: ActivationFunction = "linear"
    """Activation function; `linear` is the identity."""
    activity_regularizer: ActivityRegularizer | None = None
    """Penalty of the outputs, added to the loss."""


class Activation(LayerSpec):
    """Element-wise activation function (`keras.layers.Activation`)."""

    type: Literal["activation"]
    activation: ActivationFunction
    """Name of the function."""


class ReLU(LayerSpec):
    """Rectifier: max(x, 0) with a limit, a slope and a threshold (`keras.layers.ReLU`)."""

    type: Literal["relu"]
    max_value: SearchableReal[_Slope] | None = None
    """Largest output. Default: none."""
    negative_slope: SearchableReal[_Slope] = 0.0
    """Slope below the threshold."""
    threshold: SearchableReal[_Slope] = 0.0
    """Input up to which the output is 0, or follows the slope."""


class LeakyReLU(LayerSpec):
    """Rectifier with a slope below 0 (`keras.layers.LeakyReLU`)."""

    type: Literal["leaky_relu"]
    negative_slope: SearchableReal[_Slope] = 0.3
    """Slope below 0."""


class ELU(LayerSpec):
    """Exponential linear unit (`keras.layers.ELU`)."""

    type: Literal["elu"]
    alpha: SearchableReal[_Slope] = 1.0
    """Factor of the exponential below 0."""


class PReLU(LayerSpec):
    """Rectifier whose slope below 0 is learned (`keras.layers.PReLU`)."""

    type: Literal["prelu"]
    alpha_initializer: Initializer = "zeros"
    """Initializer of the slopes."""
    alpha_regularizer: AnyRegularizer | None = None
    """Regularizer of the slopes."""
    alpha_constraint: Constraint | None = None
    """Constraint of the slopes."""
    shared_axes: Annotated[list[Annotated[Int, Field(ge=1, le=8)]], Field(min_length=1, max_length=8)] | None = None
    """Axes along which slopes are shared, counted from 1. Default: each input has a slope of its own."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        [shape] = inputs
        shared = {axis_of(axis, shape) for axis in self.shared_axes or ()}
        return Measured(shape, math.prod(1 if axis in shared else size for axis, size in enumerate(shape)))


class Softmax(LayerSpec):
    """Softmax over an axis (`keras.layers.Softmax`)."""

    type: Literal["softmax"]
    axis: Axes = -1
    """Axis, or axes, whose outputs sum to 1."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        places = [axis_of(axis, inputs[0]) for axis in (self.axis if isinstance(self.axis, list) else [self.axis])]
        if len(set(places)) < len(places):
            raise ValueError(f"an axis stands twice in {self.axis}")
        return Measured(inputs[0])
