"""The documents of a bulk submit, read one by one from a file: strictly, and without ever holding all of them."""

from collections.abc import Iterator
from typing import IO, Any

import ijson

from fittingroom.specs.strict_json import MAX_DEPTH, InvalidJsonError, said_twice

_NUMBER_BYTES = 16
"""Bytes counted for a number, a key's quotes or a bracket, as a parser's events have no length."""


def read_items(file: IO[bytes], max_item_bytes: int) -> Iterator[Any]:
    """Read the items of a JSON array.

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


def read_lines(file: IO[bytes], max_item_bytes: int, max_lines: int) -> Iterator[bytes]:
    """Read the lines of a file that are not empty.

    Raises:
        InvalidJsonError: a line is too long, or there are too many, empty ones included; those before it were read.
    """
    number = 0
    while line := file.readline(max_item_bytes + 1):
        number += 1
        if len(line) > max_item_bytes:
            raise InvalidJsonError(f"a line is longer than {max_item_bytes:,} bytes")
        if number > max_lines:
            raise InvalidJsonError(f"there are more than {max_lines:,} lines")
        if line.strip():
            yield line


def _watched(events: Iterator[tuple[str, Any]], max_item_bytes: int) -> Iterator[tuple[str, Any]]:
    """Yield the events of an array, with a look at each item's size, depth and keys."""
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
                raise InvalidJsonError(said_twice(value))
            keys[-1].add(value)
        # At depth 1 an item begins.
        size = (0 if depth == 1 else size) + _NUMBER_BYTES + (len(value) if isinstance(value, str) else 0)
        depth += event.startswith("start") - event.startswith("end")
        if size > max_item_bytes:
            raise InvalidJsonError(f"an item is larger than {max_item_bytes:,} bytes")
        if depth > MAX_DEPTH + 1:
            raise InvalidJsonError("it is nested too deeply")
        yield event, value
