"""Errors of a Keras document, with pointers into what the client sent."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from fittingroom.specs.base import Path, refusal


def moved(error: ValidationError, path: Path) -> ValidationError:
    """Return the faults of one of our own documents, where they stand in the client's."""
    faults = []
    for fault in error.errors(include_url=False):
        place = tuple(part for part in fault["loc"] if not str(part).startswith(("function-", "constrained-")))
        kind = PydanticCustomError("keras_option", "{message}", {"message": fault["msg"]})
        faults.append(InitErrorDetails(type=kind, loc=(*path, *place), input=fault["input"]))
    return ValidationError.from_exception_data("keras", faults)


def object_at(value: Any, path: Path) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return a value that must be an object."""
    if not isinstance(value, dict):
        raise refusal(path, value, "expected an object, as model.to_json() of Keras 3 gives it")
    return value
