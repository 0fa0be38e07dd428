"""The shapes between a network's layers and the number of its weights, by arithmetic, without Keras.

The formulas are those of the Keras layers; tests compare each with Keras.
"""

import math
from functools import singledispatch
from typing import NamedTuple

from fittingroom.specs import layers as l
from fittingroom.specs.experiment import Model
from fittingroom.specs.limits import MAX_LAYER_OUTPUTS, MAX_PARAMETERS
from fittingroom.specs.search_space import sampled_value
from fittingroom.specs.validation.graph import INPUT_PLACE, DoesNotConnect, wire

Shape = tuple[int, ...]
"""Without the batch axis."""


class Network(NamedTuple):
    """Shapes and sizes of a network, by arithmetic."""

    output: Shape
    parameters: int
    """Trainable or not, as `model.count_params()` counts them."""
    numbers_per_row: int
    """Numbers in all activations of one row."""


class _Passed(NamedTuple):
    output: Shape
    parameters: int = 0


def measure(model: Model, features: int) -> Network:
    """Follow a row through a network whose values are all fixed.

    Args:
        model: the network.
        features: how many numbers a row has.

    Raises:
        DoesNotConnect: a layer does not fit, or the network is larger than the service allows.
    """
    shape = tuple(model.input_shape or (features,))
    if math.prod(shape) != features:
        raise DoesNotConnect(0, f"the input is {_show(shape)}, and a row of the dataset has {features} numbers")
    outputs: dict[int, Shape] = {INPUT_PLACE: shape}
    parameters, numbers = 0, 0
    for position, (layer, sources) in enumerate(zip(model.layers, wire(model.layers), strict=True)):
        try:
            shapes = [outputs[source] for source in sources]
            shape, added = _merged(layer, shapes) if isinstance(layer, l.Merging) else _pass(layer, shapes[0])
        except ValueError as misfit:
            raise DoesNotConnect(position, str(misfit)) from None
        outputs[position] = shape
        parameters += added
        numbers += math.prod(shape)
        if parameters > MAX_PARAMETERS:
            raise DoesNotConnect(
                position, f"up to this layer the network has {parameters:,} parameters; at most {MAX_PARAMETERS:,} fit"
            )
        if math.prod(shape) > MAX_LAYER_OUTPUTS:
            raise DoesNotConnect(
                position, f"this layer gives {math.prod(shape):,} numbers per row; at most {MAX_LAYER_OUTPUTS:,} fit"
            )
    return Network(shape, parameters, numbers)


def _merged(layer: l.Merging, shapes: list[Shape]) -> _Passed:
    """Several inputs as one."""
    first = shapes[0]
    if layer.type == "concatenate":
        if any(shape[:-1] != first[:-1] for shape in shapes):
            raise ValueError(f"concatenate needs inputs that differ in the last axis only, found {_list(shapes)}")
        return _Passed((*first[:-1], sum(shape[-1] for shape in shapes)))
    if any(shape != first for shape in shapes):
        raise ValueError(f"{layer.type} needs inputs of one shape, found {_list(shapes)}")
    return _Passed(first)


def _list(shapes: list[Shape]) -> str:
    return ", ".join(map(_show, shapes))


@singledispatch
def _pass(layer: l.Layer, shape: Shape) -> _Passed:
    """One layer: the shape it gives and the weights it has. By default neither changes."""
    del layer
    return _Passed(shape)


@_pass.register
def _(layer: l.Dense, shape: Shape) -> _Passed:
    units = sampled_value(layer.units)
    return _Passed((*shape[:-1], units), shape[-1] * units + (units if sampled_value(layer.use_bias) else 0))


@_pass.register
def _(layer: l.BatchNormalization, shape: Shape) -> _Passed:
    vectors = (
        2 + bool(sampled_value(layer.center)) + bool(sampled_value(layer.scale))
    )  # two are the moving mean and variance
    return _Passed(shape, vectors * shape[-1])


@_pass.register
def _(layer: l.LayerNormalization, shape: Shape) -> _Passed:
    return _Passed(shape, (bool(sampled_value(layer.center)) + bool(sampled_value(layer.scale))) * shape[-1])


@_pass.register
def _(_: l.Flatten, shape: Shape) -> _Passed:
    return _Passed((math.prod(shape),))


@_pass.register
def _(layer: l.Reshape, shape: Shape) -> _Passed:
    target, size = layer.target_shape, math.prod(shape)
    if target.count(-1) > 1 or 0 in target:
        raise ValueError(f"expected axes of at least 1, and at most one -1, found {target}")
    known = math.prod(axis for axis in target if axis != -1)
    if (size % known if -1 in target else size - known) != 0:
        raise ValueError(f"cannot give {size} numbers ({_show(shape)}) the shape {target}")
    return _Passed(tuple(size // known if axis == -1 else axis for axis in target))


@_pass.register
def _(layer: l.Conv2D, shape: Shape) -> _Passed:
    height, width, channels = _image(shape, "conv2d")
    filters, kernel = sampled_value(layer.filters), _pair(layer.kernel_size)
    sides = _slide((height, width), kernel, _pair(layer.strides), sampled_value(layer.padding))
    weights = kernel[0] * kernel[1] * channels * filters
    return _Passed((*sides, filters), weights + (filters if sampled_value(layer.use_bias) else 0))


@_pass.register
def _(layer: l.MaxPooling2D, shape: Shape) -> _Passed:
    height, width, channels = _image(shape, "max_pooling2d")
    window = _pair(layer.pool_size)
    strides = window if layer.strides is None else _pair(layer.strides)
    return _Passed((*_slide((height, width), window, strides, sampled_value(layer.padding)), channels))


@_pass.register
def _(_: l.GlobalAveragePooling2D, shape: Shape) -> _Passed:
    return _Passed((_image(shape, "global_average_pooling2d")[2],))


def _image(shape: Shape, layer: str) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise ValueError(
            f"{layer} takes images of height, width, channels; found {_show(shape)}; put a reshape layer before it"
        )
    return shape[0], shape[1], shape[2]


def _pair(sides: l.Sides) -> tuple[int, int]:
    if isinstance(sides, tuple):
        return sides
    side = sampled_value(sides)
    return side, side


def _slide(sides: tuple[int, int], window: tuple[int, int], strides: tuple[int, int], padding: l.Padding) -> Shape:
    if padding == "same":
        return tuple(math.ceil(side / stride) for side, stride in zip(sides, strides, strict=True))
    if any(size > side for side, size in zip(sides, window, strict=True)):
        raise ValueError(
            f"a window of {_show(window)} does not fit an image of {_show(sides)}; use padding 'same' or less pooling"
        )
    return tuple((side - size) // stride + 1 for side, size, stride in zip(sides, window, strides, strict=True))


def _show(shape: Shape) -> str:
    return " x ".join(map(str, shape)) if len(shape) > 1 else f"{shape[0]} numbers in a row"
