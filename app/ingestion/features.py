"""Features of a column: numbers unchanged, categories one-hot, dates in parts, missing values marked."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.ingestion.columns import (
    Floats,
    finite,
    is_date,
    is_text,
    missing_in,
    narrowed,
    plain,
    refuse_invisible,
    texts_of,
)
from app.ingestion.refusals import Refusal
from fittingroom.specs.datasets import DatasetColumn

MAX_CATEGORIES = 100
Features = list[tuple[str, Floats]]
"""Features by name: (rows,)."""
_DAY = {"year": pc.year, "month": pc.month, "day": pc.day, "weekday": pc.day_of_week}
_YEARS = (1, 9_999)
_TIME = {"hour": pc.hour, "minute": pc.minute}


def features_of(name: str, values: pa.ChunkedArray, *, is_category: bool) -> tuple[DatasetColumn, Features]:
    """Encode a column.

    Args:
        name: of the column.
        values: as they were read.
        is_category: True if its values are names of categories, whatever they look like.

    Raises:
        Refusal: it cannot be done.
    """
    values = plain(name, values)
    if values.null_count == len(values):
        raise Refusal(f"the column {name!r} is empty; ignore it", "ignore")
    marked: Features = []
    if values.null_count:
        marked = [(f"{name}_was_missing", missing_in(values).astype(np.float32))]
    if is_text(values) or is_category:
        column, made = _categories(name, values)
    elif is_date(values):
        column, made = _parts_of_date(name, values)
    else:
        column, made = _numbers(name, values)
    return column, made + marked


def _categories(name: str, values: pa.ChunkedArray) -> tuple[DatasetColumn, Features]:
    texts, known = texts_of(values), ~missing_in(values)
    categories = [str(value) for value in np.unique(texts[known])]
    if len(categories) > MAX_CATEGORIES:
        detail = f"the column {name!r} has {len(categories):,} different values; at most {MAX_CATEGORIES} become "
        raise Refusal(detail + "features; if it names or describes rows, ignore it", "ignore")
    refuse_invisible(f"the column {name!r}", texts, categories)
    made = [(f"{name}={value}"[:200], ((texts == value) & known).astype(np.float32)) for value in categories]
    shown = [value[:200] for value in categories]
    return DatasetColumn(name=name, kind="category", missing=values.null_count, categories=shown), list(made)


def _parts_of_date(name: str, values: pa.ChunkedArray) -> tuple[DatasetColumn, Features]:
    """Return year, month, day and weekday (Monday is 0); of a time hour and minute too, in UTC."""
    years = pc.min_max(pc.year(values))
    if years["min"].as_py() < _YEARS[0] or years["max"].as_py() > _YEARS[1]:
        raise Refusal(f"the column {name!r} has dates outside the years 1 to 9999; ignore it", "ignore")
    parts = dict(_DAY)
    if (
        pa.types.is_timestamp(values.type)
        and pc.any(pc.not_equal(pc.floor_temporal(values, unit="day"), values)).as_py()
    ):
        parts |= _TIME
    made = [(f"{name}_{part}", finite(name, of(values)).astype(np.float32)) for part, of in parts.items()]
    return DatasetColumn(name=name, kind="date", missing=values.null_count), list(made)


def _numbers(name: str, values: pa.ChunkedArray) -> tuple[DatasetColumn, Features]:
    is_boolean = pa.types.is_boolean(values.type)
    numbers = finite(name, values.cast(pa.uint8()) if is_boolean else values)
    known = numbers[~np.isnan(numbers)]
    column = DatasetColumn(
        name=name,
        kind="boolean" if is_boolean else "number",
        missing=values.null_count,
        minimum=float(known.min()),
        maximum=float(known.max()),
        mean=float(known.mean()),
    )
    return column, [(name, narrowed(numbers))]
