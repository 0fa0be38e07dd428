"""Layers of several inputs, with the names and defaults of Keras."""

from typing import Annotated, Literal

from pydantic import Field

from fittingroom.specs.base import Bool, Int
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape, type_of
from fittingroom.specs.layers.shape_rules import axis_of, show_all
from fittingroom.specs.limits import MAX_LAYERS
from fittingroom.specs.search.searchable import SearchableName

_Axis = Annotated[Int, Field(ge=-8, le=8)]


class _Merging(LayerSpec):
    """Fields of layers that merge two inputs or more."""

    inputs_taken = (2, MAX_LAYERS)
    inputs_as = "list"


class _ElementWise(_Merging):
    """Fields of layers that merge element by element."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base. An axis of length 1 is repeated."""
        lengths = [set(axis) - {1} for axis in zip(*inputs, strict=False)]
        if len({len(shape) for shape in inputs}) > 1 or any(len(different) > 1 for different in lengths):
            raise ValueError(f"{type_of(self)} needs inputs of one shape, found {show_all(inputs)}")
        return Measured(tuple(max(axis) for axis in zip(*inputs, strict=True)))


class Add(_ElementWise):
    """Sum of the inputs (`keras.layers.Add`)."""

    type: Literal["add"]


class Subtract(_ElementWise):
    """First input minus the second (`keras.layers.Subtract`)."""

    inputs_taken = (2, 2)
    type: Literal["subtract"]


class Multiply(_ElementWise):
    """Product of the inputs (`keras.layers.Multiply`)."""

    type: Literal["multiply"]


class Average(_ElementWise):
    """Mean of the inputs (`keras.layers.Average`)."""

    type: Literal["average"]


class Maximum(_ElementWise):
    """Largest of the inputs (`keras.layers.Maximum`)."""

    type: Literal["maximum"]


class Minimum(_ElementWise):
    """Smallest of the inputs (`keras.layers.Minimum`)."""

    type: Literal["minimum"]


class Concatenate(_Merging):
    """Inputs one after the other along an axis (`keras.layers.Concatenate`)."""

    type: Literal["concatenate"]
    axis: _Axis = -1
    """The axis."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        first = inputs[0]
        place = axis_of(self.axis, first)
        others = [(*shape[:place], *shape[place + 1 :]) for shape in inputs]
        if len({len(shape) for shape in inputs}) > 1 or len(set(others)) > 1:
            which = "the last axis" if place == len(first) - 1 else f"axis {self.axis}"
            raise ValueError(f"concatenate needs inputs that differ in {which} only, found {show_all(inputs)}")
        return Measured((*first[:place], sum(shape[place] for shape in inputs), *first[place + 1 :]))


class Dot(_Merging):
    """Scalar products of two inputs along an axis (`keras.layers.Dot`)."""

    inputs_taken = (2, 2)
    type: Literal["dot"]
    axes: _Axis | tuple[_Axis, _Axis]
    """Axis of the product, counted from 1, in both inputs or in each."""
    normalize: SearchableName[Bool] = False
    """True to scale both to the norm 1 first, for cosines."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        one, other = inputs
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        first, second = axis_of(axes[0], one), axis_of(axes[1], other)
        if one[first] != other[second]:
            raise ValueError(f"dot needs axes of one length, found {one[first]} and {other[second]}")
        rest = (*one[:first], *one[first + 1 :], *other[:second], *other[second + 1 :])
        products = 1
        for length in rest:
            products *= length
        return Measured(rest or (1,), 0, products * one[first])
