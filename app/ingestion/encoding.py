"""Encoding of columns as features and a target: numbers unchanged, categories one-hot, missing values marked."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fittingroom.specs.datasets import DatasetColumn, Task
from fittingroom.specs.faults import Fault
from fittingroom.specs.hints import nearest_hint
from fittingroom.specs.limits import MAX_CLASSES
from fittingroom.specs.visible_text import invisible_fault

MAX_ROWS = 10_000_000
MAX_COLUMNS = 10_000
MAX_NUMBERS = 100_000_000
"""Rows times features: 400 MB."""
MAX_CATEGORIES = 100
_FEW_CLASSES = 20
"""Whole numbers with at most so many values are thought to be classes, unless the client says otherwise."""
_PREVIEWED = 5
_INDEX = re.compile(r"__index_level_\d+__|Unnamed: \d+")
"""Names that pandas gives to the columns of an index that has none."""
_LARGEST = float(np.finfo(np.float32).max)

_ROUNDED = 1e-6
"""Rounding error of float32, as a part of a column's standard deviation, up to which it is kept in float32."""

Floats = NDArray[np.floating[Any]]


class Refusal(Exception):
    """The file is not as expected.

    Attributes:
        fault: for the client; its pointer names a parameter, or is empty if the file is at fault.
    """

    def __init__(self, detail: str, parameter: str = "", found: str | None = None) -> None:
        super().__init__(detail)
        self.fault = Fault(pointer=parameter, detail=detail, found=found)


