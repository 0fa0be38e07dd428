"""Layers drawn from their own entries: each option from what its schema allows, on an input that the layer takes."""

import math
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from fittingroom.specs.layers.layer_spec import LayerSpec, Shape
from fittingroom.specs.layers.registry import LAYER_TYPES
from fittingroom.specs.model import Model
from fittingroom.specs.search.search_space import SPACES
from fittingroom.specs.validation.graph import DoesNotConnect
from fittingroom.specs.validation.shapes import measure

SHAPES: tuple[Shape, ...] = ((12,), (6, 4), (8, 8, 3), (4, 4, 4, 2), (3, 4, 4, 2), (2, 4, 4, 4, 1))
"""Shapes that some layer takes, the first that fits is taken."""
_SPACES = {space.__name__ for space in SPACES.values()}
_LSTM = {"type": "lstm", "units": 3}
_DENSE = {"type": "dense", "units": 3}
GIVEN: dict[str, dict[str, Any]] = {
    "activation": {"activation": "tanh"},
    "einsum_dense": {"equation": "abc,cd->abd", "output_shape": [None, 3], "bias_axes": "d"},
    "embedding": {"input_dim": 20},
    "reshape": {"target_shape": [2, -1]},
    "permute": {"dims": [2, 1]},
    "normalization": {"mean": 0.5, "variance": 2.0},
    "discretization": {"bin_boundaries": [-1.0, 0.0, 1.0]},
    "category_encoding": {"num_tokens": 20},
    "rnn": {"cell": [{"type": "lstm_cell", "units": 3}, {"type": "gru_cell", "units": 2}]},
    "time_distributed": {"layer": _DENSE},
    "bidirectional": {"layer": _LSTM},
    "spectral_normalization": {"layer": _DENSE},
    "stft_spectrogram": {"frame_length": 4},
    "mel_spectrogram": {"fft_length": 8, "sequence_stride": 2, "num_mel_bins": 4},
    "group_normalization": {"groups": 1},
    "resizing": {"height": 4, "width": 6},
    "center_crop": {"height": 4, "width": 6},
    "grouped_query_attention": {"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2},
}  # fmt: skip
"""Options that belong together, or that only other layers can give, by type."""
_AT_RANDOM = {"name", "inputs", "type", "trainable"}
NETWORK_TYPES = sorted(name for name, layer in LAYER_TYPES.items() if layer.place == "network" and name != "shared")
INTEGERS = ("embedding", "category_encoding")
"""Layers whose inputs are integers from 0."""


def smallest(kind: str) -> dict[str, Any]:
    """Return a layer of a type with the options that it needs, and no other."""
    found: dict[str, Any] = {"type": kind} | GIVEN.get(kind, {})
    schema = _schema(LAYER_TYPES[kind])
    for name in schema.get("required", ()):
        if name not in found:
            found[name] = _least(schema["properties"][name], schema)
    return found


def drawn(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy of layers of a type, with all of its options."""
    schema = _schema(LAYER_TYPES[kind])
    given = GIVEN.get(kind, {})
    options = {
        name: _values(part, schema)
        for name, part in schema["properties"].items()
        if name not in _AT_RANDOM and name not in given
    }
    required = {name: options.pop(name) for name in schema.get("required", ()) if name in options}
    fixed = {"type": st.just(kind), **{name: st.just(value) for name, value in given.items()}, **required}
    return st.fixed_dictionaries(fixed, optional=options)


def network(layer: dict[str, Any]) -> dict[str, Any] | None:
    """Return a model in which a layer takes what it needs, and its outputs become two; None if none takes it."""
    kind = LAYER_TYPES[layer["type"]]
    for shape in SHAPES:
        inputs = ["input"] * kind.inputs_taken[0] if kind.inputs_taken[0] > 1 else None
        drawn_layer = layer | ({} if inputs is None else {"inputs": inputs})
        reads_mask = layer["type"] == "masking" or layer.get("mask_zero")
        after = [_LSTM if reads_mask else {"type": "flatten"}, {"type": "dense", "units": 2, "activation": "softmax"}]
        document = {"input_shape": list(shape), "layers": [drawn_layer, *after]}
        try:
            measure(Model.model_validate(document), features_of(document))
        except (DoesNotConnect, ValidationError):
            continue
        return document
    return None


def features_of(model: dict[str, Any]) -> int:
    """Return how many numbers a row of a model has."""
    return sum(math.prod(shape) for shape in model.get("inputs", {"": model.get("input_shape", ())}).values())


def _schema(layer: type[LayerSpec]) -> dict[str, Any]:
    return layer.model_json_schema()


def _branches(part: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a value may be, without search spaces."""
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        return [] if name in _SPACES else [schema["$defs"][name]]
    return [one for key in ("anyOf", "oneOf") for branch in part.get(key, ()) for one in _branches(branch, schema)] or [
        part
    ]


def _least(part: dict[str, Any], schema: dict[str, Any]) -> Any:
    first = _branches(part, schema)[0]
    if first.get("type") in {"integer", "number"}:
        least = max(first.get("minimum", first.get("exclusiveMinimum", 0)), 0)
        return max(int(least), 2) if first["type"] == "integer" else min(0.25, first.get("maximum", 1))
    return first["enum"][0]


def _values(part: dict[str, Any], schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy of small values that a schema allows."""
    return st.one_of([_of_branch(branch, schema) for branch in _branches(part, schema)])


def _of_branch(part: dict[str, Any], schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "const" in part or "enum" in part:
        return st.sampled_from(part.get("enum") or [part["const"]])
    if part.get("type") in {"array", "object"}:
        return _several(part, schema)
    low, high = part.get("minimum", part.get("exclusiveMinimum")), part.get("maximum", part.get("exclusiveMaximum"))
    low, high = max(-3 if low is None else low, -3), min(4 if high is None else high, 4)
    plain = {
        "boolean": st.booleans(),
        "integer": st.integers(int(low), int(high)),
        "number": st.sampled_from([low + (high - low) * part for part in (0.25, 0.5, 0.75)]),
        "null": st.none(),
    }
    return plain.get(part.get("type", ""), st.nothing())


def _several(part: dict[str, Any], schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "prefixItems" in part:
        return st.tuples(*(_values(item, schema) for item in part["prefixItems"])).map(list)
    if part["type"] == "array":
        return st.lists(_values(part["items"], schema), min_size=1, max_size=3)
    required = {name: _values(part["properties"][name], schema) for name in part.get("required", ())}
    optional = {name: _values(one, schema) for name, one in part["properties"].items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)
