"""Convolutions over one, two or three spatial axes, with the names and defaults of Keras."""

import math
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from fittingroom.specs.base import Int, Spec
from fittingroom.specs.layers.activations import Activated
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape, type_of
from fittingroom.specs.layers.shape_rules import sides, slide, spatial
from fittingroom.specs.layers.weights import Bias, Kernel
from fittingroom.specs.limits import MAX_FILTERS, MAX_KERNEL_SIZE
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.search.searchable import SearchableInt, SearchableName

Size = Annotated[Int, Field(ge=1, le=MAX_KERNEL_SIZE)]
Sides1: TypeAlias = SearchableInt[Size] | tuple[Size]
Sides2: TypeAlias = SearchableInt[Size] | tuple[Size, Size]
Sides3: TypeAlias = SearchableInt[Size] | tuple[Size, Size, Size]
Padding = Literal["valid", "same"]
Filters = Annotated[Int, Field(ge=1, le=MAX_FILTERS)]
_Rest = Annotated[Int, Field(ge=0, le=MAX_KERNEL_SIZE)]


class Windowed(LayerSpec):
    """Fields of layers whose kernel slides over spatial axes."""

    convolves = True
    rank: ClassVar[int]
    """Number of spatial axes."""

    padding: SearchableName[Padding] = "valid"
    """`valid` for no padding, `same` for zero padding that keeps the size when the stride is 1."""

    def rank_of(self, weights: str) -> int:
        """See the base."""
        return 1 if weights == "bias" else self.rank + 2

    @model_validator(mode="after")
    def _strides_or_dilation(self) -> Self:
        try:
            strides, dilation = sides(self.strides, self.rank), sides(self.dilation_rate, self.rank)  # type: ignore[attr-defined]
        except TypeError:  # a search space, which is looked at when its values are drawn
            return self
        if max(strides) > 1 and max(dilation) > 1:
            raise ValueError(f"strides {strides} and dilation_rate {dilation} cannot both be above 1")
        return self


class Convolution(Windowed):
    """Fields of all convolutions."""

    def kernel(self) -> Shape:
        """Return the spatial sides of the kernel."""
        return sides(self.kernel_size, self.rank)  # type: ignore[attr-defined]

    def slid(self, shape: Shape) -> tuple[Shape, int]:
        """Return the spatial sides of the output, and the channels of the input."""
        lengths, channels = spatial(self, shape, self.rank)
        dilation = sides(self.dilation_rate, self.rank)  # type: ignore[attr-defined]
        window = tuple((size - 1) * rate + 1 for size, rate in zip(self.kernel(), dilation, strict=True))
        strides = sides(self.strides, self.rank)  # type: ignore[attr-defined]
        return slide(lengths, window, strides, sampled_value(self.padding)), channels


class _Filtered(Activated, Kernel, Bias, Spec):
    """Options of convolutions with filters."""

    filters: SearchableInt[Filters]
    """Number of filters, i.e. output channels."""


