"""Operations in a Keras graph, such as `x * 2` or `keras.ops.relu(x)`, as layers of ours."""

from collections.abc import Mapping
from typing import Any, get_args

from fittingroom.specs.base import Path, refusal
from fittingroom.specs.layers.activations import ActivationName

_MERGED = {"Add": "add", "Subtract": "subtract", "Multiply": "multiply", "Maximum": "maximum", "Minimum": "minimum"}
_ACTIVATIONS = {name.replace("_", ""): name for name in get_args(ActivationName)}


def is_operation(layer: Mapping[str, Any]) -> bool:
    """Return True if Keras made the entry of an operation, not of a layer."""
    module = layer.get("module")
    return isinstance(module, str) and module.startswith("keras.src.ops.")


def translate_operation(layer: Mapping[str, Any], arguments: list[Any], tensors: int, path: Path) -> dict[str, Any]:
    """One operation as a layer of ours.

    Args:
        layer: as Keras serializes it.
        arguments: of its call; None stands for a tensor.
        tensors: how many of them are tensors.
        path: where it stands in the client's document.

    Raises:
        pydantic.ValidationError: it has no layer.
    """
    name, config = layer.get("class_name"), layer.get("config")
    # Options of an operation, such as the slope of a leaky_relu, are in its config.
    if isinstance(name, str) and isinstance(config, dict) and config.keys() <= {"name", "dtype"}:
        if name in _MERGED and tensors == 2:
            return {"type": _MERGED[name]}
        if tensors == 1 and len(arguments) == 2 and (scaled := _scaled(name, arguments)) is not None:
            return scaled
        if tensors == len(arguments) == 1 and (found := _ACTIVATIONS.get(name.lower())) is not None:
            return {"type": "activation", "activation": found}
    detail = "this operation is not supported: of operations, sums, products and activation functions are; use a layer"
    raise refusal((*path, "class_name"), name, detail)


def _scaled(name: str, arguments: list[Any]) -> dict[str, Any] | None:
    """Return the operation on a tensor and a number as `rescaling`, or None."""
    is_first = arguments[0] is None
    number = arguments[1] if is_first else arguments[0]
    if not isinstance(number, int | float) or isinstance(number, bool):
        return None
    match name:
        case "Multiply":
            return {"type": "rescaling", "scale": number}
        case "Add":
            return {"type": "rescaling", "scale": 1.0, "offset": number}
        case "Subtract":
            return {"type": "rescaling", "scale": 1.0 if is_first else -1.0, "offset": -number if is_first else number}
        case "TrueDivide" | "Divide" if is_first and number:
            return {"type": "rescaling", "scale": 1 / number}
        case _:
            return None
