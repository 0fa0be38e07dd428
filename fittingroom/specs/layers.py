"""Layers, with the names and defaults of Keras.

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
    "softmax", "softplus", "softsign", "tanh", "exponential", "celu", "hard_silu", "hard_tanh", "hard_shrink",
    "soft_shrink", "tanh_shrink", "log_sigmoid", "log_softmax", "squareplus", "sparse_plus", "sparse_sigmoid",
    "sparsemax",
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
    """Weight penalty added to the loss (`keras.regularizers.L1L2`)."""

    l1: SearchableReal[Penalty] = 0.0
    """L1 factor: multiplies the sum of absolute weights."""
    l2: SearchableReal[Penalty] = 0.0
    """L2 factor: multiplies the sum of squared weights."""


class _Layer(Spec):
    """Fields of all layers."""

    name: LayerName | None = None
    """Layer name, for `inputs` of later layers and for Keras's summary."""
    inputs: list[LayerName] | None = Field(default=None, min_length=1, max_length=MAX_LAYERS)
    """Names of the input layers; `input` is the network's input. Default: the layer before."""


class _Weighted(_Layer):
    """Fields of layers with a kernel."""

    activation: SearchableName[ActivationName] = "linear"
    """Activation function; `linear` is the identity."""
    use_bias: SearchableName[Bool] = True
    """True to add a bias."""
    kernel_initializer: SearchableName[InitializerName] = "glorot_uniform"
    """Initializer of the kernel."""
    bias_initializer: SearchableName[InitializerName] = "zeros"
    """Initializer of the bias."""
    kernel_regularizer: Regularizer | None = None
    """Regularizer of the kernel."""
    bias_regularizer: Regularizer | None = None
    """Regularizer of the bias."""


class Dense(_Weighted):
    """Fully connected layer (`keras.layers.Dense`)."""

    type: Literal["dense"]
    units: SearchableInt[Annotated[Int, Field(ge=1, le=MAX_UNITS)]]
    """Number of outputs; in the last layer, one per class."""


class Dropout(_Layer):
    """Sets a random fraction of its inputs to 0 during training (`keras.layers.Dropout`)."""

    type: Literal["dropout"]
    rate: SearchableReal[Rate]
    """Fraction of inputs set to 0, from 0 to below 1."""


class BatchNormalization(_Layer):
    """Batch normalization (`keras.layers.BatchNormalization`)."""

    type: Literal["batch_normalization"]
    momentum: SearchableReal[Rate] = 0.99
    """Momentum of the moving averages."""
    epsilon: SearchableReal[Epsilon] = 1e-3
    """Small number added to the variance to avoid division by zero."""
    center: SearchableName[Bool] = True
    """True to add a learned offset (beta)."""
    scale: SearchableName[Bool] = True
    """True to multiply by a learned factor (gamma)."""


class LayerNormalization(_Layer):
    """Layer normalization (`keras.layers.LayerNormalization`)."""

    type: Literal["layer_normalization"]
    epsilon: SearchableReal[Epsilon] = 1e-3
    """Small number added to the variance to avoid division by zero."""
    center: SearchableName[Bool] = True
    """True to add a learned offset (beta)."""
    scale: SearchableName[Bool] = True
    """True to multiply by a learned factor (gamma)."""


class Activation(_Layer):
    """Element-wise activation function (`keras.layers.Activation`)."""

    type: Literal["activation"]
    activation: SearchableName[ActivationName]
    """Name of the function."""


class Flatten(_Layer):
    """Flattens each row to a vector (`keras.layers.Flatten`)."""

    type: Literal["flatten"]


class Reshape(_Layer):
    """Reshapes each row (`keras.layers.Reshape`)."""

    type: Literal["reshape"]
    target_shape: list[Annotated[Int, Field(ge=-1, le=MAX_AXIS_LENGTH)]] = Field(
        min_length=1, max_length=MAX_RESHAPE_RANK
    )
    """Target shape without the batch axis; one axis may be -1 and is inferred."""


class Conv2D(_Weighted):
    """2D convolution over height, width, channels (`keras.layers.Conv2D`)."""

    type: Literal["conv2d"]
    filters: SearchableInt[Annotated[Int, Field(ge=1, le=MAX_FILTERS)]]
    """Number of filters, i.e. output channels."""
    kernel_size: Sides
    """Height and width of the kernel, or one number for both."""
    strides: Sides = 1
    """Stride along height and width, or one number for both."""
    padding: SearchableName[Padding] = "valid"
    """`valid` for no padding, `same` for zero padding that keeps the size when the stride is 1."""


class MaxPooling2D(_Layer):
    """2D max pooling (`keras.layers.MaxPooling2D`)."""

    type: Literal["max_pooling2d"]
    pool_size: Sides = 2
    """Height and width of the window, or one number for both."""
    strides: Sides | None = None
    """Stride of the window. Default: `pool_size`."""
    padding: SearchableName[Padding] = "valid"
    """`valid` for no padding, `same` for padding that keeps the size when the stride is 1."""


class GlobalAveragePooling2D(_Layer):
    """Global average pooling: mean of each channel (`keras.layers.GlobalAveragePooling2D`)."""

    type: Literal["global_average_pooling2d"]


class Merging(_Layer):
    """Merges inputs: element by element where the shapes are equal (`subtract` takes two), or by concatenation."""

    type: Literal["add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate"]
    """Operation (`keras.layers.Add` and others); `concatenate` joins along the last axis."""


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
