"""A network as a client gives it: layers with choices and repetitions among them, or Keras's own JSON."""

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from fittingroom.specs.base import Int, Path, Spec, refusal
from fittingroom.specs.keras_import.document import from_keras
from fittingroom.specs.layers.any_layer import AnyLayer
from fittingroom.specs.limits import MAX_LAYERS, MAX_NESTING
from fittingroom.specs.model import Model
from fittingroom.specs.search.search_space import Choice
from fittingroom.specs.search.searchable import SearchableInt, searchable_layer


class Repeat(Spec):
    """Layers that stand several times, one after the other, each with weights of its own."""

    repeat: "list[SearchableLayer]" = Field(min_length=1, max_length=MAX_LAYERS)
    """The layers. Search spaces among them have one value in all repetitions."""
    times: SearchableInt[Annotated[Int, Field(ge=1, le=MAX_LAYERS)]]
    """Number of repetitions."""


def _read_option(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return an option of a choice: a layer, layers to repeat, or a block of these."""
    return _options(of_blocks=isinstance(value, list)).validate_python(value)


@cache
def _options(*, of_blocks: bool) -> TypeAdapter[Any]:  # made when first needed
    one: Any = SearchableLayer
    return TypeAdapter(Annotated[list[one], Field(max_length=MAX_LAYERS)] if of_blocks else one)


if TYPE_CHECKING:
    SearchableLayer: TypeAlias = AnyLayer | Choice | Repeat
else:
    SearchableLayer = searchable_layer(AnyLayer, Repeat, Annotated[Any, PlainValidator(_read_option)])


class ModelSpace(Model):
    """A network with a choice of layers or blocks among its layers, or with layers that are repeated."""

    layers: list[SearchableLayer] = Field(min_length=1, max_length=MAX_LAYERS)  # type: ignore[assignment]
    """Layers, choices of layers and layers to repeat, in order."""

    @model_validator(mode="after")
    def _outputs_are_layers(self) -> Self:
        """Leave the check of `Model` to the network of each trial: which layers there are is not known before."""
        return self


class KerasModel(Spec):
    """A network as Keras 3 writes it with `model.to_json()`: Sequential or Functional, of supported layers.

    It is stored and shown as `layers`.
    """

    keras: dict[str, Any] | str
    """The JSON document, as an object or as a string."""


def _refuse_nesting(document: Any, path: Path, nested: tuple[str, ...] = ()) -> None:  # noqa: ANN401 - JSON
    """Refuse layers that are repeated within others that are, and options that are nested too deep.

    Raises:
        pydantic.ValidationError: it says where.
    """
    if isinstance(document, list):
        for number, part in enumerate(document):
            _refuse_nesting(part, (*path, number), nested)
        return
    key = next((key for key in ("choice", "repeat") if key in document), "") if isinstance(document, dict) else ""
    if not key or "type" in document:
        return
    if key == "repeat" and "repeat" in nested:
        detail = "layers are repeated within layers that are repeated; write the outer or the inner ones out"
        raise refusal(path, "repeat", detail)
    if len(nested) == MAX_NESTING:
        raise refusal(path, key, f"at most {MAX_NESTING} choices and repetitions may stand within each other")
    if {"choice", "repeat"} <= document.keys():
        raise refusal(path, "choice, repeat", "give either 'choice' or 'repeat'")
    _refuse_nesting(document[key], (*path, key), (*nested, key))


def _has_options(document: Any) -> bool:  # noqa: ANN401 - JSON
    """Return True if a choice or a repetition stands among the layers of a network."""
    layers = document.get("layers") if isinstance(document, dict) else None
    return isinstance(layers, list) and any(
        isinstance(layer, dict) and "type" not in layer and ("choice" in layer or "repeat" in layer) for layer in layers
    )


def _read_model(value: Any, handler: ValidatorFunctionWrapHandler) -> Model:  # noqa: ANN401 - JSON
    if isinstance(value, ModelSpace):
        return value
    document, places = from_keras(value)
    if _has_options(document):
        _refuse_nesting(document["layers"], ("layers",))
        return ModelSpace.model_validate(document)
    model: Model = handler(document)
    if places:
        model.read_from(places)
    return model


class _AsGiven:
    """Annotates a network in any form; what other forms need is made ready when the first such network comes."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's hook
        """Pydantic's own way to add a rule."""
        return core_schema.no_info_wrap_validator_function(_read_model, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe all forms."""
        del schema
        forms: tuple[type[Spec], ...] = (Model, ModelSpace, KerasModel)
        for form in forms:
            form.model_rebuild()
        # As definitions, so that each is described once, by its name.
        return {"anyOf": [handler(core_schema.definitions_schema(form.__pydantic_core_schema__, [])) for form in forms]}


AnyModel = Annotated[Model, _AsGiven()]
