"""Search spaces, which may stand in place of a number or a name.

Values are sampled in `models.planning.sampling`.
"""

from collections.abc import Callable
from functools import partial
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, SchemaValidator
from pydantic_core.core_schema import (
    CoreConfig,
    list_schema,
    no_info_after_validator_function,
    tagged_union_schema,
    typed_dict_field,
    typed_dict_schema,
)

from fittingroom.specs.base import Spec
from fittingroom.specs.limits import MAX_CHOICES

T = TypeVar("T")
_Value = Annotated[
    Any, Field(json_schema_extra={"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "boolean"}]})
]
_Number = Annotated[Any, Field(json_schema_extra={"type": "number"})]
_Integer = Annotated[Any, Field(json_schema_extra={"type": "integer"})]


class Choice(Spec):
    """One of the listed values."""

    choice: list[_Value] = Field(min_length=1, max_length=MAX_CHOICES)
    """The values to try, without repeats."""


class Uniform(Spec):
    """Uniform distribution between two numbers. Needs a sampler that draws, such as `random`."""

    uniform: tuple[_Number, _Number]
    """Lowest and highest value."""


class LogUniform(Spec):
    """Log-uniform distribution: every order of magnitude is equally likely. Needs a sampler that draws."""

    log_uniform: tuple[_Number, _Number]
    """Lowest and highest value, both above 0."""


class IntUniform(Spec):
    """Integers from the first to the second number, both included. The `grid` sampler tries all of them."""

    int_uniform: tuple[_Integer, _Integer]
    """Lowest and highest value."""


Space: TypeAlias = Choice | Uniform | LogUniform | IntUniform

_SPACES: dict[str, type[Space]] = {
    "choice": Choice,
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "int_uniform": IntUniform,
}


_PLAIN = {float, int, str, bool, NoneType}
"""Types that are never a search space: those of most values, which are asked for often."""


def search_space_kind(document: object) -> str | None:
    """Return the key that makes a JSON document a search space, or None if it is a plain value."""
    if isinstance(document, dict):
        return next((kind for kind in _SPACES if kind in document), None)
    if type(document) in _PLAIN or not isinstance(document, Space):
        return None
    return next(kind for kind, space in _SPACES.items() if isinstance(document, space))


class _Searchable:
    """Annotates a value in whose place a search space may stand, over values with the same bounds."""

    def __init__(self, *kinds: str, key: str = "", document: Any = None) -> None:  # noqa: ANN401 - types as values
        """Args: spaces that may stand there; and the type of a document that may, known by a key that it has."""
        self._kinds = kinds
        self._key, self._document = key, document

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's hook
        """Return the schema of the value, of each space, and of a document."""
        value = handler(source)
        members: dict[Any, CoreSchema] = {"value": value}
        for kind in self._kinds:
            space = handler.generate_schema(_SPACES[kind])
            # Not tagged by its key: a tag is no part of the place in the document.
            members[f"a {kind}"] = no_info_after_validator_function(_values_checker(kind, value), space)
        shapes = ", ".join(f'{{"{kind}": […]}}' for kind in self._kinds)
        message = f"expected a plain value or a search space: {shapes}"
        if self._document is not None:
            members["document"] = handler.generate_schema(self._document)
            what = "a schedule" if self._key == "schedule" else "an object"
            message += f', or {what}: {{"{self._key}": …}}'
        return tagged_union_schema(
            members, self._kind, custom_error_type="not_a_search_space", custom_error_message=message
        )

    def _kind(self, document: Any) -> str | None:  # noqa: ANN401 - JSON
        if type(document) in _PLAIN:
            return "value"
        kind = search_space_kind(document)
        if kind is not None:
            return f"a {kind}" if kind in self._kinds else None
        if self._document is not None and (
            isinstance(document, Spec) or (isinstance(document, dict) and self._key in document)
        ):
            return "document"
        return None if isinstance(document, dict) else "value"


def _values_checker(kind: str, value: CoreSchema) -> Callable[[Space], Space]:
    """Return a function that validates the values of a space by the schema of a plain value."""
    values = no_info_after_validator_function(partial(_in_order, kind), list_schema(value))
    fields = {kind: typed_dict_field(values)}
    validator = SchemaValidator(typed_dict_schema(fields, config=CoreConfig(allow_inf_nan=False)))

    def check(space: Space) -> Space:
        given = getattr(space, kind)
        return space.model_copy(update={kind: type(given)(validator.validate_python({kind: list(given)})[kind])})

    return check


def _in_order(kind: str, values: list[Any]) -> list[Any]:
    if kind == "choice":
        if len({(type(value), value) for value in values}) < len(values):
            raise ValueError("duplicate value; every value of a choice makes a trial, so list each once")
        return values
    low, high = values
    if kind == "log_uniform" and low <= 0:
        raise ValueError(f"log_uniform needs a lowest value above 0, found {low}; use uniform for a range with 0")
    if not low < high:
        raise ValueError(f"expected [lowest, highest] with lowest < highest, found [{low}, {high}]")
    return values


if TYPE_CHECKING:
    SearchableReal: TypeAlias = T | Choice | Uniform | LogUniform
    SearchableInt: TypeAlias = T | Choice | IntUniform
    SearchableName: TypeAlias = T | Choice
    _Document = TypeVar("_Document")
    SearchableRealOr: TypeAlias = T | Choice | Uniform | LogUniform | _Document
    SearchableNameOr: TypeAlias = T | Choice | _Document
else:

    class SearchableReal:
        """A number, or a choice, uniform or log_uniform over such numbers."""

        def __class_getitem__(cls, value: Any) -> Any:  # noqa: ANN401 - types as values
            return Annotated[value, _Searchable("choice", "uniform", "log_uniform")]

    class SearchableRealOr:
        """A number, a space over such numbers, or a document with the key `schedule`."""

        def __class_getitem__(cls, parts: tuple[Any, Any]) -> Any:  # noqa: ANN401 - types as values
            return Annotated[
                parts[0], _Searchable("choice", "uniform", "log_uniform", key="schedule", document=parts[1])
            ]

    class SearchableInt:
        """An integer, or a choice or int_uniform over such numbers."""

        def __class_getitem__(cls, value: Any) -> Any:  # noqa: ANN401 - types as values
            return Annotated[value, _Searchable("choice", "int_uniform")]

    class SearchableName:
        """A name or a flag, or a choice of such."""

        def __class_getitem__(cls, value: Any) -> Any:  # noqa: ANN401 - types as values
            return Annotated[value, _Searchable("choice")]

    class SearchableNameOr:
        """A name, a choice of names, or a document with the key `name`."""

        def __class_getitem__(cls, parts: tuple[Any, Any]) -> Any:  # noqa: ANN401 - types as values
            return Annotated[parts[0], _Searchable("choice", key="name", document=parts[1])]


def sampled_value(value: T | Space) -> T:
    """Return the plain value of a field that was already sampled.

    Raises:
        TypeError: the field still holds a search space, so this is no trial's document.
    """
    if isinstance(value, Space):
        raise TypeError(f"expected a sampled value, found the search space {value!r}")
    return value
