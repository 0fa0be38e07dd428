"""Pooling over one, two or three spatial axes, with the names and defaults of Keras."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fittingroom.specs.base import Bool, Int
from fittingroom.specs.layers.convolutions import Padding, Sides1, Sides2, Sides3
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape
from fittingroom.specs.layers.shape_rules import show, sides, slide, spatial
from fittingroom.specs.limits import MAX_AXIS_LENGTH
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.search.searchable import SearchableInt, SearchableName

_Length = Annotated[Int, Field(ge=1, le=MAX_AXIS_LENGTH)]


class _Pooling(LayerSpec):
    """Fields of pooling by a window."""

    rank: ClassVar[int]
    """Number of spatial axes."""

    padding: SearchableName[Padding] = "valid"
    """`valid` for no padding, `same` for padding that keeps the size when the stride is 1."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        lengths, channels = spatial(self, inputs[0], self.rank)
        options: Any = self
        window = sides(options.pool_size, self.rank)
        strides = window if options.strides is None else sides(options.strides, self.rank)
        return Measured((*slide(lengths, window, strides, sampled_value(self.padding)), channels))


class MaxPooling1D(_Pooling):
    """1D max pooling (`keras.layers.MaxPooling1D`)."""

    rank = 1
    type: Literal["max_pooling1d"]
    pool_size: Sides1 = 2
    """Length of the window."""
    strides: Sides1 | None = None
    """Stride of the window. Default: `pool_size`."""


class MaxPooling2D(_Pooling):
    """2D max pooling (`keras.layers.MaxPooling2D`)."""

    rank = 2
    type: Literal["max_pooling2d"]
    pool_size: Sides2 = 2
    """Height and width of the window, or one number for both."""
    strides: Sides2 | None = None
    """Stride of the window. Default: `pool_size`."""


class MaxPooling3D(_Pooling):
    """3D max pooling (`keras.layers.MaxPooling3D`)."""

    rank = 3
    type: Literal["max_pooling3d"]
    pool_size: Sides3 = 2
    """Depth, height and width of the window, or one number for all."""
    strides: Sides3 | None = None
    """Stride of the window. Default: `pool_size`."""


class AveragePooling1D(_Pooling):
    """1D average pooling (`keras.layers.AveragePooling1D`)."""

    rank = 1
    type: Literal["average_pooling1d"]
    pool_size: Sides1 = 2
    """Length of the window. Here 2 by default, as for max pooling; Keras has no default."""
    strides: Sides1 | None = None
    """Stride of the window. Default: `pool_size`."""


class AveragePooling2D(_Pooling):
    """2D average pooling (`keras.layers.AveragePooling2D`)."""

    rank = 2
    type: Literal["average_pooling2d"]
    pool_size: Sides2 = 2
    """Height and width of the window, or one number for both. Here 2 by default; Keras has no default."""
    strides: Sides2 | None = None
    """Stride of the window. Default: `pool_size`."""


class AveragePooling3D(_Pooling):
    """3D average pooling (`keras.layers.AveragePooling3D`)."""

    rank = 3
    type: Literal["average_pooling3d"]
    pool_size: Sides3 = 2
    """Depth, height and width of the window, or one number for all. Here 2 by default; Keras has no default."""
    strides: Sides3 | None = None
    """Stride of the window. Default: `pool_size`."""