class _Grouped(_Filtered, Convolution):
    """Fields of plain convolutions."""

    groups: SearchableInt[Filters] = 1
    """Number of groups into which channels and filters are divided; each group is convolved by itself."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        output, channels = self.slid(inputs[0])
        filters, groups = sampled_value(self.filters), sampled_value(self.groups)
        if channels % groups or filters % groups:
            raise ValueError(
                f"{type_of(self)} cannot divide {channels} channels and {filters} filters into {groups} groups"
            )
        weights = math.prod(self.kernel()) * channels // groups * filters
        bias = filters if sampled_value(self.use_bias) else 0
        return Measured((*output, filters), weights + bias, weights * math.prod(output))


class Conv1D(_Grouped):
    """1D convolution over steps, channels (`keras.layers.Conv1D`)."""

    rank = 1
    type: Literal["conv1d"]
    kernel_size: Sides1
    """Length of the kernel."""
    strides: Sides1 = 1
    """Stride along the steps."""
    dilation_rate: Sides1 = 1
    """Distance between the steps that a kernel sees."""
    padding: SearchableName[Literal["valid", "same", "causal"]] = "valid"  # type: ignore[assignment]  # one more
    """`valid` for no padding, `same` for zero padding that keeps the length when the stride is 1, `causal` for the same
    with all padding before the first step."""


class Conv2D(_Grouped):
    """2D convolution over height, width, channels (`keras.layers.Conv2D`)."""

    rank = 2
    type: Literal["conv2d"]
    kernel_size: Sides2
    """Height and width of the kernel, or one number for both."""
    strides: Sides2 = 1
    """Stride along height and width, or one number for both."""
    dilation_rate: Sides2 = 1
    """Distance between the points that a kernel sees, or one number for both axes."""


class Conv3D(_Grouped):
    """3D convolution over depth, height, width, channels (`keras.layers.Conv3D`)."""

    rank = 3
    type: Literal["conv3d"]
    kernel_size: Sides3
    """Depth, height and width of the kernel, or one number for all."""
    strides: Sides3 = 1
    """Stride along each axis, or one number for all."""
    dilation_rate: Sides3 = 1
    """Distance between the points that a kernel sees, or one number for all axes."""


class _Transposed(_Filtered, Convolution):
    """Fields of transposed convolutions."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        lengths, channels = spatial(self, inputs[0], self.rank)
        dilation, strides = sides(self.dilation_rate, self.rank), sides(self.strides, self.rank)  # type: ignore[attr-defined]
        window = tuple((size - 1) * rate + 1 for size, rate in zip(self.kernel(), dilation, strict=True))
        given = self.output_padding  # type: ignore[attr-defined]
        rest: tuple[int | None, ...] = (None,) * self.rank if given is None else sides(given, self.rank)
        if any(one is not None and one >= stride for one, stride in zip(rest, strides, strict=True)):
            raise ValueError(f"output_padding {given} must be below the strides {strides}")
        output = tuple(map(self._length, lengths, window, strides, rest))
        if min(output) < 1:
            raise ValueError(f"{type_of(self)} would give {output}; use less strides or another padding")
        filters = sampled_value(self.filters)
        weights = math.prod(self.kernel()) * channels * filters
        bias = filters if sampled_value(self.use_bias) else 0
        return Measured((*output, filters), weights + bias, weights * math.prod(lengths))

    def _length(self, length: int, window: int, stride: int, rest: int | None) -> int:
        """Return the length of an axis, by the rule of Keras's `compute_conv_transpose_output_shape`."""
        if sampled_value(self.padding) == "valid":
            return (length - 1) * stride + window + (max(window, stride) - window if rest is None else rest)
        return length * stride if rest is None else (length - 1) * stride + window % 2 + rest


class Conv1DTranspose(_Transposed):
    """Transposed 1D convolution (`keras.layers.Conv1DTranspose`)."""

    rank = 1
    type: Literal["conv1d_transpose"]
    kernel_size: Sides1
    """Length of the kernel."""
    strides: Sides1 = 1
    """Stride along the steps of the output."""
    output_padding: _Rest | tuple[_Rest] | None = None
    """Steps added at one end of the output. Default: inferred."""
    dilation_rate: Sides1 = 1
    """Distance between the steps that a kernel writes."""


class Conv2DTranspose(_Transposed):
    """Transposed 2D convolution (`keras.layers.Conv2DTranspose`)."""

    rank = 2
    type: Literal["conv2d_transpose"]
    kernel_size: Sides2
    """Height and width of the kernel, or one number for both."""
    strides: Sides2 = 1
    """Stride along height and width of the output, or one number for both."""
    output_padding: _Rest | tuple[_Rest, _Rest] | None = None
    """Points added at one end of each axis of the output. Default: inferred."""
    dilation_rate: Sides2 = 1
    """Distance between the points that a kernel writes, or one number for both axes."""


class Conv3DTranspose(_Transposed):
    """Transposed 3D convolution (`keras.layers.Conv3DTranspose`)."""

    rank = 3
    type: Literal["conv3d_transpose"]
    kernel_size: Sides3
    """Depth, height and width of the kernel, or one number for all."""
    strides: Sides3 = 1
    """Stride along each axis of the output, or one number for all."""
    output_padding: _Rest | tuple[_Rest, _Rest, _Rest] | None = None
    """Points added at one end of each axis of the output. Default: inferred."""
    dilation_rate: Sides3 = 1
    """Distance between the points that a kernel writes, or one number for all axes."""
