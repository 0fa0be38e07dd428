"""Encoding of a table as features and a target."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from app.ingestion.columns import Floats, is_date, missing_in, plain
from app.ingestion.features import Features, features_of
from app.ingestion.groups import encode_groups
from app.ingestion.options import Options
from app.ingestion.refusals import Refusal
from app.ingestion.tables import MAX_COLUMNS
from app.ingestion.targets import encode_target
from fittingroom.specs.datasets import DatasetColumn, Task
from fittingroom.specs.hints import nearest_hint

MAX_NUMBERS = 100_000_000
"""Rows times features."""
_PREVIEWED = 5
_LEAST_ROWS = 2
_INDEX = re.compile(r"__index_level_\d+__|Unnamed: \d+")
"""Names that pandas gives to the columns of an index that has none."""


@dataclass(frozen=True)
class Encoded:
    """A dataset in numbers."""

    x: Floats
    """(rows, features), float64 if a column needs it; NaN where a number is missing."""
    y: NDArray[Any]
    """(rows,): int64 class numbers, or float32; (rows, targets) where there are several."""
    task: Task
    feature_names: list[str]
    class_names: list[str]
    target: str | None = None
    columns: list[DatasetColumn] = field(default_factory=list)
    preview: list[list[str | None]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Columns of a pandas index."""
    group: str | None = None
    groups: NDArray[np.int64] | None = None
    """(rows,): number of the group of each row; None where no column says it."""
    dropped_rows: int = 0
    """Rows without a target, which were left out."""
    notes: list[str] = field(default_factory=list)
    """Findings that were taken for granted, in sentences."""

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that training sees, by name."""
        arrays = {"x": self.x, "y": self.y}
        return arrays if self.groups is None else arrays | {"groups": self.groups}


def encode_table(table: pa.Table, options: Options) -> Encoded:
    """Make numbers of a table.

    Args:
        table: as it was read.
        options: which column is the target, and what the others are.

    Raises:
        Refusal: it cannot be done.
    """
    names, target = table.column_names, options.target or "target"
    _refuse_unknown(names, options)
    kept = {target, *options.ignore, *options.named}
    left_out = [name for name in names if name not in kept and _is_index(name, table[name])]
    chosen = [name for name in names if name not in {target, options.group, *options.ignore, *left_out}]
    if not chosen:
        beside = f", and what pandas calls an index: {', '.join(left_out)[:80]}" if left_out else ""
        beside += "" if options.group is None else f", and the group {options.group!r}"
        beside = beside or " alone"
        raise Refusal(f"no column is left to learn from: there is the target{beside}")
    rows = table.num_rows
    if options.drop_missing_target:
        table = table.filter(pa.array(~missing_in(plain(target, table[target]))))
        if table.num_rows < _LEAST_ROWS:
            detail = f"{table.num_rows} rows have a target {target!r}; at least {_LEAST_ROWS} are needed"
            raise Refusal(detail, "drop_missing_target")
    columns, features, refusals = _encode_columns(table.select(chosen), options)
    try:
        y, found_task, class_names = encode_target(target, table[target], options.task)
    except Refusal as refusal:
        refusals.append(refusal)
    try:
        groups = None if options.group is None else encode_groups(options.group, table[options.group])
    except Refusal as refusal:
        refusals.append(refusal)
    if refusals:
        raise Refusal.of(refusals)
    if len({feature for feature, _ in features}) < len(features):
        raise Refusal("two features would have the same name; rename the column that is called like another's value")
    shown = [_shown(table[name].slice(0, _PREVIEWED)) for name in (*chosen, target)]
    return Encoded(
        np.stack([numbers for _, numbers in features], axis=1),
        y,
        found_task,
        [name for name, _ in features],
        class_names,
        target,
        columns,
        [list(row) for row in zip(*shown, strict=True)],
        left_out,
        options.group,
        groups,
        rows - table.num_rows,
    )


def _shown(values: pa.ChunkedArray) -> list[str | None]:
    if is_date(values):  # Python has not all of them, nor every zone
        values = plain("", values).cast(pa.string())
    return [None if value is None else str(value)[:40] for value in values.to_pylist()]


def _refuse_unknown(names: Sequence[str], options: Options) -> None:
    target = options.target or "target"
    group = [] if options.group is None else [options.group]
    given = (
        ("target", [target]), ("ignore", options.ignore), ("categorical", options.categorical), ("group", group)
    )  # fmt: skip
    for parameter, columns in given:
        for name in columns:
            if name not in names:
                is_default = parameter == "target" and options.target is None
                raise _no_such_column(parameter, name, names, is_default=is_default)
    if target in options.ignore:
        raise Refusal("the target is to be ignored; leave it out of one of the two", "ignore", target)
    if options.group is not None and options.group in {target, *options.ignore, *options.categorical}:
        detail = "the group is the target, ignored or a category as well; it is no feature: name it here alone"
        raise Refusal(detail, "group", options.group[:80])


def _encode_columns(table: pa.Table, options: Options) -> tuple[list[DatasetColumn], Features, list[Refusal]]:
    """Encode the columns to learn from; those that cannot be are all named."""
    columns: list[DatasetColumn] = []
    features: Features = []
    refusals: list[Refusal] = []
    for name in table.column_names:
        try:
            column, made = features_of(name, table[name], is_category=name in options.categorical)
        except Refusal as refusal:
            refusals.append(refusal)
            continue
        columns.append(column)
        features += made
        if len(features) * table.num_rows > MAX_NUMBERS or len(features) > MAX_COLUMNS:
            raise Refusal(
                f"this makes more than {MAX_COLUMNS:,} features, or {MAX_NUMBERS:,} numbers; send fewer rows or columns"
            )
    return columns, features, refusals


def _is_index(name: str, values: pa.ChunkedArray) -> bool:
    """Return True if a column is what pandas writes of a table's index: the numbers of rows, from which much leaks."""
    if _INDEX.fullmatch(name) is None:
        return False
    return name.startswith("__") or (
        pa.types.is_integer(values.type) and not values.null_count and len(pc.unique(values)) == len(values)
    )


def _no_such_column(parameter: str, name: str, names: Sequence[str], *, is_default: bool) -> Refusal:
    shown = f"columns: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"
    if is_default:
        return Refusal(f"say which column is to be predicted: target=…; {shown}", parameter)
    return Refusal(f"there is no such column; {nearest_hint(name, names)}{shown}", parameter, name[:80])
