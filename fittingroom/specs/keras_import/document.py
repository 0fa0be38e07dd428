"""Keras's own JSON, as `model.to_json()` gives it, written in the words of this service.

Nothing is ever deserialized from what a client sent.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fittingroom.specs.keras_import.layer_translation import Path, check_dtype, object_at, refusal, translate_layer
from fittingroom.specs.limits import MAX_LAYERS


def from_keras(document: Any) -> Any:  # noqa: ANN401 - JSON
    """Translate `{"keras": …}`; leave every other document as it is.

    Raises:
        pydantic.ValidationError: it is not what `model.to_json()` of Keras 3 gives for supported layers; it
            says where.
    """
    if not isinstance(document, dict) or "keras" not in document:
        return document
    if len(document) > 1:
        raise refusal((next(key for key in document if key != "keras"),), document, "nothing may stand beside 'keras'")
    content, path = document["keras"], ("keras",)
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            raise refusal(path, content[:80], "this text is no JSON; give what model.to_json() gives") from None
    config = object_at(object_at(content, path).get("config"), (*path, "config"))
    match content.get("class_name"):
        case "Sequential":
            return _sequential(config, (*path, "config"))
        case "Functional":
            return _functional(config, (*path, "config"))
        case other:
            raise refusal((*path, "class_name"), other, "expected a Sequential or a Functional network of Keras 3")


def _sequential(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    layers: list[dict[str, Any]] = []
    shape: list[int] | None = None
    for place, layer in _layers(config, path):
        if layer.get("class_name") == "InputLayer":
            if layers or shape is not None:
                raise refusal(place, layer.get("class_name"), "the input comes first, and once")
            shape = _input_shape(layer, place)
        else:
            layers.append(translate_layer(layer, place))
    return _model(layers, shape, path)


def _functional(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a model document with the layers in topological order."""
    waiting: dict[str, tuple[dict[str, Any], list[str]]] = {}
    inputs: dict[str, list[int]] = {}
    for place, layer in _layers(config, path):
        name = layer.get("name")
        if not isinstance(name, str) or name in waiting or name in inputs:
            raise refusal((*place, "name"), name, "every layer needs a name of its own")
        if layer.get("class_name") == "InputLayer":
            inputs[name] = _input_shape(layer, place)
        else:
            waiting[name] = translate_layer(layer, place) | {"name": name}, _sources(layer, place)
    if len(inputs) != 1:
        raise refusal((*path, "layers"), f"{len(inputs)} inputs", "expected one input: the rows of the dataset")
    [(input_name, shape)] = inputs.items()
    output = _one_end(config.get("output_layers"), (*path, "output_layers"))
    layers: list[dict[str, Any]] = []
    placed = {input_name}
    while ready := [name for name, (_, sources) in waiting.items() if placed.issuperset(sources)]:
        ready.sort(key=lambda name: name == output)  # the output comes last
        layer, sources = waiting.pop(ready[0])
        layers.append(layer | {"inputs": ["input" if source == input_name else source for source in sources]})
        placed.add(ready[0])
    if waiting:
        raise refusal(
            (*path, "layers"),
            ", ".join(waiting)[:80],
            "they take from layers that are not there, or in a circle",
        )
    if not layers or layers[-1]["name"] != output:
        raise refusal((*path, "output_layers"), output, "every layer must lead to the output")
    return _model(layers, shape, path)


def _model(layers: list[dict[str, Any]], shape: list[int] | None, path: Path) -> dict[str, Any]:
    if not layers:
        raise refusal((*path, "layers"), "none", "expected at least one layer beside the input")
    return {"layers": layers} | ({} if shape is None else {"input_shape": shape})


def _layers(config: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    layers = config.get("layers")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS + 1:
        raise refusal((*path, "layers"), layers, f"expected a list of at most {MAX_LAYERS} layers")
    for index, layer in enumerate(layers):
        place = (*path, "layers", index)
        yield place, object_at(layer, place)


def _input_shape(layer: Mapping[str, Any], path: Path) -> list[int]:
    config = object_at(layer.get("config"), (*path, "config"))
    shape = config.get("batch_shape")
    match shape:
        case [None, *axes] if axes and all(type(axis) is int and axis > 0 for axis in axes):
            pass
        case _:
            raise refusal((*path, "config", "batch_shape"), shape, "expected null and then the shape of a row")
    check_dtype(config.get("dtype"), (*path, "config", "dtype"))
    for key in ("sparse", "ragged"):
        if config.get(key):
            raise refusal((*path, "config", key), config[key], "inputs are dense")
    return axes


def _sources(layer: Mapping[str, Any], path: Path) -> list[str]:
    """Return the names of the layers that a layer takes from."""
    place = (*path, "inbound_nodes")
    match layer.get("inbound_nodes"):
        case [{"args": [dict() as tensor], **rest}] if rest.keys() <= {"kwargs"}:
            tensors = [tensor]
        case [{"args": [list() as tensors], **rest}] if rest.keys() <= {"kwargs"}:
            pass
        case other:
            raise refusal(place, other, "expected a layer that is called once, with tensors alone")
    _refuse_options(rest.get("kwargs"), (*place, 0, "kwargs"))
    return [_source(tensor, place) for tensor in tensors]


def _refuse_options(options: Any, path: Path) -> None:  # noqa: ANN401 - JSON
    """Refuse options of a call, but for those that Keras notes where nothing was said: `training` and masks."""
    for name, value in object_at(options or {}, path).items():
        if name == "training" and value is True:
            detail = "keras.Model.fit and predict pass training themselves; call the layer without it"
            raise refusal((*path, name), value, detail)
        if value is not None and not (name == "training" and value is False):
            raise refusal((*path, name), value, "a layer is called with tensors alone; call it without this option")


def _source(tensor: Any, path: Path) -> str:  # noqa: ANN401 - JSON
    match tensor:
        case {"class_name": "__keras_tensor__", "config": {"keras_history": [str() as name, 0, 0]}}:
            return name
        case _:
            raise refusal(path, tensor, "expected a tensor that a layer of this network gives")


def _one_end(ends: Any, path: Path) -> str:  # noqa: ANN401 - JSON
    match ends:
        case [str() as name, 0, 0] | [[str() as name, 0, 0]]:
            return name
        case _:
            raise refusal(path, ends, "expected one output")
