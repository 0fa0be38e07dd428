"""Tables of columns, from Parquet files; what every table must be."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from app.ingestion.refusals import Refusal
from fittingroom.specs.visible_text import invisible_fault

MAX_ROWS = 10_000_000
MAX_COLUMNS = 10_000
ENCODING_HINT = "say its encoding: Content-Type: text/csv; charset=windows-1252"
_MAX_UNPACKED_BYTES = 2 * 1024**3


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
        raise Refusal(f"this is no Parquet that can be read: {sentence_of(error)}") from error
    return checked(table)


def checked(table: pa.Table) -> pa.Table:
    """Return a table that has names, rows and not too many of them, or Refusal."""
    names = names_of(table)
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


def names_of(table: pa.Table) -> list[str]:
    """Return the columns' names."""
    try:
        return list(table.column_names)
    except UnicodeDecodeError as error:
        raise Refusal(f"the columns' names are not UTF-8; {ENCODING_HINT}") from error


def sentence_of(error: Exception) -> str:
    """Return the first line of an error."""
    return str(error).partition("\n")[0][:300]
