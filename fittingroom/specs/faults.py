"""Faults of a document: the place, the value found, and what was expected."""

import json
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from fittingroom.specs.hints import nearest_hint

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlevel = 2
_NO_OBJECT = frozenset({"model_type", "model_attributes_type", "dict_type"})
_MAX_HINTS = 10
_MAX_LISTED = 40
"""Maximum number of known names that a message lists."""
_MAX_PART = 80
"""A longer part of a pointer is shortened: no key of ours is longer, and a stranger's is not repeated whole."""
_TEXT = "keras"
"""Key of a document that may be a text: pointers go on in it."""
_ABOUT_A_KEY = {"missing", "unknown_key", "extra_forbidden"}


class Fault(BaseModel):
    """One fault of a document."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    pointer: str
    """JSON Pointer (RFC 6901) into the client's document."""
    detail: str
    """Expected value, and how to fix it."""
    found: str | None = None
    """Value found, shortened."""


class InvalidSpec(ValueError):
    """A document that cannot be accepted.

    Attributes:
        faults: everything found wrong, at least one thing.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in faults))
        self.faults = list(faults)

    def within(self, index: int) -> "InvalidSpec":
        """Return the same of a document that is an item of an array."""
        return InvalidSpec([fault.model_copy(update={"pointer": f"/{index}{fault.pointer}"}) for fault in self.faults])


def pointer(path: Iterable[str | int]) -> str:
    """Return a JSON Pointer (RFC 6901)."""
    return "".join("/" + _shortened(str(part)).replace("~", "~0").replace("/", "~1") for part in path)


def _shortened(part: str) -> str:
    return part if len(part) <= _MAX_PART else part[:_MAX_PART] + "…"


def faults_in(error: ValidationError, document: Any) -> list[Fault]:  # noqa: ANN401 - JSON
    """Convert Pydantic's errors to faults of the client's document."""
    return faults_of(error.errors(include_url=False), document)


def faults_of(errors: Iterable[ErrorDetails], document: Any) -> list[Fault]:  # noqa: ANN401 - JSON
    """Convert a list of Pydantic's errors; an error repeated by several branches of a union is listed once."""
    faults = [
        Fault(
            pointer=pointer(_path_in(document, _location(error), about_a_key=error["type"] in _ABOUT_A_KEY)),
            detail=_detail(error, is_hinted=number < _MAX_HINTS),
            found=None if error["type"] == "missing" else _SHORT.repr(error["input"]),
        )
        for number, error in enumerate(errors)
    ]
    return list({(fault.pointer, fault.detail): fault for fault in faults}.values())


def _location(error: ErrorDetails) -> tuple[str | int, ...]:
    """Return the location of an error; an unknown kind of document is a fault of the key that names the kind."""
    if error["type"] == "union_tag_invalid" and isinstance(error["input"], dict):
        return (*error["loc"], error["ctx"]["discriminator"].strip("'"))
    return error["loc"]


def _detail(error: ErrorDetails, *, is_hinted: bool) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"this {'key' if isinstance(error['loc'][-1], str) else 'item'} is required"
    if error["type"] in _NO_OBJECT:
        return "expected a JSON object"
    if error["type"] == "union_tag_not_found":
        return f"expected a document with the key {error['ctx']['discriminator']}"
    if error["type"] == "union_tag_invalid":
        known = error["ctx"]["expected_tags"].replace("'", "")
        hint = nearest_hint(error["ctx"]["tag"], known.split(", ")) if is_hinted else ""
        listed = f"known are: {known}"
        if known.count(",") > _MAX_LISTED:
            page = "layers" if error["ctx"]["discriminator"] == "'type'" else "spec"
            listed = f"there are {known.count(',') + 1}; docs/reference/{page}.md lists them" if not hint else ""
        return f"there is no {error['ctx']['tag'][:60]!r}; {hint}{listed}".rstrip("; ")
    return message[0].lower() + message[1:] if message.startswith("Input") else message


def _path_in(document: Any, location: Sequence[str | int], *, about_a_key: bool) -> list[str | int]:  # noqa: ANN401
    """Drop from pydantic's location the names of union branches, which stand nowhere in the document."""
    path: list[str | int] = []
    for depth, part in enumerate(location):
        parent = _read_text(document) if path[-1:] == [_TEXT] else document
        if _has(parent, part):
            document = parent[part]
        elif not (about_a_key and depth == len(location) - 1):
            continue
        path.append(part)
    return path


def _read_text(document: Any) -> Any:  # noqa: ANN401 - JSON
    """Return what a document says that is given as a text."""
    if not isinstance(document, str):
        return document
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        return None


def _has(document: Any, part: str | int) -> bool:  # noqa: ANN401 - JSON
    if isinstance(document, list | tuple):
        return isinstance(part, int) and 0 <= part < len(document)
    return isinstance(document, dict) and part in document
