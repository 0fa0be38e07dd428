"""Records as rows: values by column, encoded as the upload of the dataset has encoded them.

The names of features say how: `city=Ulm` is a category of `city`, `age_was_missing` marks `age`, and `born_year` is a
part of the date `born`.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fittingroom.specs.faults import Fault, InvalidSpec, pointer
from fittingroom.specs.hints import nearest_hint
from fittingroom.specs.prediction import Value

MAX_NUMBERS = 4_000_000
"""Records times features: a record of a few letters may stand for thousands of them."""
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


@dataclass
class _Column:
    """Places of a column's features in a row."""

    number: int | None = None
    mark: int | None = None
    parts: dict[str, int] = field(default_factory=dict)
    """Places of the parts of a date, by suffix."""
    categories: dict[str, int] = field(default_factory=dict)
    """Places of categories, by value."""

    def encode(self, name: str, value: Value, row: NDArray[np.float64]) -> None:
        """Write a value into a row; ValueError if it is none of this column's."""
        if self.mark is not None:
            row[self.mark] = value is None
        if self.categories:
            row[list(self.categories.values())] = 0.0
            if value is not None:
                row[self._category(name, value)] = 1.0
        elif value is None:
            return
        elif self.parts:
            date = _date(value)
            for suffix, place in self.parts.items():
                row[place] = _PARTS[suffix](date)
        elif isinstance(value, str):
            raise ValueError("expected a number, true, false or null")
        elif self.number is not None:
            row[self.number] = value

    def _category(self, name: str, value: Value) -> int:
        cut = _MAX_FEATURE_NAME - len(name) - 1  # names of features end there
        for text in _texts(value):
            if text[:cut] in self.categories:
                return self.categories[text[:cut]]
        shown = ", ".join(list(self.categories)[:_SHOWN]) + (", …" if len(self.categories) > _SHOWN else "")
        raise ValueError(f"no such value was there in training: {shown}")


def rows_of(
    records: Sequence[Mapping[str, Value]], features: Sequence[str]
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """Encode records as the features of a network.

    Args:
        records: values by column; None where one is missing.
        features: their names, in order.

    Returns:
        (records, features), NaN where a number is missing; and the column of each number, by its place in a row.

    Raises:
        InvalidSpec: a column is missing or unknown, or has a value that is none of its own; or these are too many.
    """
    if len(records) * len(features) > MAX_NUMBERS:
        most = max(1, MAX_NUMBERS // len(features))
        raise InvalidSpec([Fault(pointer="/rows", detail=f"at most {most:,} of these records are taken at once")])
    columns = _columns_of(features, records[0].keys())
    rows = np.full((len(records), len(features)), np.nan)
    for number, record in enumerate(records):
        if faults := list(_faults_of_columns(record, columns, number)):
            raise InvalidSpec(faults)
        for name, value in record.items():
            try:
                columns[name].encode(name, value, rows[number])
            except (ValueError, OverflowError) as error:
                place = pointer(("rows", number, name))
                raise InvalidSpec([Fault(pointer=place, detail=str(error), found=repr(value)[:80])]) from None
    return rows, {column.number: name for name, column in columns.items() if column.number is not None}


def _columns_of(features: Sequence[str], given: Collection[str]) -> dict[str, _Column]:
    """Return the columns that features were made of.

    Args:
        features: their names.
        given: the columns that a record has: where a name may mean several, it is theirs.
    """
    known = {*features, *(feature.partition("=")[0] for feature in features), *given}
    columns: dict[str, _Column] = {}
    for place, feature in enumerate(features):
        name, kind = _origin(feature, known, given)
        column = columns.setdefault(name, _Column())
        if kind == "":
            column.number = place
        elif kind == _MISSING:
            column.mark = place
        elif kind in _PARTS:
            column.parts[kind] = place
        else:
            column.categories[kind.removeprefix("=")] = place
    return columns


def _origin(feature: str, known: Collection[str], given: Collection[str]) -> tuple[str, str]:
    """Return a feature's column, and what follows it in the feature's name."""
    if feature in given:
        return feature, ""
    if "=" in feature:
        pieces = feature.split("=")
        prefixes = ["=".join(pieces[:count]) for count in range(1, len(pieces))]
        name = next((prefix for prefix in reversed(prefixes) if prefix in given), prefixes[0])
        return name, feature[len(name) :]
    marked = feature.removesuffix(_MISSING)
    if marked != feature and (marked in known or f"{marked}_year" in known):
        return marked, _MISSING
    for suffix in _PARTS:
        date = feature.removesuffix(suffix)
        if date != feature and all(f"{date}{other}" in known for other in _OF_EVERY_DATE):
            return date, suffix
    return feature, ""


def _faults_of_columns(record: Mapping[str, Value], columns: Collection[str], number: int) -> Iterator[Fault]:
    if record.keys() == columns:
        return
    shown = f"columns: {', '.join(list(columns)[:_SHOWN])}{', …' if len(columns) > _SHOWN else ''}"
    for name in [name for name in record if name not in columns][:_SHOWN]:
        detail = f"no such column; {nearest_hint(name, list(columns))}{shown}"
        yield Fault(pointer=pointer(("rows", number, name)), detail=detail)
    if absent := [name for name in columns if name not in record]:
        detail = f"without {', '.join(absent[:_SHOWN])}; give every column, with null where there is no value"
        yield Fault(pointer=pointer(("rows", number)), detail=detail)


def _texts(value: Value) -> list[str]:
    """Return the texts that a value may be as a category, the likeliest first."""
    if isinstance(value, bool):
        return [str(value).lower(), str(value)]
    if isinstance(value, float):
        texts = [repr(value), np.format_float_positional(np.float32(value), trim="-")]
        return [str(int(value)), *texts] if value.is_integer() else texts
    return [str(value)]


def _date(value: Value) -> dt.datetime:
    try:
        date = dt.datetime.fromisoformat(value if isinstance(value, str) else "")
        return date if date.tzinfo is None else date.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise ValueError("expected a date such as 2026-11-28, or with a time 2026-11-28T13:45:00Z") from None
