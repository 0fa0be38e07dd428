"""Calls and ends of a graph in Keras's JSON: which tensors a layer takes, with which options."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fittingroom.specs.base import Path, refusal
from fittingroom.specs.keras_import.errors import object_at
from fittingroom.specs.keras_import.operations import is_operation
from fittingroom.specs.limits import MAX_LAYERS

_TENSOR = "__keras_tensor__"
_MASKS = {"NotEqual", "Any", "LogicalOr", "LogicalAnd"}
"""Operations by which Keras computes masks; layers compute them anew."""
_QUERY = ("query", "value", "key")
_MASK_OPTIONS = {"mask", "query_mask", "value_mask", "key_mask"}
_UNSAID = {"training": False, "return_attention_scores": False, "use_causal_mask": False}
"""Options of a call, and the value at which they say nothing, beside null."""


class LayerCall(NamedTuple):
    """One call of a layer."""

    layer: str
    number: int
    """Number of the call, from 0."""
    sources: list[tuple[str, int]]
    """Layers and calls whose outputs it takes."""
    arguments: list[Any]
    """Positional arguments, None for a tensor."""
    options: dict[str, Any]
    """Options of the call that a layer of ours has."""


def calls_of(name: str, layer: Mapping[str, Any], path: Path) -> Iterator[LayerCall]:
    """Yield the calls of a layer."""
    nodes, place = layer.get("inbound_nodes"), (*path, "inbound_nodes")
    if not isinstance(nodes, list) or not nodes or len(nodes) > MAX_LAYERS:
        raise refusal(place, nodes, "expected a layer that is called with tensors")
    for index, node in enumerate(nodes):
        match node:
            case {"args": [list() as arguments], **rest} if rest.keys() <= {"kwargs"}:
                pass
            case {"args": list() as arguments, **rest} if rest.keys() <= {"kwargs"}:
                pass
            case _:
                raise refusal((*place, index), node, "expected a layer that is called with tensors")
        options = object_at(rest.get("kwargs") or {}, (*place, index, "kwargs"))
        arguments = [*arguments, *(options[key] for key in _QUERY if _is_tensor(options.get(key)))]
        sources = [_source(one, (*place, index)) for one in arguments if _is_tensor(one)]
        if not sources:
            raise refusal((*place, index), node, "expected a layer that is called with tensors")
        plain = [None if _is_tensor(one) else one for one in arguments]
        if not is_operation(layer) and len(sources) < len(plain):
            raise refusal((*place, index), node, "expected a layer that is called with tensors alone")
        yield LayerCall(name, index, sources, plain, _call_options(options, (*place, index, "kwargs"), layer))


def is_mask(layer: Mapping[str, Any]) -> bool:
    """Return True if Keras made the entry of a mask."""
    return is_operation(layer) and layer.get("class_name") in _MASKS


def refuse_other_masks(places: Iterable[tuple[Path, Mapping[str, Any]]]) -> None:
    """Refuse masks that no layer computes: those of `Masking` and `Embedding` flow by themselves."""
    masked: list[Any] = []
    for _, layer in places:
        config = layer.get("config")
        if isinstance(config, dict) and layer.get("class_name") == "Masking":
            masked.append(config.get("mask_value", 0.0))
        elif isinstance(config, dict) and layer.get("class_name") == "Embedding" and config.get("mask_zero") is True:
            masked.append(0)
    for place, layer in places:
        if is_mask(layer) and layer.get("class_name") == "NotEqual":
            for call in calls_of("", layer, place):
                if not any(value in masked for value in call.arguments if isinstance(value, int | float)):
                    detail = "masks come from Masking, or from Embedding with mask_zero; leave this operation out"
                    raise refusal((*place, "class_name"), "NotEqual", detail)


def _is_tensor(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, dict) and value.get("class_name") == _TENSOR


def _call_options(options: Mapping[str, Any], path: Path, layer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a call that a layer of ours has; refuse others, but for those that say nothing."""
    found = {}
    for name, value in options.items():
        is_tensor = _is_tensor(value) or (isinstance(value, list) and all(v is None or _is_tensor(v) for v in value))
        if value is None or (name in _QUERY and _is_tensor(value)) or (name in _MASK_OPTIONS and is_tensor):
            continue
        if name == "use_causal_mask" and value is True and "Attention" in str(layer.get("class_name")):
            found[name] = True
        elif name == "training" and value is True:
            detail = "keras.Model.fit and predict pass training themselves; call the layer without it"
            raise refusal((*path, name), value, detail)
        elif not (name in _UNSAID and value is _UNSAID[name]):
            raise refusal((*path, name), value, "a layer is called with tensors alone; call it without this option")
    return found


def _source(tensor: Any, path: Path) -> tuple[str, int]:  # noqa: ANN401 - JSON
    match tensor:
        case {"class_name": "__keras_tensor__", "config": {"keras_history": [str() as name, int() as call, 0]}}:
            return name, call
        case _:
            raise refusal(path, tensor, "expected a tensor that a layer of this network gives")


def ends_of(ends: Any, path: Path) -> list[tuple[str, int]]:  # noqa: ANN401 - JSON
    """Return the layers and calls of inputs or outputs: one, a list of several, or several by name."""
    listed = list(ends.values()) if isinstance(ends, dict) else ends
    match listed:
        case [str() as name, int() as call, 0]:
            return [(name, call)]
        case list() if len(listed) <= MAX_LAYERS:
            found = []
            for end in listed:
                match end:
                    case [str() as name, int() as call, 0]:
                        found.append((name, call))
                    case _:
                        raise refusal(path, end, "expected layers, each with the number of its call and 0")
            return found
        case _:
            raise refusal(path, ends, "expected layers, each with the number of its call and 0")
