"""One layer of Keras's own JSON in the words of this service.

Nothing is deserialized from what a client sent. A layer is looked up in a table of those known, an option is copied
or must be what Keras has by default, and whatever is left is refused. So a Lambda, a custom object or a module of
somebody else's has no way in.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from fittingroom.specs.layers import Layer

Path = tuple[str | int, ...]
_LAYER: TypeAdapter[Any] = TypeAdapter(Layer)


class _Kind(NamedTuple):
    """A layer of Keras's as one of ours."""

    type: str
    copied: frozenset[str] = frozenset()
    added: Mapping[str, Any] = {}
    defaults: Mapping[str, Any] = {}
    """Options that must be these."""


_WEIGHTED = frozenset({
    "activation", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer"
})  # fmt: skip
_NORMALIZED = frozenset({"epsilon", "center", "scale"})
_KINDS: dict[str, _Kind] = {
    "Dense": _Kind("dense", _WEIGHTED | {"units"}),
    "Dropout": _Kind("dropout", frozenset({"rate"})),
    "BatchNormalization": _Kind("batch_normalization", _NORMALIZED | {"momentum"}),
    "LayerNormalization": _Kind("layer_normalization", _NORMALIZED),
    "Activation": _Kind("activation", frozenset({"activation"})),
    "ReLU": _Kind("activation", added={"activation": "relu"}, defaults={"negative_slope": 0.0}),
    "ELU": _Kind("activation", added={"activation": "elu"}),
    "Softmax": _Kind("activation", added={"activation": "softmax"}),
    "Flatten": _Kind("flatten"),
    "Reshape": _Kind("reshape", frozenset({"target_shape"})),
    "Conv2D": _Kind("conv2d", _WEIGHTED | {"filters", "kernel_size", "strides", "padding"}),
    "MaxPooling2D": _Kind("max_pooling2d", frozenset({"pool_size", "strides", "padding"})),
    "GlobalAveragePooling2D": _Kind("global_average_pooling2d"),
    "Concatenate": _Kind("concatenate"),
    **{
        name: _Kind(name.lower())
        for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    },
}  # fmt: skip
_DEFAULTS: dict[str, Sequence[Any]] = {
    "trainable": [True],
    "seed": [None],
    "noise_shape": [None],
    "data_format": ["channels_last", None],
    "dilation_rate": [[1, 1], 1],
    "groups": [1],
    "activity_regularizer": [None],
    "kernel_constraint": [None],
    "bias_constraint": [None],
    "quantization_config": [None],
    "lora_rank": [None],
    "lora_alpha": [None],
    "axis": [-1, [-1]],
    "beta_initializer": ["zeros"],
    "gamma_initializer": ["ones"],
    "moving_mean_initializer": ["zeros"],
    "moving_variance_initializer": ["ones"],
    "beta_regularizer": [None],
    "gamma_regularizer": [None],
    "beta_constraint": [None],
    "gamma_constraint": [None],
    "synchronized": [False],
    "renorm": [False],
    "renorm_clipping": [None],
    "renorm_momentum": [0.99],
    "rms_scaling": [False],
    "keepdims": [False],
    "max_value": [None],
    "threshold": [0.0, 0],
    "alpha": [1.0, 1],
}
"""Options that are not copied, and the values they may have."""
_INITIALIZERS = {
    "GlorotUniform": {}, "GlorotNormal": {}, "HeUniform": {}, "HeNormal": {}, "LecunUniform": {}, "LecunNormal": {},
    "RandomUniform": {"minval": -0.05, "maxval": 0.05}, "RandomNormal": {"mean": 0.0, "stddev": 0.05},
    "TruncatedNormal": {"mean": 0.0, "stddev": 0.05}, "Orthogonal": {"gain": 1.0},
    "OrthogonalInitializer": {"gain": 1.0},
    "Zeros": {}, "Ones": {},
}  # fmt: skip
_OURS = {"OrthogonalInitializer": "orthogonal"}
_UNSET = {"seed": None, "input_axes": None, "output_axes": None}