@dataclass(frozen=True)
class Encoded:
    """A dataset in numbers."""

    x: Floats
    """(rows, features), float64 if a column needs it; NaN where a number is missing."""
    y: NDArray[Any]
    """(rows,): int64 class numbers, or float32."""
    task: Task
    feature_names: list[str]
    class_names: list[str]
    target: str | None = None
    columns: list[DatasetColumn] = field(default_factory=list)
    preview: list[list[str | None]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Columns of a pandas index."""


def encode_table(
    table: pa.Table, target: str | None, task: str, ignore: Collection[str], categorical: Collection[str]
) -> Encoded:
    """Make numbers of a table.

    Args:
        table: as it was read.
        target: the column to predict; by default the one that is called `target`.
        task: `classification`, `regression` or `auto`.
        ignore: columns to leave out.
        categorical: columns of numbers that are names of categories.

    Raises:
        Refusal: it cannot be done.
    """
    names = table.column_names
    for parameter, given in (("target", [target or "target"]), ("ignore", ignore), ("categorical", categorical)):
        for name in given:
            if name not in names:
                raise _no_such_column(parameter, name, names, is_default=parameter == "target" and target is None)
    target = target or "target"
    if target in ignore:
        raise Refusal("the target is to be ignored; leave it out of one of the two", "ignore", target)
    left_out = [name for name in names if name not in {target, *ignore, *categorical} and _is_index(name, table[name])]
    chosen = [name for name in names if name not in {target, *ignore, *left_out}]
    if not chosen:
        beside = f", and what pandas calls an index: {', '.join(left_out)[:80]}" if left_out else " alone"
        raise Refusal(f"no column is left to learn from: there is the target{beside}")
    features: list[tuple[str, Floats]] = []
    columns = []
    for name in chosen:
        column, made = _features(name, table[name], is_category=name in categorical)
        columns.append(column)
        features += made
        if len(features) * table.num_rows > MAX_NUMBERS or len(features) > MAX_COLUMNS:
            raise Refusal(
                f"this makes more than {MAX_COLUMNS:,} features, or {MAX_NUMBERS:,} numbers; send fewer rows or columns"
            )
    if len({feature for feature, _ in features}) < len(features):
        raise Refusal("two features would have the same name; rename the column that is called like another's value")
    y, found_task, class_names = encode_target(target, table[target], task)
    shown = table.select([*chosen, target]).slice(0, _PREVIEWED).to_pylist()
    return Encoded(
        np.stack([numbers for _, numbers in features], axis=1),
        y,
        found_task,
        [name for name, _ in features],
        class_names,
        target,
        columns,
        [[None if value is None else str(value)[:40] for value in row.values()] for row in shown],
        left_out,
    )


def _is_index(name: str, values: pa.ChunkedArray) -> bool:
    """Return True if a column is what pandas writes of a table's index: the numbers of rows, from which much leaks."""
    if _INDEX.fullmatch(name) is None:
        return False
    return name.startswith("__") or (
        pa.types.is_integer(values.type) and not values.null_count and len(pc.unique(values)) == len(values)
    )


def encode_target(name: str, values: pa.ChunkedArray, task: str) -> tuple[NDArray[Any], Task, list[str]]:
    """Return the target's numbers, whether they are classes, and the classes' names.

    Raises:
        Refusal: they cannot be one.
    """
    values = _plain(name, values)
    if pa.types.is_null(values.type) or values.null_count:
        row = int(pc.index(pc.is_null(values), value=True).as_py())
        raise Refusal(f"the target {name!r} is missing in {values.null_count:,} rows, first in row {row + 1}")
    is_number = not (_is_text(values) or pa.types.is_boolean(values.type))
    if is_number:
        is_integer = pa.types.is_integer(values.type)  # not through floats, in which large ones are equal
        numbers = values.to_numpy(zero_copy_only=False) if is_integer else _finite(name, values)
        is_whole = is_integer or bool((numbers == np.round(numbers)).all())
        looks_like_classes = is_whole and len(np.unique(numbers)) <= _FEW_CLASSES
        if task == "regression" or (task == "auto" and not looks_like_classes):
            return numbers.astype(np.float32), "regression", []
        if not is_whole:
            raise Refusal(f"the target {name!r} has numbers that are not whole, so they name no classes", "task", task)
        found, y = np.unique(numbers if is_integer else numbers.astype(np.int64), return_inverse=True)
        class_names = [str(value) for value in found]
    else:
        if task == "regression":
            raise Refusal(f"the target {name!r} has texts, and regression needs numbers", "task", task)
        texts = _texts(values)
        found, y = np.unique(texts, return_inverse=True)
        class_names = [str(value) for value in found]
        _refuse_invisible(f"the target {name!r}", texts, class_names)
    if not 2 <= len(class_names) <= MAX_CLASSES:
        raise Refusal(f"the target {name!r} has {len(class_names):,} classes; expected 2 to {MAX_CLASSES:,}", "target")
    if any(len(class_name) > 200 for class_name in class_names):
        raise Refusal(f"the target {name!r} has classes with names of more than 200 letters", "target")
    return y.reshape(-1).astype(np.int64), "classification", class_names


def _features(
    name: str, values: pa.ChunkedArray, *, is_category: bool
) -> tuple[DatasetColumn, list[tuple[str, Floats]]]:
    """Encode a column as features, by name."""
    values = _plain(name, values)
    missing = int(values.null_count)
    if missing == len(values):
        raise Refusal(f"the column {name!r} is empty; ignore it", "ignore")
    marked = []
    if missing:
        marked = [(f"{name}_was_missing", np.asarray(pc.is_null(values).to_numpy(), np.float32))]
    if _is_text(values) or is_category:
        texts, known = _texts(values), ~np.asarray(pc.is_null(values).to_numpy(), bool)
        categories = [str(value) for value in np.unique(texts[known])]
        if len(categories) > MAX_CATEGORIES:
            detail = f"the column {name!r} has {len(categories):,} different values; at most {MAX_CATEGORIES} become "
            raise Refusal(detail + "features; if it names or describes rows, ignore it", "ignore")
        _refuse_invisible(f"the column {name!r}", texts, categories)
        made = [(f"{name}={value}"[:200], ((texts == value) & known).astype(np.float32)) for value in categories]
        column = DatasetColumn(
            name=name, kind="category", missing=missing, categories=[value[:200] for value in categories]
        )
        return column, made + marked
    is_boolean = pa.types.is_boolean(values.type)
    numbers = _finite(name, values.cast(pa.uint8()) if is_boolean else values)
    known = numbers[~np.isnan(numbers)]
    column = DatasetColumn(
        name=name,
        kind="boolean" if is_boolean else "number",
        missing=missing,
        minimum=float(known.min()),
        maximum=float(known.max()),
        mean=float(known.mean()),
    )
    return column, [(name, narrowed(numbers)), *marked]


def narrowed(numbers: NDArray[np.float64]) -> Floats:
    """Return a column as float32, unless that would round much of what it varies by, as of a time in seconds.

    Args:
        numbers: (rows,), NaN where missing.
    """
    narrow = numbers.astype(np.float32)
    rounded = np.nanmax(np.abs(numbers - narrow), initial=0.0)
    return narrow if rounded <= _ROUNDED * np.nanstd(numbers) or np.ptp(numbers[~np.isnan(numbers)]) == 0 else numbers


def _refuse_invisible(column: str, texts: NDArray[Any], values: Sequence[str]) -> None:
    """Refuse a column one of whose values, which people are shown, cannot be seen as it is."""
    for value in values:
        fault = invisible_fault(value)
        if fault is not None:
            row = int((texts == value).argmax()) + 1
            raise Refusal(f"{column} has in row {row} a text that cannot be shown: {fault}; or ignore the column")


def _plain(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of numbers, texts or yes and no; anything else is refused."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = kind.value_type
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        values = values.cast(pa.float64())
        return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or _is_text(values) or pa.types.is_null(kind):
        return values
    raise Refusal(f"the column {name!r} holds {kind}; expected numbers, texts or yes and no: ignore it", "ignore")


def _is_text(values: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def _texts(values: pa.ChunkedArray) -> NDArray[Any]:
    """Convert to texts; missing values become empty."""
    texts = values if _is_text(values) else values.cast(pa.string())
    return np.asarray(pc.fill_null(texts, "").to_numpy(zero_copy_only=False), dtype=object)


def _finite(name: str, values: pa.ChunkedArray) -> NDArray[np.float64]:
    """Convert to numbers; missing values become NaN. Infinite values and those beyond float32 are refused."""
    numbers = np.asarray(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    beyond = np.abs(numbers) > _LARGEST
    if beyond.any():
        row = int(beyond.argmax())
        raise Refusal(f"the column {name!r} has a number beyond float32 in row {row + 1}: {numbers[row]}")
    return numbers


def _no_such_column(parameter: str, name: str, names: Sequence[str], *, is_default: bool) -> Refusal:
    shown = f"columns: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"
    if is_default:
        return Refusal(f"say which column is to be predicted: target=…; {shown}", parameter)
    return Refusal(f"there is no such column; {nearest_hint(name, names)}{shown}", parameter, name[:80])
