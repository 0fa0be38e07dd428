"""The base of all specs: unknown keys are refused with the nearest known one named, and numbers are numbers."""

from collections.abc import Collection
from functools import cache
from itertools import islice
from typing import Annotated, Any, Self, get_args

import pydantic_core
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    Strict,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema

from fittingroom.specs.hints import nearest_hint
from fittingroom.specs.limits import MAX_FAULTS
from fittingroom.specs.visible_text import invisible_fault

# Strict: the string "32" and `true` are not the number 32 and 1; a client that sends them has a bug to hear about.
Int = Annotated[int, Strict()]
Real = Annotated[float, Strict()]
Bool = Annotated[bool, Strict()]
Path = tuple[str | int, ...]
"""Place in a JSON document: keys and positions."""


class Visible:
    """Annotates a text that people read; the last annotation, so that a text too long is not searched."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's hook
        """Pydantic's own way to add a rule."""
        schema: Any = handler(source)
        # What PostgreSQL's text needs, and what of the rule a schema can say to every reader of it.
        schema["pattern"] = r"^[^\x00-\x1f\x7f]*$"
        return pydantic_core.core_schema.no_info_after_validator_function(_seen, schema)


def _seen(text: str) -> str:
    fault = invisible_fault(text)
    if fault is not None:
        raise ValueError(fault)
    return text


_MAX_UNKNOWN = 20
"""Maximum number of unknown keys reported per document; the first few get a hint."""
_MAX_HINTS = 5
_ENTRIES_AT_ONCE = 100

_BUILT_IN_FAULTS = frozenset(get_args(pydantic_core.core_schema.ErrorType))


class Spec(BaseModel):
    """A document of the wire. Immutable; refuses keys it does not know and numbers that are not finite."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
        defer_build=True,  # most stand within another, whose schema is made with theirs
    )

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_nearest_key(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 - JSON
        """Rewrite pydantic's 'extra inputs are not permitted' so that it says what was probably meant."""
        if isinstance(value, dict) and len(value) > len(cls.__pydantic_fields__) + _MAX_UNKNOWN:
            value = _without_most_unknown(value, _known_keys(cls))
        try:
            return handler(value)
        except ValidationError as error:
            known, hints = _known_keys(cls), 0
            faults = []
            for fault in error.errors(include_url=False)[:MAX_FAULTS]:  # at each level, lest they multiply
                is_hinted = fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1 and hints < _MAX_HINTS
                hints += is_hinted
                faults.append(_rebuild(fault, known, is_hinted=is_hinted))
            raise ValidationError.from_exception_data(cls.__name__, faults) from None


def refusal(path: Path, found: Any, detail: str) -> ValidationError:  # noqa: ANN401 - JSON
    """Return an error of a validator, with a pointer into the document that it validates."""
    kind = pydantic_core.PydanticCustomError("refused", "{detail}", {"detail": detail})
    return ValidationError.from_exception_data(
        "spec", [pydantic_core.InitErrorDetails(type=kind, loc=path, input=found)]
    )


def refuse_early(entries: Any, max_length: int) -> BeforeValidator:  # noqa: ANN401 - a type
    """Give pydantic of a mapping that is too long, or wrong, no more than its first wrong entries: each is an error.

    Args:
        entries: the mapping's type.
        max_length: how many entries it may have.
    """

    @cache
    def adapter() -> TypeAdapter[Any]:
        return TypeAdapter(entries)

    def first_wrong_ones(value: Any) -> Any:  # noqa: ANN401 - JSON
        if not isinstance(value, dict) or len(value) <= _ENTRIES_AT_ONCE:
            return value
        if len(value) > max_length:
            about = {"field_type": "Dictionary", "max_length": max_length, "actual_length": len(value)}
            raise pydantic_core.PydanticKnownError("too_long", about)
        pairs = iter(value.items())
        while some := dict(islice(pairs, _ENTRIES_AT_ONCE)):
            try:
                adapter().validate_python(some)
            except ValidationError:
                return some
        return value

    return BeforeValidator(first_wrong_ones)


def _known_keys(cls: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in cls.model_fields.items()]


def _without_most_unknown(document: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Drop all but the first unknown keys: each would become an error, and one is enough to refuse the document."""
    known = frozenset(known)
    surplus = set(islice((key for key in document if key not in known), _MAX_UNKNOWN, None))
    return {key: value for key, value in document.items() if key not in surplus}


def _rebuild(fault: pydantic_core.ErrorDetails, known: list[str], *, is_hinted: bool) -> pydantic_core.InitErrorDetails:
    """Give the fault back as it was, or, if it is an unknown key of this very document, with what is known."""
    kind: str | pydantic_core.PydanticCustomError = fault["type"]
    if kind == "extra_forbidden" and len(fault["loc"]) == 1:
        hint = nearest_hint(str(fault["loc"][0]), known, cutoff=0.5) if is_hinted else ""
        kind = pydantic_core.PydanticCustomError(
            "unknown_key", "unknown key; {hint}known keys: {known}", {"hint": hint, "known": ", ".join(known)}
        )
    elif kind not in _BUILT_IN_FAULTS:
        kind = pydantic_core.PydanticCustomError(kind, fault["msg"])  # type: ignore[arg-type]
    rebuilt = pydantic_core.InitErrorDetails(type=kind, loc=fault["loc"], input=fault["input"])
    if "ctx" in fault and isinstance(kind, str):
        rebuilt["ctx"] = fault["ctx"]
    return rebuilt
