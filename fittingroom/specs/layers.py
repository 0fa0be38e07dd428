"""The layers a network is made of, under Keras's names and with Keras's defaults.

Shapes are computed in `fittingroom.specs.validation.shapes`.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from fittingroom.specs.base import Bool, Int, Real, Spec
from fittingroom.specs.limits import (
    MAX_AXIS_LENGTH,
    MAX_FILTERS,
    MAX_KERNEL_SIZE,
    MAX_LAYERS,
    MAX_RESHAPE_RANK,
    MAX_UNITS,
)
from fittingroom.specs.search_space import SearchableInt, SearchableName, SearchableReal

ActivationName = Literal[
    "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "sigmoid", "hard_sigmoid",
    "softmax", "softplus", "softsign", "tanh", "exponential",
]  # fmt: skip
InitializerName = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal",
    "random_uniform", "random_normal", "truncated_normal", "orthogonal", "zeros", "ones",
]  # fmt: skip
Padding = Literal["valid", "same"]
Penalty = Annotated[Real, Field(ge=0, le=1e6)]
Size = Annotated[Int, Field(ge=1, le=MAX_KERNEL_SIZE)]
Rate = Annotated[Real, Field(ge=0, lt=1)]
Epsilon = Annotated[Real, Field(gt=0, le=1)]
LayerName = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Sides: TypeAlias = SearchableInt[Size] | tuple[Size, Size]


class Regularizer(Spec):
    """A penalty on the size of the weights, added to the loss (`keras.regularizers.L1L2`)."""

    l1: SearchableReal[Penalty] = 0.0
    """Factor of the sum of absolute weights."""
    l2: SearchableReal[Penalty] = 0.0
    """Factor of the sum of squared weights."""


class _Layer(Spec):
    """What all layers share."""

    name: LayerName | None = None
    """What later layers call it among their inputs, and Keras in its summary."""
    inputs: list[LayerName] | None = Field(default=None, min_length=1, max_length=MAX_LAYERS)
    """The names of the layers it takes from, `input` for the rows themselves; by default the layer before it."""


class _Weighted(_Layer):
    """What layers with a kernel share."""

    activation: SearchableName[ActivationName] = "linear"
    """What is applied to the output; `linear` changes nothing."""
    use_bias: SearchableName[Bool] = True
    """Whether a bias is added to the output."""
    kernel_initializer: SearchableName[InitializerName] = "glorot_uniform"
    """How the kernel starts."""
    bias_initializer: SearchableName[InitializerName] = "zeros"
    """How the bias starts."""
    kernel_regularizer: Regularizer | None = None
    """Penalty on the kernel."""
    bias_regularizer: Regularizer | None = None
    """Penalty on the bias."""


class Dense(_Weighted):
    """Every output sees every input (`keras.layers.Dense`)."""

    type: Literal["dense"]
    units: SearchableInt[Annotated[Int, Field(ge=1, le=MAX_UNITS)]]
    """How many outputs; in the last layer, one for each class."""


class Dropout(_Layer):
    """Sets a random part of its inputs to 0 while training (`keras.layers.Dropout`)."""

    type: Literal["dropout"]
    rate: SearchableReal[Rate]
    """The part that is set to 0, from 0 to below 1."""


class BatchNormalization(_Layer):
    """Centres and scales by the batch's own statistics (`keras.layers.BatchNormalization`)."""

    type: Literal["batch_normalization"]
    momentum: SearchableReal[Rate] = 0.99
    """How slowly the moving averages follow."""
    epsilon: SearchableReal[Epsilon] = 1e-3
    """Added to the variance, so that nothing is divided by 0."""
    center: SearchableName[Bool] = True
    """Whether a learned offset is added."""
    scale: SearchableName[Bool] = True
    """Whether a learned factor is applied."""


class LayerNormalization(_Layer):
    """Centres and scales each row by itself (`keras.layers.LayerNormalization`)."""

    type: Literal["layer_normalization"]
    epsilon: SearchableReal[Epsilon] = 1e-3
    """Added to the variance, so that nothing is divided by 0."""
    center: SearchableName[Bool] = True
    """Whether a learned offset is added."""
    scale: SearchableName[Bool] = True
    """Whether a learned factor is applied."""


class Activation(_Layer):
    """Applies a function to each number (`keras.layers.Activation`)."""

    type: Literal["activation"]
    activation: SearchableName[ActivationName]
    """The function's name."""


class Flatten(_Layer):
    """Lays all axes of a row end to end (`keras.layers.Flatten`)."""

    type: Literal["flatten"]


class Reshape(_Layer):
    """Gives the numbers of a row another shape (`keras.layers.Reshape`)."""

    type: Literal["reshape"]
    target_shape: list[Annotated[Int, Field(ge=-1, le=MAX_AXIS_LENGTH)]] = Field(
        min_length=1, max_length=MAX_RESHAPE_RANK
    )
    """The new shape without the batch axis; one axis may be -1 and takes what is left."""


class Conv2D(_Weighted):
    """Slides small filters over an image of height, width, channels (`keras.layers.Conv2D`)."""

    type: Literal["conv2d"]
    filters: SearchableInt[Annotated[Int, Field(ge=1, le=MAX_FILTERS)]]
    """How many filters, so how many output channels."""
    kernel_size: Sides
    """Height and width of a filter, or one number for both."""
    strides: Sides = 1
    """How far a filter moves, along height and width."""
    padding: SearchableName[Padding] = "valid"
    """`same` pads with zeros so that only strides make the image smaller."""


class MaxPooling2D(_Layer):
    """Keeps the largest number of each window (`keras.layers.MaxPooling2D`)."""

    type: Literal["max_pooling2d"]
    pool_size: Sides = 2
    """Height and width of the window, or one number for both."""
    strides: Sides | None = None
    """How far the window moves; by default its own size."""
    padding: SearchableName[Padding] = "valid"
    """`same` pads so that only strides make the image smaller."""


class GlobalAveragePooling2D(_Layer):
    """The mean of each channel over the whole image (`keras.layers.GlobalAveragePooling2D`)."""

    type: Literal["global_average_pooling2d"]


class Merging(_Layer):
    """Makes one of several inputs of the same shape, number by number."""

    type: Literal["add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate"]
    """What is done to them (`keras.layers.Add` and its like); `concatenate` lays their last axes end to end."""


Layer = Annotated[
    Dense
    | Dropout
    | BatchNormalization
    | LayerNormalization
    | Activation
    | Flatten
    | Reshape
    | Conv2D
    | MaxPooling2D
    | GlobalAveragePooling2D
    | Merging,
    Field(discriminator="type"),
]
