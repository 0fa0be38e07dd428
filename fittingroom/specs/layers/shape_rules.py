"""Arithmetic of shapes that several layers share."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from fittingroom.specs.layers.layer_spec import LayerSpec, Shape, type_of
from fittingroom.specs.search.search_space import sampled_value

AXES = {1: "steps, channels", 2: "height, width, channels", 3: "depth, height, width, channels"}
"""Axes of what a layer with one, two or three spatial axes takes."""


def show(shape: Shape) -> str:
    """Return a shape for people."""
    return " x ".join(map(str, shape)) if len(shape) > 1 else f"{shape[0]} numbers in a row"


def show_all(shapes: Iterable[Shape]) -> str:
    """Return several shapes for people."""
    return ", ".join(map(show, shapes))


def spatial(layer: LayerSpec, shape: Shape, rank: int) -> tuple[Shape, int]:
    """Return the spatial sides and the channels of an input.

    Raises:
        ValueError: it has another rank.
    """
    if len(shape) != rank + 1:
        kind = {1: "series", 2: "images", 3: "volumes"}[rank]
        raise ValueError(
            f"{type_of(layer)} takes {kind} of {AXES[rank]}; found {show(shape)}; put a reshape layer before it"
        )
    return shape[:-1], shape[-1]


def sides(value: Any, rank: int) -> Shape:  # noqa: ANN401 - a searchable number, or a sequence of numbers
    """Return one number for each spatial axis."""
    plain = sampled_value(value)
    return tuple(plain) if isinstance(plain, Sequence) else (plain,) * rank


def slide(lengths: Shape, window: Shape, strides: Shape, padding: str) -> Shape:
    """Return how many places a window takes along each axis.

    Raises:
        ValueError: the window is larger than the input.
    """
    if padding != "valid":  # `same` and `causal`
        return tuple(math.ceil(length / stride) for length, stride in zip(lengths, strides, strict=True))
    if any(size > length for length, size in zip(lengths, window, strict=True)):
        what = "an image" if len(lengths) == 2 else "an input"
        raise ValueError(
            f"a window of {show(window)} does not fit {what} of {show(lengths)}; use padding 'same' or less pooling"
        )
    return tuple((length - size) // stride + 1 for length, size, stride in zip(lengths, window, strides, strict=True))


def axis_of(axis: int, shape: Shape) -> int:
    """Return an axis of a row, from 0, where Keras counts the batch axis as 0.

    Raises:
        ValueError: there is no such axis.
    """
    place = axis - 1 if axis > 0 else len(shape) + axis
    if axis == 0 or not 0 <= place < len(shape):
        raise ValueError(
            f"axis {axis} is none of {show(shape)}; axes count from 1, as 0 is the batch, or from -1, the last"
        )
    return place
