"""Types of fields in whose place a search space may stand."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, SchemaValidator, core_schema

from fittingroom.specs.base import Spec, refusal
from fittingroom.specs.limits import MAX_STEPS
from fittingroom.specs.search.search_space import (
    PLAIN_TYPES,
    SPACES,
    Choice,
    IntLogUniform,
    IntUniform,
    LogUniform,
    SameAs,
    Space,
    Uniform,
    search_space_kind,
)

T = TypeVar("T")

_SPACE = "a space"
"""Tag of a space: no key of a document, as the place in the document has no part for it."""
_REPEATED = "duplicate value; every value of a choice makes a trial, so list each once"


class _Searchable:
    """Annotates a value in whose place a search space may stand, over values with the same bounds."""

    def __init__(self, *kinds: str, key: str = "", document: Any = None, option: Any = None, value: Any = None) -> None:  # noqa: ANN401 - types as values
        """Say what may stand there.

        Args:
            kinds: search spaces.
            key: a key of a document that may stand there too.
            document: the type of that document.
            option: the type of the options of a choice, if these may be documents.
            value: the type of the plain value. Default: the annotated type, what else it is annotated with included.
        """
        self._key, self._document, self._option, self._value = key, document, option, value
        self._kinds = kinds if self._takes_documents else (*kinds, "same_as")

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's hook
        """Return the schema of the value, of a space, and of a document."""
        value = handler(source) if self._value is None else handler.generate_schema(self._value)
        # A space is made ready when the first one comes: there are hundreds of fields.
        space = core_schema.no_info_plain_validator_function(partial(self._read_space, _PlainValues(value)))
        members: dict[Any, CoreSchema] = {"value": value, _SPACE: space}
        shapes = ", ".join(f'{{"{kind}": {"…" if kind == "same_as" else "[…]"}}}' for kind in self._kinds)
        message = f"expected a plain value or a search space: {shapes}"
        if self._document is not None:
            members["document"] = handler.generate_schema(self._document)
            what = {"schedule": "a schedule", "repeat": "layers to repeat"}.get(self._key, "an object")
            message += f', or {what}: {{"{self._key}": …}}'
        return core_schema.tagged_union_schema(
            members, self._kind, custom_error_type="not_a_search_space", custom_error_message=message
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the value, each space, and a document."""
        members: Mapping[str, CoreSchema] = schema["choices"]
        for kind in self._kinds:
            SPACES[kind].model_rebuild()
        parts = [members["value"], *(SPACES[kind].__pydantic_core_schema__ for kind in self._kinds)]
        if "document" in members:
            parts.append(members["document"])
        # As definitions, so that each is described once, by its name.
        return {"oneOf": [handler(core_schema.definitions_schema(part, [])) for part in parts]}

    def _kind(self, document: Any) -> str | None:  # noqa: ANN401 - JSON
        if type(document) in PLAIN_TYPES:
            return "value"
        kind = search_space_kind(document)
        if kind is not None:
            return _SPACE if kind in self._kinds else None
        if self._document is not None:
            keys = document if isinstance(document, dict) else getattr(type(document), "model_fields", ())
            if self._key in keys:
                return "document"
        return None if isinstance(document, dict) and not self._takes_documents else "value"

    @property
    def _takes_documents(self) -> bool:
        """True if the plain value is a document itself."""
        return self._option is not None and self._key in {"", "repeat"}

    def _read_space(self, plain: "_PlainValues", document: Any) -> Space:  # noqa: ANN401 - JSON
        kind = search_space_kind(document) or ""
        space = SPACES[kind].model_validate(document)
        if isinstance(space, SameAs):
            return space  # whether it is there is known once all of the document is
        if isinstance(space, Choice) and self._has_documents(space):
            return self._with_options(space)
        return plain.check(kind, space)

    def _has_documents(self, space: Choice) -> bool:
        if self._option is None:
            return False
        return self._takes_documents or any(type(option) not in PLAIN_TYPES for option in space.choice)

    def _with_options(self, space: Choice) -> Choice:
        """Validate the options of a choice, which may be documents."""
        for number, option in enumerate(space.choice):
            if search_space_kind(option) is not None:
                detail = "an option cannot be a search space itself; give its values as options"
                raise refusal(("choice", number), option, detail)
        options = self._options.validate_python({"choice": space.choice})["choice"]
        if len(set(map(_identity, options))) < len(options):
            raise refusal(("choice",), space.choice, _REPEATED)
        return space.model_copy(update={"choice": options})

    @cached_property
    def _options(self) -> TypeAdapter[Any]:
        option: Any = self._option
        return TypeAdapter(dict[Literal["choice"], list[option]], config=ConfigDict(allow_inf_nan=False))


