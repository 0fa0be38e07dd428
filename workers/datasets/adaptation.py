"""Numbers of layers that are measured on the training rows, as Keras's `adapt` measures them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.specs.layers.preprocessing import Normalization
from fittingroom.specs.model import Model
from fittingroom.specs.validation.graph import INPUT_PLACE, input_shapes, wire

Adapted = Mapping[int, Mapping[str, Any]]
"""Options of layers, by position: `mean` and `variance` of a normalization."""


def measure_adapted(model: Model, x: NDArray[np.float32]) -> Adapted:
    """Measure what normalizations without numbers of their own subtract and divide by.

    Args:
        model: of which such layers take an input of the network.
        x: (training rows, features)
    """
    shapes = list(input_shapes(model, x.shape[1]).values())
    found = {}
    for position, (layer, wired) in enumerate(zip(model.layers, wire(model), strict=True)):
        if isinstance(layer, Normalization) and layer.is_adapted:
            number = INPUT_PLACE - wired.sources[0]
            first = sum(math.prod(shape) for shape in shapes[:number])
            rows = x[:, first : first + math.prod(shapes[number])].reshape(len(x), *shapes[number])
            kept = {axis + 1 for axis in layer.kept_axes(shapes[number])}
            others = tuple(axis for axis in range(rows.ndim) if axis not in kept)
            mean, variance = (measure(rows, axis=others, dtype=np.float64) for measure in (np.mean, np.var))
            found[position] = {name: _plain(value) for name, value in (("mean", mean), ("variance", variance))}
    return found


def with_adapted(model: Model, adapted: Adapted) -> Model:
    """Return a network whose layers have the numbers that were measured for them."""
    if not adapted:
        return model
    layers = list(model.layers)
    for position, numbers in adapted.items():
        layers[position] = layers[position].model_copy(update=dict(numbers))
    return model.model_copy(update={"layers": layers})


def _plain(value: Any) -> Any:  # noqa: ANN401 - a number or an array
    return float(value) if np.ndim(value) == 0 else np.ravel(value).tolist()
