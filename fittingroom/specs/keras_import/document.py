"""Keras's own JSON, as `model.to_json()` gives it, written in the words of this service.

Nothing is ever deserialized from what a client sent. Networks within a network are written out as their layers, and a
layer that is called again as `shared`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fittingroom.specs.base import Path, refusal
from fittingroom.specs.keras_import.errors import object_at
from fittingroom.specs.keras_import.graph_calls import LayerCall, calls_of, ends_of, is_mask, refuse_other_masks
from fittingroom.specs.keras_import.layer_translation import check_dtype, translate_layer
from fittingroom.specs.keras_import.operations import is_operation, translate_operation
from fittingroom.specs.limits import MAX_LAYERS, MAX_OUTPUTS

_NETWORKS = ("Sequential", "Functional", "Model")
_MAX_DEPTH = 8
"""Maximum depth of networks within networks."""
_MAX_CALLS = 3 * MAX_LAYERS
"""Maximum number of calls of layers and networks that are written out: networks that hold nothing are calls as well."""


def from_keras(document: Any) -> tuple[Any, list[Path]]:  # noqa: ANN401 - JSON
    """Translate `{"keras": …}`; leave every other document as it is.

    Returns:
        The document, and where each of its layers stands in what was given, if that is elsewhere.

    Raises:
        pydantic.ValidationError: it is not what `model.to_json()` of Keras 3 gives for supported layers; it
            says where.
    """
    if not isinstance(document, dict) or "keras" not in document:
        return document, []
    if len(document) > 1:
        raise refusal((next(key for key in document if key != "keras"),), document, "nothing may stand beside 'keras'")
    content, path = document["keras"], ("keras",)
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            raise refusal(path, content[:80], "this text is no JSON; give what model.to_json() gives") from None
    kind = object_at(content, path).get("class_name")
    config = object_at(content.get("config"), (*path, "config"))
    if "keras_version" in content and str(content["keras_version"]).startswith(("1.", "2.")):
        detail = "this is the JSON of Keras 2; load the model with Keras 3 (or tf_keras) and give its model.to_json()"
        raise refusal((*path, "keras_version"), content["keras_version"], detail)
    if kind not in _NETWORKS:
        raise refusal((*path, "class_name"), kind, "expected a Sequential or a Functional network of Keras 3")
    translation = _Translation()
    return translation.document(kind, config, (*path, "config")), translation.places


class _Translation:
    """Layers of a network, as they are written out.

    Attributes:
        places: where each of them stands in the document.
    """

    def __init__(self) -> None:
        self._layers: list[dict[str, Any]] = []
        self.places: list[Path] = []
        self._names: set[str] = {"input"}
        self._called: dict[Path, str] = {}
        """Names of the layers that were called, by their place in the document."""
        self.calls_of = 0

    def document(self, kind: str, config: Mapping[str, Any], path: Path) -> dict[str, Any]:
        """Return the whole network."""
        shapes = _sequential_input(config, path) if kind == "Sequential" else _functional_inputs(config, path)
        names = list(shapes) if len(shapes) > 1 else ["input"]
        self._names |= set(names)
        ends = self._network(kind, config, path, names, 0)
        outputs = self._outputs(ends, config, names, (*path, "output_layers")) if len(ends) > 1 else None
        if not self._layers:
            raise refusal((*path, "layers"), "none", "expected at least one layer beside the input")
        before = "input" if len(shapes) < 2 else ""
        for layer in self._layers:
            if layer["inputs"] == [before]:
                del layer["inputs"]
            before = layer["name"]
        inputs: dict[str, Any] = {}
        if len(shapes) > 1:
            inputs = {"inputs": shapes}
        elif any(shape is not None for shape in shapes.values()):
            inputs = {"input_shape": next(iter(shapes.values()))}
        return {"layers": self._layers} | inputs | ({} if outputs is None else {"outputs": outputs})

    def _outputs(self, ends: list[str], config: Mapping[str, Any], inputs: list[str], path: Path) -> list[str]:
        """Return the names of several outputs, as in Keras, each of a layer of its own, if need be an empty one."""
        own = {layer["name"] for layer in self._layers if layer["type"] != "shared"}
        wanted_names = [name for name, _ in _outputs_by_name(config)]
        self._names |= set(wanted_names)
        renamed: dict[str, str] = {}
        outputs: list[str] = []
        for end, wanted in zip(ends, wanted_names, strict=True):
            name = wanted if wanted not in (*inputs, *outputs) else self._unused(wanted)
            outputs.append(name)
            if end in own and end not in renamed:
                renamed[end] = name
            else:
                self._layers.append({"type": "activation", "activation": "linear", "name": "", "inputs": [end]})
                self.places.append(path)
        others = [layer["name"] for layer in self._layers if layer["name"] in outputs and layer["name"] not in renamed]
        renamed |= {name: self._unused(name) for name in others}
        added = iter([name for name in outputs if name not in renamed.values()])
        for layer in self._layers:
            layer["name"] = renamed.get(layer["name"], layer["name"]) or next(added)
            layer["inputs"] = [renamed.get(name, name) for name in layer["inputs"]]
            if layer["type"] == "shared":
                layer["layer"] = renamed.get(layer["layer"], layer["layer"])
        return outputs

    def _network(self, kind: str, config: Mapping[str, Any], path: Path, given: list[str], depth: int) -> list[str]:
        """Write out a network that takes some tensors; return the names of its outputs."""
        if depth > _MAX_DEPTH:
            raise refusal(path, kind, f"networks may stand in each other at most {_MAX_DEPTH} deep")
        if kind == "Sequential":
            if len(given) != 1:
                raise refusal(path, len(given), "a Sequential network takes one input")
            [tensor] = given
            for place, layer in _layers(config, path):
                if layer.get("class_name") != "InputLayer":
                    tensor = self._add(layer, place, [tensor], LayerCall("", 0, [], [None], {}), depth)
            return [tensor]
        return self._functional(config, path, given, depth)

    def _functional(self, config: Mapping[str, Any], path: Path, given: list[str], depth: int) -> list[str]:
        places = {}
        for place, layer in _layers(config, path):
            name = layer.get("name")
            if not isinstance(name, str) or name in places:
                raise refusal((*place, "name"), name, "every layer needs a name of its own")
            places[name] = (place, layer)
        ends = _inputs(config, path)
        if len(ends) != len(given):
            raise refusal((*path, "input_layers"), len(ends), f"this network is called with {len(given)} inputs")
        tensors = dict(zip(ends, given, strict=True))
        outputs = ends_of(_in_order(config.get("output_layers")), (*path, "output_layers"))
        if not outputs or len(outputs) > (1 if depth else MAX_OUTPUTS):
            expected = "one output of a network within a network" if depth else f"one to {MAX_OUTPUTS} outputs"
            raise refusal((*path, "output_layers"), len(outputs), f"expected {expected}")
        waiting = _calls(places, path)
        if len(outputs) == 1:  # it comes last; all others in their order, in which Keras draws first weights
            waiting.sort(key=lambda call: (call.layer, call.number) in outputs)
        while waiting:
            ready = [call for call in waiting if all(source in tensors for source in call.sources)]
            if not ready:
                names = ", ".join(call.layer for call in waiting)[:80]
                raise refusal((*path, "layers"), names, "they take from layers that are not there, or in a circle")
            call = ready[0]
            waiting.remove(call)
            place, layer = places[call.layer]
            taken = [tensors[source] for source in call.sources]
            tensors[call.layer, call.number] = self._add(layer, place, taken, call, depth)
        is_last = depth or not self._layers or tensors.get(outputs[0]) == self._layers[-1]["name"]
        for output in outputs:
            if output not in tensors or not (is_last or len(outputs) > 1):
                raise refusal((*path, "output_layers"), output[0], "every layer must lead to the output")
        return [tensors[output] for output in outputs]

    def _add(self, layer: Mapping[str, Any], place: Path, taken: list[str], call: LayerCall, depth: int) -> str:
        """Write out a call of a layer, or of a network; return the name of its output."""
        kind = layer.get("class_name")
        self.calls_of += 1
        if self.calls_of > _MAX_CALLS:
            raise refusal(place, kind, f"expected at most {_MAX_CALLS} calls, those in networks within it included")
        if kind in _NETWORKS and layer.get("module") in ("keras", "keras.models", "keras.src.models.functional"):
            config = object_at(layer.get("config"), (*place, "config"))
            return self._network(str(kind), config, (*place, "config"), taken, depth + 1)[0]
        if len(self._layers) >= MAX_LAYERS:
            raise refusal(place, kind, f"expected at most {MAX_LAYERS} layers, those of networks within it included")
        if place in self._called:
            translated: dict[str, Any] = {"type": "shared", "layer": self._called[place]}
        elif is_operation(layer):
            translated = translate_operation(layer, call.arguments, len(taken), place)
        else:
            translated = translate_layer(layer, place)
        wanted = translated.get("name") or layer.get("name")
        name = self._unused(wanted if isinstance(wanted, str) else translated["type"])
        self._called.setdefault(place, name)
        self.places.append(place)
        self._layers.append(translated | call.options | {"name": name, "inputs": taken})
        return name

    def _unused(self, wanted: str) -> str:
        """Return a name that no layer has yet: within a network they may repeat."""
        name, number = wanted, 0
        while name in self._names:
            number += 1
            name = f"{wanted[:56]}_{number}"
        self._names.add(name)
        return name


def _layers(config: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    layers = config.get("layers")
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS + 1:
        raise refusal((*path, "layers"), layers, f"expected a list of at most {MAX_LAYERS} layers")
    for index, layer in enumerate(layers):
        place = (*path, "layers", index)
        yield place, object_at(layer, place)


def _calls(layers: Mapping[str, tuple[Path, dict[str, Any]]], path: Path) -> list[LayerCall]:
    """Return the calls of all layers, which are given by name, in their order."""
    calls = [
        call
        for name, (place, layer) in layers.items()
        if layer.get("class_name") != "InputLayer" and not is_mask(layer)
        for call in calls_of(name, layer, place)
    ]
    refuse_other_masks(layers.values())
    if len(calls) > MAX_LAYERS:
        raise refusal((*path, "layers"), len(calls), f"expected at most {MAX_LAYERS} calls of layers")
    return calls


def _sequential_input(config: Mapping[str, Any], path: Path) -> dict[str, list[int] | None]:
    shape, is_first = None, True
    for place, layer in _layers(config, path):
        if layer.get("class_name") == "InputLayer":
            if not is_first:
                raise refusal(place, layer.get("class_name"), "the input comes first, and once")
            shape = _input_shape(layer, place)
        is_first = False
    return {"input": shape}


def _functional_inputs(config: Mapping[str, Any], path: Path) -> dict[str, list[int] | None]:
    """Return the shapes of the inputs by name, in the order in which the network takes them."""
    found = {
        str(layer.get("name")): _input_shape(layer, place)
        for place, layer in _layers(config, path)
        if layer.get("class_name") == "InputLayer"
    }
    names = [name for name, _ in _inputs(config, path)]
    if sorted(names) != sorted(found):
        raise refusal((*path, "input_layers"), names, f"expected each input of the network once: {', '.join(found)}")
    return {name: found[name] for name in names}


def _in_order(ends: Any) -> Any:  # noqa: ANN401 - JSON
    """Return outputs in the order in which Keras trains them: by name, if they have names of their own."""
    return {name: ends[name] for name in sorted(ends)} if isinstance(ends, Mapping) else ends


def _outputs_by_name(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the names of outputs in a history of Keras, in order, and where each comes from."""
    ends = _in_order(config["output_layers"])
    return list(ends.items()) if isinstance(ends, Mapping) else [(end[0], end) for end in ends]


def _inputs(config: Mapping[str, Any], path: Path) -> list[tuple[str, int]]:
    """Return the inputs of a network in order."""
    if "input_layers" in config:
        return ends_of(config["input_layers"], (*path, "input_layers"))
    layers = [layer for _, layer in _layers(config, path) if layer.get("class_name") == "InputLayer"]
    return [(str(layer.get("name")), 0) for layer in layers]


def _input_shape(layer: Mapping[str, Any], path: Path) -> list[int]:
    config = object_at(layer.get("config"), (*path, "config"))
    shape = config.get("batch_shape")
    match shape:
        case [None, *axes] if axes and all(type(axis) is int and axis > 0 for axis in axes):
            pass
        case _:
            raise refusal((*path, "config", "batch_shape"), shape, "expected null and then the shape of a row")
    check_dtype(config.get("dtype"), (*path, "config", "dtype"), integers=True)
    for key in ("sparse", "ragged"):
        if config.get(key):
            raise refusal((*path, "config", key), config[key], "inputs are dense")
    return axes
