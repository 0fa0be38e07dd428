"""Records as rows: values by column, encoded as the upload of the dataset has encoded them.

The names of features say how: `city=Ulm` is a category of `city`, `age_was_missing` marks `age`, and `born_year` is a
part of the date `born`.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

from fittingroom.specs.faults import Fault, InvalidSpec, pointer
from fittingroom.specs.hints import nearest_hint
from fittingroom.specs.prediction import Value

_MISSING = "_was_missing"
_PARTS: Mapping[str, Callable[[dt.datetime], int]] = {
    "_year": lambda date: date.year,
    "_month": lambda date: date.month,
    "_day": lambda date: date.day,
    "_weekday": lambda date: date.weekday(),
    "_hour": lambda date: date.hour,
    "_minute": lambda date: date.minute,
}
_OF_EVERY_DATE = ("_year", "_month", "_day", "_weekday")
_MAX_FEATURE_NAME = 200
_SHOWN = 20
Encode = Callable[[Value], float | None]


def rows_of(records: Sequence[Mapping[str, Value]], features: Sequence[str]) -> list[list[float | None]]:
    """Encode records as the features of a network.

    Args:
        records: values by column; None where one is missing.
        features: their names, in order.

    Raises:
        InvalidSpec: a column is missing or unknown, or has a value that is none of its own.
    """
    columns = _columns_of(features, records[0].keys())
    return [_row(record, columns, len(features), number) for number, record in enumerate(records)]


def _columns_of(features: Sequence[str], given: Collection[str]) -> dict[str, list[tuple[int, str, Encode]]]:
    """Return the features of each column: place, name, and what makes a number of the column's value.

    Args:
        features: all of them.
        given: the columns that a record has: where a name may mean several, it is theirs.
    """
    known = {*features, *(feature.partition("=")[0] for feature in features), *given}
    columns: dict[str, list[tuple[int, str, Encode]]] = {}
    for place, feature in enumerate(features):
        column, encode = _origin(feature, known, given)
        columns.setdefault(column, []).append((place, feature, encode))
    return columns


def _origin(feature: str, known: Collection[str], given: Collection[str]) -> tuple[str, Encode]:
    if feature in given:
        return feature, _number
    if "=" in feature:
        column = max((name for name in given if feature.startswith(f"{name}=")), key=len, default="")
        column = column or feature.partition("=")[0]
        return column, lambda value: float(
            any(f"{column}={text}"[:_MAX_FEATURE_NAME] == feature for text in _texts(value))
        )
    marked = feature.removesuffix(_MISSING)
    if marked != feature and (marked in known or f"{marked}_year" in known):
        return marked, lambda value: float(value is None)
    for suffix, part in _PARTS.items():
        date = feature.removesuffix(suffix)
        if date != feature and all(f"{date}{other}" in known for other in _OF_EVERY_DATE):
            return date, partial(_part_of_date, part)
    return feature, _number


def _row(
    record: Mapping[str, Value], columns: Mapping[str, list[tuple[int, str, Encode]]], features: int, number: int
) -> list[float | None]:
    if faults := list(_faults_of_columns(record, columns, number)):
        raise InvalidSpec(faults)
    row: list[float | None] = [None] * features
    for column, value in record.items():
        try:
            for place, _, encode in columns[column]:
                row[place] = encode(value)
        except ValueError as error:
            fault = Fault(pointer=pointer(("rows", number, column)), detail=str(error), found=repr(value)[:80])
            raise InvalidSpec([fault]) from None
        categories = [
            feature.partition("=")[2] for _, feature, _ in columns[column] if feature.startswith(f"{column}=")
        ]
        if categories and value is not None and not any(row[place] for place, _, _ in columns[column]):
            shown = ", ".join(categories[:_SHOWN]) + (", …" if len(categories) > _SHOWN else "")
            detail = f"the column {column!r} had no such value in training; {shown}"
            fault = Fault(pointer=pointer(("rows", number, column)), detail=detail, found=repr(value)[:80])
            raise InvalidSpec([fault])
    return row


def _faults_of_columns(record: Mapping[str, Value], columns: Collection[str], number: int) -> Iterator[Fault]:
    shown = f"columns: {', '.join(list(columns)[:_SHOWN])}{', …' if len(columns) > _SHOWN else ''}"
    for name in list(record.keys() - set(columns))[:_SHOWN]:
        detail = f"no such column; {nearest_hint(name, list(columns))}{shown}"
        yield Fault(pointer=pointer(("rows", number, name)), detail=detail)
    if absent := [name for name in columns if name not in record]:
        detail = f"without {', '.join(absent[:_SHOWN])}; give every column, with null where there is no value"
        yield Fault(pointer=pointer(("rows", number)), detail=detail)


def _number(value: Value) -> float | None:
    if isinstance(value, str):
        raise ValueError("expected a number, true, false or null")  # noqa: TRY004 - a fault of the client's
    return None if value is None else float(value)


def _texts(value: Value) -> list[str]:
    """Return how a value may be written as a category."""
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, float):
        return [str(int(value)), repr(value)] if value.is_integer() else [repr(value)]
    return [] if value is None else [str(value)]


def _part_of_date(part: Callable[[dt.datetime], int], value: Value) -> float | None:
    if value is None:
        return None
    try:
        date = dt.datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("expected a date such as 2026-11-28, or with a time 2026-11-28T13:45:00Z") from None
    return float(part(date if date.tzinfo is None else date.astimezone(dt.UTC)))
