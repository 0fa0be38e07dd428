"""JSON as it is read from clients: strictly, and no deeper, longer or wider than a document of ours can be.

What other readers let pass in silence is refused here: a key that stands twice, of which one would be lost, and
numbers that JSON does not have.
"""

import json
from typing import Any

MAX_DEPTH = 64
MAX_VALUES = 100_000
"""Maximum number of values per document, counted by the characters `[{,` that precede them. Python parses as many in
some milliseconds, during which it holds the interpreter lock."""


class InvalidJsonError(ValueError):
    """Invalid or unacceptable JSON; the message may be shown to the client."""


def read_json(text: bytes, max_values: int | None = MAX_VALUES) -> Any:  # noqa: ANN401 - JSON
    """Read a document.

    Args:
        text: in UTF-8.
        max_values: how many values it may have; None for a process in which nobody else waits.

    Raises:
        InvalidJsonError: it is none.
    """
    if max_values is not None and sum(map(text.count, (b"[", b"{", b","))) > max_values:
        raise InvalidJsonError(f"it has more than {max_values:,} values")
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise InvalidJsonError(f"it is not UTF-8: byte {error.start} cannot be read") from None
    except json.JSONDecodeError as error:
        raise InvalidJsonError(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise InvalidJsonError("it is nested too deeply") from None
    except InvalidJsonError:
        raise
    except ValueError:  # Python's limit on the digits of whole numbers
        raise InvalidJsonError("it has a number of too many digits") from None
    _refuse_deep(document)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, value in pairs:
        if name in document:
            raise InvalidJsonError(said_twice(name))
        document[name] = value
    return document


def said_twice(key: str) -> str:
    """Return the message for a key that occurs twice in one object."""
    return f"duplicate key {key[:60]!r} in an object; give it once"


def _refuse_constant(name: str) -> None:
    raise InvalidJsonError(f"{name} is no number in JSON; the API writes it as the string {name!r}")


def _refuse_deep(document: Any) -> None:  # noqa: ANN401 - JSON
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return
    raise InvalidJsonError("it is nested too deeply")
