"""One layer of Keras's own JSON in the words of this service.

Nothing is deserialized from what a client sent. A layer is looked up by its class among those known, an option is one
of its fields or must be what Keras has by default, and whatever is left is refused. So a Lambda, a custom object or a
module of somebody else's has no way in.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from fittingroom.specs.base import Path, refusal
from fittingroom.specs.hints import nearest_hint
from fittingroom.specs.keras_import.errors import moved, object_at
from fittingroom.specs.keras_import.unsupported import UNSUPPORTED_LAYERS
from fittingroom.specs.layers.any_layer import keras_classes
from fittingroom.specs.layers.layer_spec import LayerSpec

_FIXED: dict[str, Sequence[Any]] = {
    "seed": [None],
    "data_format": ["channels_last", None],
    "noise_shape": [None],
    "quantization_config": [None],
    "lora_rank": [None],
    "lora_alpha": [None],
    "synchronized": [False],
    "renorm": [False],
    "renorm_clipping": [None],
    "renorm_momentum": [0.99],
    "rms_scaling": [False],
    "return_state": [False],
    "stateful": [False],
    "sparse": [False],
    "num_bins": [None],
    "epsilon": [0.01],
    "activity_regularizer": [None],
    "bin_boundaries": [],
}
"""Options that no layer of ours has, and the values they may have."""
_WORDS = {
    "seed": "; seeds are the experiment's",
    "bin_boundaries": "; give the boundaries, as what adapt() measures is not in the document",
    "num_bins": "; give bin_boundaries, as what adapt() measures is not in the document",
    "return_state": "; a layer has one output",
    "stateful": "; rows are in another order in each epoch",
}
_INITIALIZERS = {"OrthogonalInitializer": "orthogonal", "IdentityInitializer": "identity"}
"""Names that do not follow from the class."""
_PLAIN_INITIALIZERS = {
    "GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal", "Zeros", "Ones",
    "RandomUniform", "RandomNormal", "TruncatedNormal", "Orthogonal", "OrthogonalInitializer", "Identity",
    "IdentityInitializer", "Constant", "VarianceScaling",
}  # fmt: skip
_INITIALIZER_DEFAULTS: dict[str, dict[str, Any]] = {
    "random_uniform": {"minval": -0.05, "maxval": 0.05},
    "random_normal": {"mean": 0.0, "stddev": 0.05},
    "truncated_normal": {"mean": 0.0, "stddev": 0.05},
    "orthogonal": {"gain": 1.0},
    "identity": {"gain": 1.0},
    "variance_scaling": {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
}
_UNSET = {"seed": None, "input_axes": None, "output_axes": None}
_CONSTRAINTS = ("MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm")
_INNER = {"layer", "backward_layer", "cell"}
"""Options that are a layer."""
_MAX_DEPTH = 8
"""Maximum depth of layers within layers that is read; a spec allows less."""


def translate_layer(layer: Mapping[str, Any], path: Path, *, depth: int = 0) -> dict[str, Any]:
    """One layer in our words.

    Args:
        layer: as Keras serializes it.
        path: where it stands in the client's document.
        depth: number of layers around it.

    Raises:
        pydantic.ValidationError: it, or one of its options, is not supported.
    """
    kind, config = _kind(layer, path), object_at(layer.get("config"), (*path, "config"))
    place = (*path, "config")
    if depth > _MAX_DEPTH:
        raise refusal(path, layer.get("class_name"), f"there are more than {_MAX_DEPTH} layers around a layer")
    translated: dict[str, Any] = {"type": kind.model_fields["type"].annotation.__args__[0]}  # type: ignore[union-attr]
    for key, value in config.items():
        if key == "dtype":
            check_dtype(value, (*place, key))
        elif key in kind.model_fields and key not in {"type", "inputs"}:
            option = _value(key, value, (*place, key), depth)
            if not _is_default(option, kind.model_fields[key]):
                translated[key] = option
        else:
            _check_fixed(key, value, (*place, key))
    try:
        kind.model_validate(translated)
    except ValidationError as error:
        raise moved(error, place) from None
    return translated


def _kind(layer: Mapping[str, Any], path: Path) -> type[LayerSpec]:
    name = layer.get("class_name")
    kind = keras_classes().get(name) if isinstance(name, str) else None
    if kind is None:
        reason = UNSUPPORTED_LAYERS.get(name) if isinstance(name, str) else None
        hint = nearest_hint(name, keras_classes()) if isinstance(name, str) else ""
        detail = reason or f"{hint}see the table of supported layers in the documentation"
        raise refusal((*path, "class_name"), name, f"this layer is not supported: {detail}")
    # Tuples: what a client sends may be anything, and a list cannot be looked up in a set.
    if layer.get("module") not in ("keras.layers", "keras") or layer.get("registered_name") not in (None, name):
        detail = "expected a layer of the module keras.layers; custom layers are not supported"
        raise refusal((*path, "module"), layer.get("module"), detail)
    return kind


def _is_default(value: Any, field: FieldInfo) -> bool:  # noqa: ANN401 - JSON
    """Return True if an option says what is so without it."""
    default = field.default
    if isinstance(default, tuple):
        return json.dumps(value) == json.dumps(default)
    if isinstance(value, list) and value and not isinstance(default, list):  # one number for each axis
        value = value[0] if all(type(one) is type(value[0]) and one == value[0] for one in value) else value
    return not field.is_required() and type(value) is type(default) and value == default


def _value(key: str, value: Any, path: Path, depth: int) -> Any:  # noqa: ANN401 - JSON
    """Return an option in our words."""
    if key in _INNER and isinstance(value, dict):
        return translate_layer(value, path, depth=depth + 1)
    if key == "cells" and isinstance(value, list):
        return [
            translate_layer(object_at(cell, (*path, index)), (*path, index), depth=depth + 1)
            for index, cell in enumerate(value)
        ]
    if isinstance(value, dict):
        if key.endswith("_initializer"):
            return _initializer(value, path)
        if key.endswith("_regularizer"):
            return _regularizer(value, path)
        if key.endswith("_constraint"):
            return _constraint(value, path)
        if key == "activation":
            detail = "expected the name of a function; put a layer such as LeakyReLU behind this one"
            raise refusal(path, value.get("class_name"), detail)
    return value


def _initializer(value: Mapping[str, Any], path: Path) -> Any:  # noqa: ANN401 - JSON
    """Return an initializer's name, or a document if it has numbers of its own."""
    name = value.get("class_name")
    if not isinstance(name, str) or name not in _PLAIN_INITIALIZERS or value.get("module") != "keras.initializers":
        raise refusal(path, name, f"expected one of keras.initializers: {', '.join(sorted(_PLAIN_INITIALIZERS))}")
    ours = _INITIALIZERS.get(name) or _snake(name)
    options = {}
    for key, option in object_at(value.get("config"), (*path, "config")).items():
        if key in _UNSET:
            if option != _UNSET[key]:
                hint = "; seeds are the experiment's" if key == "seed" else ""
                raise refusal((*path, "config", key), option, f"only {_UNSET[key]!r} is supported{hint}")
        elif option != _INITIALIZER_DEFAULTS.get(ours, {}).get(key):
            options[key] = option
    return {"name": ours, **options} if options or ours == "constant" else ours