def translate_layer(layer: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """One layer in our words.

    Args:
        layer: as Keras serializes it.
        path: where it stands in the client's document.

    Raises:
        pydantic.ValidationError: it, or one of its options, is not supported.
    """
    name = layer.get("class_name")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise refusal((*path, "class_name"), name, f"this layer is not supported; supported are: {', '.join(_KINDS)}")
    # Tuples: what a client sends may be anything, and a list cannot be looked up in a set.
    if layer.get("module") not in ("keras.layers", "keras") or layer.get("registered_name") not in (None, name):
        detail = "expected a layer of the module keras.layers; custom layers are not supported"
        raise refusal((*path, "module"), layer.get("module"), detail)
    config, place = object_at(layer.get("config"), (*path, "config")), (*path, "config")
    translated: dict[str, Any] = {"type": kind.type, **kind.added}
    for key, value in config.items():
        if key == "name":
            translated["name"] = value
        elif key == "dtype":
            check_dtype(value, (*place, key))
        elif key in kind.copied:
            translated[key] = _value(key, value, (*place, key))
        else:
            _check_default(key, value, kind, (*place, key))
    try:
        _LAYER.validate_python(translated)
    except ValidationError as error:
        raise ValidationError.from_exception_data("keras", [_moved(fault, place) for fault in error.errors()]) from None
    return translated


def _moved(fault: Any, path: Path) -> InitErrorDetails:  # noqa: ANN401 - pydantic's dict
    """Return a fault of our own layer, where it stands in the client's document."""
    place = tuple(part for part in fault["loc"][1:] if not str(part).startswith(("function-", "constrained-")))
    kind = PydanticCustomError("keras_option", "{message}", {"message": fault["msg"]})
    return InitErrorDetails(type=kind, loc=(*path, *place), input=fault["input"])


def _value(key: str, value: Any, path: Path) -> Any:  # noqa: ANN401 - JSON
    """Return an option in our words."""
    if key.endswith("_initializer") and isinstance(value, dict):
        return _initializer(value, path)
    if key.endswith("_regularizer") and value is not None:
        config = object_at(object_at(value, path).get("config"), (*path, "config"))
        if value.get("class_name") not in ("L1", "L2", "L1L2") or value.get("module") != "keras.regularizers":
            raise refusal(path, value.get("class_name"), "expected L1, L2 or L1L2 of keras.regularizers")
        return {name: config[name] for name in ("l1", "l2") if name in config}
    return value


def _initializer(value: Mapping[str, Any], path: Path) -> str:
    name = value.get("class_name")
    if not isinstance(name, str) or name not in _INITIALIZERS or value.get("module") != "keras.initializers":
        raise refusal(path, name, f"expected one of keras.initializers: {', '.join(_INITIALIZERS)}")
    allowed = _UNSET | _INITIALIZERS[name]
    for key, option in object_at(value.get("config"), (*path, "config")).items():
        if key not in allowed or option != allowed[key]:
            detail = f"only {allowed[key]!r} is supported" if key in allowed else "this option is not supported"
            hint = "; seeds are the experiment's" if key == "seed" else ""
            raise refusal((*path, "config", key), option, detail + hint)
    return _OURS.get(name) or "".join(f"_{c.lower()}" if c.isupper() else c for c in name)[1:]


def _check_default(key: str, value: Any, kind: _Kind, path: Path) -> None:  # noqa: ANN401 - JSON
    allowed = [kind.defaults[key]] if key in kind.defaults else _DEFAULTS.get(key)
    if allowed is None:
        raise refusal(path, value, "this option is not supported; leave it out")
    if isinstance(value, dict) and key.endswith("_initializer"):
        value = _initializer(value, path)
    if not any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in allowed):
        raise refusal(path, value, f"only {json.dumps(allowed[0])} is supported")


def check_dtype(value: Any, path: Path) -> None:  # noqa: ANN401 - JSON
    """Refuse what is not float32, written out as a policy or not."""
    name = value
    if isinstance(value, dict):
        name = value.get("config", {}).get("name") if isinstance(value.get("config"), dict) else None
        if value.get("class_name") != "DTypePolicy" or value.get("module") != "keras":
            name = None
    if value is not None and name != "float32":
        raise refusal(path, value, 'a layer is float32; the experiment\'s "precision" says how all of them compute')


def object_at(value: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a value that must be an object."""
    if not isinstance(value, dict):
        raise refusal(path, value, "expected an object, as model.to_json() of Keras 3 gives it")
    return value


def refusal(path: Path, found: Any, detail: str) -> ValidationError:  # noqa: ANN401 - JSON
    """Return an error with a pointer into the client's document."""
    kind = PydanticCustomError("keras_json", "{detail}", {"detail": detail})
    return ValidationError.from_exception_data("keras", [InitErrorDetails(type=kind, loc=path, input=found)])