class _GlobalPooling(LayerSpec):
    """Fields of pooling over all spatial axes."""

    rank: ClassVar[int]
    """Number of spatial axes."""

    keepdims: SearchableName[Bool] = False
    """True to keep the spatial axes, with length 1."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        _, channels = spatial(self, inputs[0], self.rank)
        return Measured((*[1] * self.rank, channels) if sampled_value(self.keepdims) else (channels,))


class GlobalAveragePooling1D(_GlobalPooling):
    """Global average pooling: mean of each channel over the steps (`keras.layers.GlobalAveragePooling1D`)."""

    rank = 1
    type: Literal["global_average_pooling1d"]


class GlobalAveragePooling2D(_GlobalPooling):
    """Global average pooling: mean of each channel (`keras.layers.GlobalAveragePooling2D`)."""

    rank = 2
    type: Literal["global_average_pooling2d"]


class GlobalAveragePooling3D(_GlobalPooling):
    """Global average pooling: mean of each channel of a volume (`keras.layers.GlobalAveragePooling3D`)."""

    rank = 3
    type: Literal["global_average_pooling3d"]


class GlobalMaxPooling1D(_GlobalPooling):
    """Global max pooling: maximum of each channel over the steps (`keras.layers.GlobalMaxPooling1D`)."""

    rank = 1
    type: Literal["global_max_pooling1d"]


class GlobalMaxPooling2D(_GlobalPooling):
    """Global max pooling: maximum of each channel (`keras.layers.GlobalMaxPooling2D`)."""

    rank = 2
    type: Literal["global_max_pooling2d"]


class GlobalMaxPooling3D(_GlobalPooling):
    """Global max pooling: maximum of each channel of a volume (`keras.layers.GlobalMaxPooling3D`)."""

    rank = 3
    type: Literal["global_max_pooling3d"]


class _AdaptivePooling(LayerSpec):
    """Fields of pooling to a given size."""

    rank: ClassVar[int]
    """Number of spatial axes."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        lengths, channels = spatial(self, inputs[0], self.rank)
        output = sides(self.output_size, self.rank)  # type: ignore[attr-defined]
        if any(wanted > length for wanted, length in zip(output, lengths, strict=True)):
            raise ValueError(f"output_size {show(output)} is above the input's {show(lengths)}")
        if 1 in output:  # Keras 3.15 pools by a window beyond the input as well, and TensorFlow then divides by 0
            raise ValueError("an output_size of 1 is not supported; use global pooling, or a reshape after pooling")
        return Measured((*output, channels))


class AdaptiveAveragePooling1D(_AdaptivePooling):
    """1D average pooling to a given length (`keras.layers.AdaptiveAveragePooling1D`)."""

    rank = 1
    type: Literal["adaptive_average_pooling1d"]
    output_size: SearchableInt[_Length] | tuple[_Length]
    """Length of the output."""


class AdaptiveAveragePooling2D(_AdaptivePooling):
    """2D average pooling to a given size (`keras.layers.AdaptiveAveragePooling2D`)."""

    rank = 2
    type: Literal["adaptive_average_pooling2d"]
    output_size: SearchableInt[_Length] | tuple[_Length, _Length]
    """Height and width of the output, or one number for both."""


class AdaptiveAveragePooling3D(_AdaptivePooling):
    """3D average pooling to a given size (`keras.layers.AdaptiveAveragePooling3D`)."""

    rank = 3
    type: Literal["adaptive_average_pooling3d"]
    output_size: SearchableInt[_Length] | tuple[_Length, _Length, _Length]
    """Depth, height and width of the output, or one number for all."""


class AdaptiveMaxPooling1D(_AdaptivePooling):
    """1D max pooling to a given length (`keras.layers.AdaptiveMaxPooling1D`)."""

    rank = 1
    type: Literal["adaptive_max_pooling1d"]
    output_size: SearchableInt[_Length] | tuple[_Length]
    """Length of the output."""


class AdaptiveMaxPooling2D(_AdaptivePooling):
    """2D max pooling to a given size (`keras.layers.AdaptiveMaxPooling2D`)."""

    rank = 2
    type: Literal["adaptive_max_pooling2d"]
    output_size: SearchableInt[_Length] | tuple[_Length, _Length]
    """Height and width of the output, or one number for both."""


class AdaptiveMaxPooling3D(_AdaptivePooling):
    """3D max pooling to a given size (`keras.layers.AdaptiveMaxPooling3D`)."""

    rank = 3
    type: Literal["adaptive_max_pooling3d"]
    output_size: SearchableInt[_Length] | tuple[_Length, _Length, _Length]
    """Depth, height and width of the output, or one number for all."""
