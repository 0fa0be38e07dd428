"""Layers that lay their input out anew, with the names and defaults of Keras."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fittingroom.specs.base import Int
from fittingroom.specs.layers.convolutions import Sides2, Sides3
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape, type_of
from fittingroom.specs.layers.shape_rules import show, sides, spatial
from fittingroom.specs.limits import MAX_AXIS_LENGTH, MAX_RESHAPE_RANK
from fittingroom.specs.search.searchable import SearchableInt, SearchableName

_Length = Annotated[Int, Field(ge=1, le=MAX_AXIS_LENGTH)]
_Margin = Annotated[Int, Field(ge=0, le=MAX_AXIS_LENGTH)]
_Ends = tuple[_Margin, _Margin]


class Flatten(LayerSpec):
    """Flattens each row to a vector (`keras.layers.Flatten`)."""

    type: Literal["flatten"]

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        return Measured((math.prod(inputs[0]),))


class Reshape(LayerSpec):
    """Reshapes each row (`keras.layers.Reshape`)."""

    type: Literal["reshape"]
    target_shape: list[Annotated[Int, Field(ge=-1, le=MAX_AXIS_LENGTH)]] = Field(
        min_length=1, max_length=MAX_RESHAPE_RANK
    )
    """Target shape without the batch axis; one axis may be -1 and is inferred."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        [shape] = inputs
        target, size = self.target_shape, math.prod(shape)
        if target.count(-1) > 1 or 0 in target:
            raise ValueError(f"expected axes of at least 1, and at most one -1, found {target}")
        known = math.prod(axis for axis in target if axis != -1)
        if (size % known if -1 in target else size - known) != 0:
            raise ValueError(f"cannot give {size} numbers ({show(shape)}) the shape {target}")
        return Measured(tuple(size // known if axis == -1 else axis for axis in target))


class Permute(LayerSpec):
    """Puts the axes in another order (`keras.layers.Permute`)."""

    type: Literal["permute"]
    dims: Annotated[list[Annotated[Int, Field(ge=1, le=8)]], Field(min_length=1, max_length=8)]
    """The axes in their new order, counted from 1."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        [shape] = inputs
        if sorted(self.dims) != list(range(1, len(shape) + 1)):
            raise ValueError(
                f"dims must name each axis of {show(shape)} once, from 1 to {len(shape)}; found {self.dims}"
            )
        return Measured(tuple(shape[axis - 1] for axis in self.dims))


class RepeatVector(LayerSpec):
    """Repeats a vector as the steps of a sequence (`keras.layers.RepeatVector`)."""

    type: Literal["repeat_vector"]
    n: SearchableInt[_Length]
    """Number of steps."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        if len(inputs[0]) != 1:
            raise ValueError(f"repeat_vector takes a vector; found {show(inputs[0])}")
        return Measured((*sides(self.n, 1), *inputs[0]))


def _margins(given: int | tuple[int | tuple[int, int], ...], rank: int) -> list[tuple[int, int]]:
    """Return what stands at both ends of each axis."""
    if isinstance(given, int):
        return [(given, given)] * rank
    if rank == 1 and len(given) == 2:
        return [(int(given[0]), int(given[1]))]  # type: ignore[arg-type]  # of one axis they are its ends
    return [(one, one) if isinstance(one, int) else one for one in given]


class _Cropping(LayerSpec):
    """Fields of layers that take away from the ends of axes."""

    rank: ClassVar[int]
    """Number of spatial axes."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        lengths, channels = spatial(self, inputs[0], self.rank)
        margins = _margins(self.cropping, self.rank)  # type: ignore[attr-defined]
        output = tuple(length - sum(ends) for length, ends in zip(lengths, margins, strict=True))
        if min(output) < 1:
            raise ValueError(f"{type_of(self)} would leave nothing of {show(lengths)}")
        return Measured((*output, channels))


class Cropping1D(_Cropping):
    """Takes steps away from both ends (`keras.layers.Cropping1D`)."""

    rank = 1
    type: Literal["cropping1d"]
    cropping: _Margin | _Ends = (1, 1)
    """Steps at the beginning and the end, or one number for both."""


class Cropping2D(_Cropping):
    """Takes rows and columns away from an image (`keras.layers.Cropping2D`)."""

    rank = 2
    type: Literal["cropping2d"]
    cropping: _Margin | tuple[_Margin | _Ends, _Margin | _Ends] = ((0, 0), (0, 0))
    """Number for height and for width, or two for the ends of each; or one number for all."""


class Cropping3D(_Cropping):
    """Takes planes away from a volume (`keras.layers.Cropping3D`)."""

    rank = 3
    type: Literal["cropping3d"]
    cropping: _Margin | tuple[_Margin | _Ends, _Margin | _Ends, _Margin | _Ends] = ((1, 1), (1, 1), (1, 1))
    """Number for depth, height and width, or two for the ends of each; or one number for all."""


class _ZeroPadding(LayerSpec):
    """Fields of layers that add zeros at the ends of axes."""

    rank: ClassVar[int]
    """Number of spatial axes."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        lengths, channels = spatial(self, inputs[0], self.rank)
        margins = _margins(self.padding, self.rank)  # type: ignore[attr-defined]
        return Measured((*(length + sum(ends) for length, ends in zip(lengths, margins, strict=True)), channels))


class ZeroPadding1D(_ZeroPadding):
    """Adds steps of zeros at both ends (`keras.layers.ZeroPadding1D`)."""

    rank = 1
    type: Literal["zero_padding1d"]
    padding: _Margin | _Ends = 1
    """Steps at the beginning and the end, or one number for both."""


class ZeroPadding2D(_ZeroPadding):
    """Adds rows and columns of zeros around an image (`keras.layers.ZeroPadding2D`)."""

    rank = 2
    type: Literal["zero_padding2d"]
    padding: _Margin | tuple[_Margin | _Ends, _Margin | _Ends] = 1
    """Number for height and for width, or two for the ends of each; or one number for all."""


class ZeroPadding3D(_ZeroPadding):
    """Adds planes of zeros around a volume (`keras.layers.ZeroPadding3D`)."""

    rank = 3
    type: Literal["zero_padding3d"]
    padding: _Margin | tuple[_Margin | _Ends, _Margin | _Ends, _Margin | _Ends] = 1
    """Number for depth, height and width, or two for the ends of each; or one number for all."""


class _UpSampling(LayerSpec):
    """Fields of layers that repeat along axes."""

    rank: ClassVar[int]
    """Number of spatial axes."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        lengths, channels = spatial(self, inputs[0], self.rank)
        factors = sides(self.size, self.rank)  # type: ignore[attr-defined]
        return Measured((*(length * factor for length, factor in zip(lengths, factors, strict=True)), channels))


class UpSampling1D(_UpSampling):
    """Repeats each step (`keras.layers.UpSampling1D`)."""

    rank = 1
    type: Literal["up_sampling1d"]
    size: SearchableInt[_Length] = 2
    """Number of repetitions."""


class UpSampling2D(_UpSampling):
    """Enlarges an image (`keras.layers.UpSampling2D`)."""

    rank = 2
    type: Literal["up_sampling2d"]
    size: Sides2 = 2
    """Factors of height and width, or one number for both."""
    interpolation: SearchableName[Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]] = "nearest"
    """Values between the given ones."""


class UpSampling3D(_UpSampling):
    """Enlarges a volume (`keras.layers.UpSampling3D`)."""

    rank = 3
    type: Literal["up_sampling3d"]
    size: Sides3 = 2
    """Factors of depth, height and width, or one number for all."""
