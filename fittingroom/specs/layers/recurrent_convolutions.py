"""Recurrent layers of convolutions, with the names and defaults of Keras."""

import math
from typing import Literal

from fittingroom.specs.base import Bool
from fittingroom.specs.layers.activations import Activated, ActivationFunction
from fittingroom.specs.layers.convolutions import Filters, Sides1, Sides2, Sides3, Windowed
from fittingroom.specs.layers.dropouts import Rate
from fittingroom.specs.layers.layer_spec import Measured, Shape, type_of
from fittingroom.specs.layers.recurrent import SequenceLayer
from fittingroom.specs.layers.shape_rules import show, sides, slide
from fittingroom.specs.layers.weights import AnyRegularizer, Bias, Constraint, Initializer, Kernel
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.search.searchable import SearchableInt, SearchableName, SearchableReal


class _ConvLSTM(Activated, Kernel, Bias, Windowed, SequenceLayer):
    """Fields of recurrent convolutions."""

    filters: SearchableInt[Filters]
    """Number of filters, i.e. output channels."""
    activation: ActivationFunction = "tanh"
    """Activation function of the output."""
    recurrent_activation: ActivationFunction = "sigmoid"
    """Activation function of the gates."""
    recurrent_initializer: Initializer = "orthogonal"
    """Initializer of the kernel that takes the output of the step before."""
    unit_forget_bias: SearchableName[Bool] = True
    """True to begin with 1 as the bias of the forget gate."""
    recurrent_regularizer: AnyRegularizer | None = None
    """Regularizer of that kernel."""
    recurrent_constraint: Constraint | None = None
    """Constraint of that kernel."""
    dropout: SearchableReal[Rate] = 0.0
    """Fraction of the inputs set to 0 in training."""
    recurrent_dropout: SearchableReal[Rate] = 0.0
    """Fraction of the outputs of the step before set to 0 in training."""

    @property
    def is_random(self) -> bool:
        """See the base."""
        return bool(sampled_value(self.dropout) or sampled_value(self.recurrent_dropout))

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        if len(inputs[0]) != self.rank + 2:
            raise ValueError(
                f"{type_of(self)} takes sequences with {self.rank + 2} axes: steps, {self.rank} spatial ones, channels"
                f"; found {show(inputs[0])}; put a reshape layer before it"
            )
        steps, *lengths, channels = inputs[0]
        size, filters = sides(self.kernel_size, self.rank), sampled_value(self.filters)  # type: ignore[attr-defined]
        dilation, strides = sides(self.dilation_rate, self.rank), sides(self.strides, self.rank)  # type: ignore[attr-defined]
        window = tuple((one - 1) * rate + 1 for one, rate in zip(size, dilation, strict=True))
        output = slide(tuple(lengths), window, strides, sampled_value(self.padding))
        kernels = 4 * math.prod(size) * filters * (channels + filters)
        bias = 4 * filters if sampled_value(self.use_bias) else 0
        products = kernels * math.prod(output) * steps
        return Measured(self.output_of(steps, (*output, filters)), kernels + bias, products, steps=steps)


class ConvLSTM1D(_ConvLSTM):
    """Long short-term memory of series, by convolutions (`keras.layers.ConvLSTM1D`)."""

    rank = 1
    type: Literal["conv_lstm1d"]
    kernel_size: Sides1
    """Length of the kernel."""
    strides: Sides1 = 1
    """Stride of the kernel."""
    dilation_rate: Sides1 = 1
    """Distance between the points that a kernel sees."""


class ConvLSTM2D(_ConvLSTM):
    """Long short-term memory of images, by convolutions (`keras.layers.ConvLSTM2D`)."""

    rank = 2
    type: Literal["conv_lstm2d"]
    kernel_size: Sides2
    """Height and width of the kernel, or one number for both."""
    strides: Sides2 = 1
    """Stride along height and width, or one number for both."""
    dilation_rate: Sides2 = 1
    """Distance between the points that a kernel sees, or one number for both axes."""


class ConvLSTM3D(_ConvLSTM):
    """Long short-term memory of volumes, by convolutions (`keras.layers.ConvLSTM3D`)."""

    rank = 3
    type: Literal["conv_lstm3d"]
    kernel_size: Sides3
    """Depth, height and width of the kernel, or one number for all."""
    strides: Sides3 = 1
    """Stride along each axis, or one number for all."""
    dilation_rate: Sides3 = 1
    """Distance between the points that a kernel sees, or one number for all axes."""
