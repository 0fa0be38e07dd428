"""Convolutions of each channel by itself, with the names and defaults of Keras."""

import math
from typing import Literal

from fittingroom.specs.layers.activations import Activated
from fittingroom.specs.layers.convolutions import Convolution, Filters, Sides1, Sides2
from fittingroom.specs.layers.layer_spec import Measured, Shape
from fittingroom.specs.layers.weights import AnyRegularizer, Bias, Constraint, Initializer
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.search.searchable import SearchableInt


class _Depthwise(Activated, Bias, Convolution):
    """Fields of convolutions of each channel by itself."""

    depth_multiplier: SearchableInt[Filters] = 1
    """Number of filters per channel."""
    depthwise_initializer: Initializer = "glorot_uniform"
    """Initializer of the kernel of each channel."""
    depthwise_regularizer: AnyRegularizer | None = None
    """Regularizer of the kernel of each channel."""
    depthwise_constraint: Constraint | None = None
    """Constraint of the kernel of each channel."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        output, channels = self.slid(inputs[0])
        filters = channels * sampled_value(self.depth_multiplier)
        weights = math.prod(self.kernel()) * filters
        bias = filters if sampled_value(self.use_bias) else 0
        return Measured((*output, filters), weights + bias, weights * math.prod(output))


class DepthwiseConv1D(_Depthwise):
    """1D convolution of each channel by itself (`keras.layers.DepthwiseConv1D`)."""

    rank = 1
    type: Literal["depthwise_conv1d"]
    kernel_size: Sides1
    """Length of the kernel."""
    strides: Sides1 = 1
    """Stride along the steps."""
    dilation_rate: Sides1 = 1
    """Distance between the steps that a kernel sees."""


class DepthwiseConv2D(_Depthwise):
    """2D convolution of each channel by itself (`keras.layers.DepthwiseConv2D`)."""

    rank = 2
    type: Literal["depthwise_conv2d"]
    kernel_size: Sides2
    """Height and width of the kernel, or one number for both."""
    strides: Sides2 = 1
    """Stride along height and width, or one number for both."""
    dilation_rate: Sides2 = 1
    """Distance between the points that a kernel sees, or one number for both axes."""


class _Separable(_Depthwise):
    """Fields of convolutions of each channel, whose results are then mixed."""

    filters: SearchableInt[Filters]
    """Number of filters, i.e. output channels."""
    pointwise_initializer: Initializer = "glorot_uniform"
    """Initializer of the kernel that mixes channels."""
    pointwise_regularizer: AnyRegularizer | None = None
    """Regularizer of the kernel that mixes channels."""
    pointwise_constraint: Constraint | None = None
    """Constraint of the kernel that mixes channels."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        output, channels = self.slid(inputs[0])
        between, filters = channels * sampled_value(self.depth_multiplier), sampled_value(self.filters)
        weights = math.prod(self.kernel()) * between + between * filters
        bias = filters if sampled_value(self.use_bias) else 0
        return Measured((*output, filters), weights + bias, weights * math.prod(output))


class SeparableConv1D(_Separable):
    """1D convolution of each channel, then of all channels at each step (`keras.layers.SeparableConv1D`)."""

    rank = 1
    type: Literal["separable_conv1d"]
    kernel_size: Sides1
    """Length of the kernel."""
    strides: Sides1 = 1
    """Stride along the steps."""
    dilation_rate: Sides1 = 1
    """Distance between the steps that a kernel sees."""


class SeparableConv2D(_Separable):
    """2D convolution of each channel, then of all channels at each point (`keras.layers.SeparableConv2D`)."""

    rank = 2
    type: Literal["separable_conv2d"]
    kernel_size: Sides2
    """Height and width of the kernel, or one number for both."""
    strides: Sides2 = 1
    """Stride along height and width, or one number for both."""
    dilation_rate: Sides2 = 1
    """Distance between the points that a kernel sees, or one number for both axes."""
