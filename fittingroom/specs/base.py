"""The base of all specs: unknown keys are refused with the nearest known one named, and numbers are numbers."""

import difflib
from typing import Annotated, Any, Self, get_args

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, Strict, ValidationError, model_validator

# Strict: the string "32" and `true` are not the number 32 and 1; a client that sends them has a bug to hear about.
Int = Annotated[int, Strict()]
Real = Annotated[float, Strict()]
Bool = Annotated[bool, Strict()]
# No control characters: they have no place in a name, and PostgreSQL cannot store NUL.
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]

_BUILT_IN_FAULTS = frozenset(get_args(pydantic_core.core_schema.ErrorType))


class Spec(BaseModel):
    """A document of the wire. Immutable; refuses keys it does not know and numbers that are not finite."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_nearest_key(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 - JSON
        """Rewrite pydantic's 'extra inputs are not permitted' so that it says what was probably meant."""
        try:
            return handler(value)
        except ValidationError as error:
            known = [field.alias or name for name, field in cls.model_fields.items()]
            faults = [_rebuild(fault, known) for fault in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(cls.__name__, faults) from None


def _rebuild(fault: pydantic_core.ErrorDetails, known: list[str]) -> pydantic_core.InitErrorDetails:
    """Give the fault back as it was, or, if it is an unknown key of this very document, with a hint."""
    kind: str | pydantic_core.PydanticCustomError = fault["type"]
    if kind == "extra_forbidden" and len(fault["loc"]) == 1:
        nearest = difflib.get_close_matches(str(fault["loc"][0]), known, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        kind = pydantic_core.PydanticCustomError(
            "unknown_key", "unknown key; {hint}known keys: {known}", {"hint": hint, "known": ", ".join(known)}
        )
    elif kind not in _BUILT_IN_FAULTS:
        kind = pydantic_core.PydanticCustomError(kind, fault["msg"])  # type: ignore[arg-type]
    rebuilt = pydantic_core.InitErrorDetails(type=kind, loc=fault["loc"], input=fault["input"])
    if "ctx" in fault and isinstance(kind, str):
        rebuilt["ctx"] = fault["ctx"]
    return rebuilt