def _regularizer(value: Mapping[str, Any], path: Path) -> dict[str, Any]:
    config = object_at(value.get("config"), (*path, "config"))
    name = value.get("class_name")
    if name == "OrthogonalRegularizer" and value.get("module") == "keras.regularizers":
        return {"name": "orthogonal_regularizer", **config}
    if name not in ("L1", "L2", "L1L2") or value.get("module") != "keras.regularizers":
        raise refusal(path, name, "expected L1, L2, L1L2 or OrthogonalRegularizer of keras.regularizers")
    return {name: config[name] for name in ("l1", "l2") if name in config}


def _constraint(value: Mapping[str, Any], path: Path) -> dict[str, Any]:
    name = value.get("class_name")
    if name not in _CONSTRAINTS or value.get("module") != "keras.constraints":
        raise refusal(path, name, f"expected one of keras.constraints: {', '.join(_CONSTRAINTS)}")
    return {"name": _snake(str(name)), **object_at(value.get("config"), (*path, "config"))}


def _check_fixed(key: str, value: Any, path: Path) -> None:  # noqa: ANN401 - JSON
    allowed = _FIXED.get(key)
    if allowed is None:
        raise refusal(path, value, "this option is not supported; leave it out")
    if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed):
        raise refusal(path, value, f"only {json.dumps(allowed[0])} is supported{_WORDS.get(key, '')}")


def check_dtype(value: Any, path: Path, *, integers: bool = False) -> None:  # noqa: ANN401 - JSON
    """Refuse what is not float32, written out as a policy or not.

    Args:
        value: what stands there.
        path: where it stands.
        integers: True for an input, which may be declared as integers: rows are numbers all the same.
    """
    name = value
    if isinstance(value, dict):
        name = value.get("config", {}).get("name") if isinstance(value.get("config"), dict) else None
        if value.get("class_name") != "DTypePolicy" or value.get("module") != "keras":
            name = None
    if integers and name in ("int64", "int32", "uint8", "int16", "uint16", "int8", "bool"):
        return
    if value is not None and name not in ("float32", "int64"):
        raise refusal(path, value, 'a layer is float32; the experiment\'s "precision" says how all of them compute')


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
