"""A layer of any type, as a field of a spec."""

from collections.abc import Mapping
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from fittingroom.specs.layers.layer_spec import LAYER_TYPES, LayerSpec


def load_layers() -> None:
    """Import the modules of all layers, once: they take a third of a second, which a process may never need."""
    import_module("fittingroom.specs.layers.registry")


def layers_at(place: str) -> list[type[LayerSpec]]:
    """Return the layers that may stand at a place, by `type`: their modules are imported in any order."""
    load_layers()
    return [layer for _, layer in sorted(LAYER_TYPES.items()) if layer.place == place]


@cache
def _known_at(place: str) -> str:
    """Return the types of the layers that may stand at a place, as pydantic lists the tags of a union."""
    return ", ".join(f"'{kind_of(layer)}'" for layer in layers_at(place))


def kind_of(layer: type[LayerSpec]) -> str:
    """Return the `type` by which a spec names a class."""
    kind: str = get_args(layer.model_fields["type"].annotation)[0]
    return kind


@cache
def keras_classes() -> Mapping[str, type[LayerSpec]]:
    """Return the layers by the name of Keras's own class, and by the name under which it is exported if another."""
    load_layers()
    return {
        name: layer
        for layer in LAYER_TYPES.values()
        for name in (layer.__name__, layer.exported_as)
        if name is not None
    }


def _find(value: Any, place: str) -> LayerSpec:  # noqa: ANN401 - JSON
    """Return a layer of any type, validated."""
    if isinstance(value, LayerSpec):
        return value
    if not isinstance(value, dict):
        raise PydanticKnownError("dict_type")
    load_layers()
    if "type" not in value:
        raise PydanticKnownError("union_tag_not_found", {"discriminator": "'type'"})
    kind = LAYER_TYPES.get(value["type"]) if isinstance(value["type"], str) else None
    if kind is None or kind.place != place:
        about = {
            "discriminator": "'type'",
            "tag": str(value["type"]).encode(errors="replace").decode(),
            "expected_tags": _known_at(place),
        }
        raise PydanticKnownError("union_tag_invalid", about)
    return kind.model_validate(value)


class _OfAnyType:
    """Annotates a layer of any type, whose class is made ready when the first such layer comes."""

    def __init__(self, place: str, *, is_listed: bool) -> None:
        self._place, self._is_listed = place, is_listed

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's hook
        """Pydantic's own way to add a rule."""
        return core_schema.no_info_plain_validator_function(partial(_find, place=self._place))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the layers where they are listed, and refer to them elsewhere, as a layer may be in a layer."""
        layers = layers_at(self._place)
        if not self._is_listed:
            types = [kind_of(layer) for layer in layers]
            return {
                "type": "object",
                "properties": {"type": {"enum": types}},
                "required": ["type"],
                "description": "A layer, with its `type` and options.",
            }
        del schema
        for layer in layers:
            layer.model_rebuild()
        # As definitions, so that each is described once, by its name.
        return {"oneOf": [handler(core_schema.definitions_schema(one.__pydantic_core_schema__, [])) for one in layers]}


if TYPE_CHECKING:
    Layer: TypeAlias = LayerSpec
    AnyLayer: TypeAlias = LayerSpec
    AnyCell: TypeAlias = LayerSpec
else:
    Layer = Annotated[LayerSpec, _OfAnyType("network", is_listed=True)]
    AnyLayer = Annotated[LayerSpec, _OfAnyType("network", is_listed=False)]
    AnyCell = Annotated[LayerSpec, _OfAnyType("rnn", is_listed=False)]