class _PlainValues:
    """Validates the values of spaces by the schema of a plain value."""

    def __init__(self, value: CoreSchema) -> None:
        self._value = value
        self._validators: dict[str, SchemaValidator] = {}

    def check(self, kind: str, space: Space) -> Space:
        """Return a space with its values validated."""
        given = getattr(space, kind)
        step = getattr(space, "step", None)
        values = self._validator(kind).validate_python({kind: list(given)})[kind]
        if step is not None:
            # As decimal numbers: 0.3 - 0.1 is less than 0.2 otherwise.
            steps = (Decimal(repr(values[1])) - Decimal(repr(values[0]))) / Decimal(repr(step))
            if not 1 <= steps <= MAX_STEPS:
                raise ValueError(f"expected a step that makes 2 to {MAX_STEPS:,} values of the range, found {step}")
        return space.model_copy(update={kind: type(given)(values)})

    def _validator(self, kind: str) -> SchemaValidator:
        if kind not in self._validators:
            values = core_schema.list_schema(self._value)
            in_order = core_schema.no_info_after_validator_function(partial(_in_order, kind), values)
            self._validators[kind] = SchemaValidator(
                core_schema.typed_dict_schema(
                    {kind: core_schema.typed_dict_field(in_order)},
                    config=core_schema.CoreConfig(allow_inf_nan=False),
                )
            )
        return self._validators[kind]


def _identity(option: Any) -> str:  # noqa: ANN401 - JSON, or documents
    """Return a text that is equal for options that mean the same."""
    if isinstance(option, list) and len(option) == 1:
        [option] = option
    if isinstance(option, Spec) and option.model_fields_set == {"name"}:
        option = getattr(option, "name", None)  # a name is short for a document that has nothing else
    return repr(option)


def _in_order(kind: str, values: list[Any]) -> list[Any]:
    if kind == "choice":
        if len({(type(value), value) for value in values}) < len(values):
            raise ValueError(_REPEATED)
        return values
    low, high = values
    if kind in {"log_uniform", "int_log_uniform"} and low <= 0:
        other = kind.replace("log_", "")
        raise ValueError(f"{kind} needs a lowest value above 0, found {low}; use {other} for a range with 0")
    if not low < high:
        raise ValueError(f"expected [lowest, highest] with lowest < highest, found [{low}, {high}]")
    return values


if TYPE_CHECKING:
    SearchableReal: TypeAlias = T | Choice | Uniform | LogUniform | SameAs
    SearchableInt: TypeAlias = T | Choice | IntUniform | IntLogUniform | SameAs
    SearchableName: TypeAlias = T | Choice | SameAs
    _Document = TypeVar("_Document")
    SearchableRealOr: TypeAlias = T | Choice | Uniform | LogUniform | SameAs | _Document
    SearchableNameOr: TypeAlias = T | Choice | SameAs | _Document
    SearchableDocument: TypeAlias = T | Choice | _Document
else:

    class SearchableReal:
        """A number, or a choice, uniform or log_uniform over such numbers."""

        def __class_getitem__(cls, value: Any) -> Any:  # noqa: ANN401 - types as values
            return Annotated[value, _Searchable("choice", "uniform", "log_uniform")]

    class SearchableRealOr:
        """A number, a space over such numbers, or a document with the key `schedule`."""

        def __class_getitem__(cls, parts: tuple[Any, Any]) -> Any:  # noqa: ANN401 - types as values
            option = Annotated[parts[0], _Searchable(key="schedule", document=parts[1])]
            kinds = ("choice", "uniform", "log_uniform")
            return Annotated[parts[0], _Searchable(*kinds, key="schedule", document=parts[1], option=option)]

    class SearchableInt:
        """An integer, or a choice, int_uniform or int_log_uniform over such numbers."""

        def __class_getitem__(cls, value: Any) -> Any:  # noqa: ANN401 - types as values
            return Annotated[value, _Searchable("choice", "int_uniform", "int_log_uniform")]

    class SearchableName:
        """A name or a flag, or a choice of such."""

        def __class_getitem__(cls, value: Any) -> Any:  # noqa: ANN401 - types as values
            return Annotated[value, _Searchable("choice")]

    class SearchableNameOr:
        """A name, a choice of names, or a document with the key `name`."""

        def __class_getitem__(cls, parts: tuple[Any, Any]) -> Any:  # noqa: ANN401 - types as values
            option = Annotated[parts[0], _Searchable(key="name", document=parts[1])]
            return Annotated[parts[0], _Searchable("choice", key="name", document=parts[1], option=option)]

    class SearchableDocument:
        """A document, or a choice of documents of the second type."""

        def __class_getitem__(cls, parts: tuple[Any, Any]) -> Any:  # noqa: ANN401 - types as values
            return Annotated[Any, _Searchable("choice", option=parts[1], value=parts[0])]


def searchable_layer(layer: Any, document: Any, option: Any) -> Any:  # noqa: ANN401 - types as values
    """Return the type of a layer, a choice of such options, or a document with the key `repeat`."""
    return Annotated[Any, _Searchable("choice", key="repeat", document=document, option=option, value=layer)]
