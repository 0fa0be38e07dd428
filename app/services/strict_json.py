"""JSON as it is read from clients: strictly, and no deeper or longer than a document of ours can be.

What other readers let pass in silence is refused here: a key that stands twice, of which one would be lost, and
numbers that JSON does not have.
"""

import json
from collections.abc import Iterator
from typing import IO, Any

import ijson

MAX_DEPTH = 64
_NUMBER_BYTES = 16
"""What a number, a key's quotes or a bracket count for, where a document's length cannot be seen."""


class InvalidJsonError(ValueError):
    """What was sent is no JSON, or none that is accepted; its text may be shown."""


def read_json(text: bytes) -> Any:  # noqa: ANN401 - JSON
    """Read a document.

    Raises:
        InvalidJsonError: it is none.
    """
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


def read_items(file: IO[bytes], max_item_bytes: int) -> Iterator[Any]:
    """Read the items of a JSON array one by one, without ever holding all of them.

    Raises:
        InvalidJsonError: what follows is no JSON, or an item is too large; the items before it were read.
    """
    try:
        # Watched before ijson builds the path of each event, whose length is the square of the depth.
        events = _watched(ijson.basic_parse(file, use_float=True), max_item_bytes)
        yield from ijson.items(ijson.parse(events), "item")
    except ijson.JSONError as error:
        said = error.args[0]
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise InvalidJsonError(" ".join(text.split())[:200]) from None
    except UnicodeDecodeError:
        raise InvalidJsonError("it is not UTF-8") from None


def read_lines(file: IO[bytes], max_item_bytes: int) -> Iterator[bytes]:
    """Read the lines of a file that are not empty, one by one.

    Raises:
        InvalidJsonError: a line is too long; the lines before it were read.
    """
    while line := file.readline(max_item_bytes + 1):
        if len(line) > max_item_bytes:
            raise InvalidJsonError(f"a line is longer than {max_item_bytes:,} bytes")
        if line.strip():
            yield line


def _watched(events: Iterator[tuple[str, Any]], max_item_bytes: int) -> Iterator[tuple[str, Any]]:
    """The events of an array, with a look at each item's size, depth and keys."""
    keys: list[set[str]] = []
    size = depth = 0
    for number, (event, value) in enumerate(events):
        if number == 0 and event != "start_array":
            raise InvalidJsonError("expected an array of experiments")
        if event == "start_map":
            keys.append(set())
        elif event == "end_map":
            keys.pop()
        elif event == "map_key":
            if value in keys[-1]:
                raise InvalidJsonError(_twice(value))
            keys[-1].add(value)
        # At depth 1 an item begins.
        size = (0 if depth == 1 else size) + _NUMBER_BYTES + (len(value) if isinstance(value, str) else 0)
        depth += event.startswith("start") - event.startswith("end")
        if size > max_item_bytes:
            raise InvalidJsonError(f"an item is larger than {max_item_bytes:,} bytes")
        if depth > MAX_DEPTH + 1:
            raise InvalidJsonError("it is nested too deeply")
        yield event, value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        raise InvalidJsonError(_twice(next(name for name in names if names.count(name) > 1)))
    return document


def _twice(key: str) -> str:
    return f"the key {key[:60]!r} stands twice in one object, so one of its values would be lost"


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
