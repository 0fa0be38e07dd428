"""Shapes of an einsum equation's parts."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from fittingroom.specs.layers.layer_spec import Shape
from fittingroom.specs.layers.shape_rules import show


class EinsumShapes(NamedTuple):
    """Shapes of an equation's parts, without the batch axis."""

    output: Shape
    kernel: Shape
    bias: Shape
    """Without axes if there is no bias."""
    multiplications: int
    """Multiply-adds per row."""


def einsum_shapes(equation: str, shape: Shape, wanted: Sequence[int | None], bias_axes: str) -> EinsumShapes:
    """Return the shapes of output, kernel and bias of `EinsumDense`.

    Args:
        equation: such as `ab,bc->ac`, possibly with `...` before input and output.
        shape: of the input, without the batch axis.
        wanted: shape of the output, without the batch axis; None where the input has the axis.
        bias_axes: letters of the output.

    Raises:
        ValueError: they do not belong together.
    """
    source, kernel, output, wanted = _written_out(equation, shape, wanted)
    sizes = _sizes(equation, source, output, kernel, shape, wanted)
    if unknown := [letter for letter in kernel if letter not in sizes]:
        raise ValueError(f"the axis {unknown[0]!r} of the kernel is in no other part of {equation!r}")
    if unknown := [letter for letter in source[1:] if letter not in kernel and letter not in output]:
        raise ValueError(f"the axis {unknown[0]!r} of the input is in no other part of {equation!r}")
    if any(letter not in output[1:] for letter in bias_axes) or len(set(bias_axes)) < len(bias_axes):
        raise ValueError(f"bias_axes {bias_axes!r} must be letters of the output of {equation!r}")
    after = output[min(map(output.index, bias_axes)) :] if bias_axes else ""
    return EinsumShapes(
        tuple(sizes[letter] for letter in output[1:]),
        tuple(sizes[letter] for letter in kernel),
        tuple(sizes[letter] if letter in bias_axes else 1 for letter in after),
        math.prod(sizes.values()),
    )


def _written_out(
    equation: str, shape: Shape, wanted: Sequence[int | None]
) -> tuple[str, str, str, Sequence[int | None]]:
    """Return the letters of input, kernel and output, those that `...` stands for included, and the output's shape."""
    given, _, output = equation.partition("->")
    source, kernel = given.split(",")
    if source.startswith("...") != output.startswith("..."):
        raise ValueError(f"both sides of {equation!r} need '...', or none")
    if source.startswith("..."):
        rest = len(shape) + 1 - len(source[3:])
        if rest < 1:
            raise ValueError(f"{equation!r} has too many letters for an input of {show(shape)}")
        letters = "".join(chr(0x4E00 + number) for number in range(rest))  # such as nobody writes
        source, output = letters + source[3:], letters + output[3:]
        wanted = [*shape[: rest - 1], *wanted] if len(wanted) < len(output) - 1 else wanted
    if len(source) != len(shape) + 1 or source[0] != output[0]:
        raise ValueError(
            f"the input of {equation!r} must be a letter for the batch and one for each axis of {show(shape)}, and the "
            "output must begin with the batch"
        )
    if any(len(set(part)) < len(part) for part in (source, kernel, output)):
        raise ValueError(f"a letter stands twice in a part of {equation!r}")
    return source, kernel, output, wanted


def _sizes(
    equation: str, source: str, output: str, kernel: str, shape: Shape, wanted: Sequence[int | None]
) -> dict[str, int]:
    """Return the length of each axis but the batch, by its letter."""
    if len(wanted) != len(output) - 1:
        raise ValueError(
            f"{equation!r} gives {len(output) - 1} axes beside the batch, and output_shape has {len(wanted)}"
        )
    sizes = dict(zip(source[1:], shape, strict=True))
    for letter, size in zip(output[1:], wanted, strict=True):
        if letter not in sizes:
            if size is None or letter not in kernel:
                raise ValueError(f"output_shape must say how long the axis {letter!r} of {equation!r} is")
            sizes[letter] = size
        elif size not in (None, sizes[letter]):
            raise ValueError(f"the axis {letter!r} of {equation!r} has the length {sizes[letter]} in the input")
    return sizes
