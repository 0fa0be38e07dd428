"""CSV and Parquet files as tables of columns."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from app.ingestion.encoding import MAX_COLUMNS, MAX_ROWS, Refusal
from fittingroom.specs.visible_text import invisible_fault

_MAX_UNPACKED_BYTES = 2 * 1024**3
_EMPTY = ["", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?"]
"""Texts that mark a missing value in CSV."""


def read_csv(file: Path) -> pa.Table:
    """Read a CSV file in UTF-8 with the names of the columns in its first line.

    Raises:
        Refusal: it is no such file.
    """
    size = file.stat().st_size
    if size == 0:
        raise Refusal("the file is empty")
    with file.open("rb") as opened:
        first = opened.read(1024 * 1024).split(b"\n", 1)[0]
    if b"\x00" in first:
        raise Refusal("this is no text in UTF-8: it has NUL bytes; expected CSV, or another Content-Type")
    if first.count(b",") >= MAX_COLUMNS:
        raise Refusal(f"the first line names more than {MAX_COLUMNS:,} columns")
    try:
        table = pyarrow.csv.read_csv(
            file,
            # One block, so that a column's type is inferred from all of it.
            read_options=pyarrow.csv.ReadOptions(block_size=size + 1, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(null_values=_EMPTY, strings_can_be_null=True),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise Refusal(f"this is no CSV that can be read: {_sentence(error)}") from error
    # As pandas calls a column without a name: its index, mostly.
    names = [name or f"Unnamed: {place}" for place, name in enumerate(_names(table))]
    table = table.rename_columns(names)
    if names and all(re.fullmatch(r"[-+.\deE]+", name) for name in names):
        raise Refusal(f"the first line must name the columns; found numbers: {_shown(names)}")
    return _checked(table)


def read_parquet(file: Path) -> pa.Table:
    """Read a Parquet file of plain columns.

    Raises:
        Refusal: it is no such file, or would be too large once unpacked.
    """
    try:
        opened = pyarrow.parquet.ParquetFile(file, memory_map=False)
        meta = opened.metadata
        if meta.num_columns > MAX_COLUMNS:
            raise Refusal(f"it has {meta.num_columns:,} columns; at most {MAX_COLUMNS:,} are taken")
        if meta.num_rows > MAX_ROWS:
            raise Refusal(f"it has {meta.num_rows:,} rows; at most {MAX_ROWS:,} are taken")
        unpacked = sum(
            meta.row_group(group).column(column).total_uncompressed_size
            for group in range(meta.num_row_groups)
            for column in range(meta.num_columns)
        )
        if unpacked > _MAX_UNPACKED_BYTES:
            raise Refusal(f"unpacked it has {unpacked:,} bytes; at most {_MAX_UNPACKED_BYTES:,} are taken")
        table = opened.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Refusal(f"this is no Parquet that can be read: {_sentence(error)}") from error
    return _checked(table)


def _checked(table: pa.Table) -> pa.Table:
    names = _names(table)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise Refusal(f"two columns have the name {twice[0][:80]!r}; give each a name of its own")
    for number, name in enumerate(names, start=1):
        fault = invisible_fault(name)
        if fault is not None or not 1 <= len(name) <= 200:
            why = fault or f"it has {len(name):,}"
            raise Refusal(f"every column needs a name of 1 to 200 letters; that of column {number}: {why}")
    if table.num_rows > MAX_ROWS:
        raise Refusal(f"it has {table.num_rows:,} rows; at most {MAX_ROWS:,} are taken")
    if table.num_rows < 2:
        raise Refusal(f"it has {table.num_rows} rows; at least 2 are needed")
    return table


def _names(table: pa.Table) -> list[str]:
    """Return the columns' names."""
    try:
        return list(table.column_names)
    except UnicodeDecodeError as error:
        raise Refusal("the columns' names are not UTF-8; write the file anew in that encoding") from error


def _sentence(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:5])[:80]
