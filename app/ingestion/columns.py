"""Columns of a table as numbers or texts, with missing values as null."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.ingestion.refusals import Refusal
from fittingroom.specs.visible_text import invisible_fault

Floats = NDArray[np.floating[Any]]
_LARGEST = float(np.finfo(np.float32).max)
_ROUNDED = 1e-6
"""Rounding error of float32, as a part of a column's standard deviation, up to which it is kept in float32."""


def plain(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of numbers, texts, dates or yes and no, NaN as null; anything else is refused."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = kind.value_type
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        values = values.cast(pa.float64())
        return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    is_known = pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    if is_known or is_text(values) or pa.types.is_date(kind):
        return values
    if pa.types.is_timestamp(kind):
        return values.cast(pa.timestamp(kind.unit))  # without its zone it stands in UTC
    raise Refusal(
        f"the column {name!r} holds {kind}; expected numbers, texts, dates or yes and no: ignore it", "ignore"
    )


def is_text(values: pa.ChunkedArray) -> bool:
    """Return True for a column of texts."""
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def is_date(values: pa.ChunkedArray) -> bool:
    """Return True for a column of days, with or without a time."""
    return bool(pa.types.is_date(values.type) or pa.types.is_timestamp(values.type))


def missing_in(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return (rows,): True where there is no value."""
    return np.asarray(pc.is_null(values).to_numpy(), bool)


def texts_of(values: pa.ChunkedArray) -> NDArray[Any]:
    """Convert to texts; missing values become empty."""
    texts = values if is_text(values) else values.cast(pa.string())
    return np.asarray(pc.fill_null(texts, "").to_numpy(zero_copy_only=False), dtype=object)


def finite(name: str, values: pa.ChunkedArray) -> NDArray[np.float64]:
    """Convert to numbers; missing values become NaN. Infinite values and those beyond float32 are refused."""
    numbers = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    beyond = np.abs(numbers) > _LARGEST
    if beyond.any():
        row = int(beyond.argmax())
        raise Refusal(f"the column {name!r} has a number beyond float32 in row {row + 1}: {numbers[row]}")
    return numbers


def narrowed(numbers: NDArray[np.float64]) -> Floats:
    """Return a column as float32, unless that would round much of what it varies by, as of a time in seconds.

    Args:
        numbers: (rows,), NaN where missing.
    """
    narrow, known = numbers.astype(np.float32), ~np.isnan(numbers)
    rounded = np.abs(numbers - narrow)[known].max(initial=0.0)
    if not rounded:
        return narrow
    deviation = numbers[known].std() if np.ptp(numbers[known]) > 0 else 0.0
    divisor = deviation if deviation > 0 else 1.0  # as in standardizing
    return narrow if rounded <= _ROUNDED * divisor else numbers


def refuse_invisible(column: str, texts: NDArray[Any], values: Sequence[str]) -> None:
    """Refuse a column one of whose values, which people are shown, cannot be seen as it is."""
    for value in values:
        fault = invisible_fault(value)
        if fault is not None:
            row = int((texts == value).argmax()) + 1
            raise Refusal(f"{column} has in row {row} a text that cannot be shown: {fault}; or ignore the column")
