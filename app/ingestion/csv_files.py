"""CSV files as tables of columns."""

import re
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from app.ingestion.csv_dialect import find_dialect
from app.ingestion.number_texts import read_class_numbers, read_number_texts, without_numbers
from app.ingestion.options import DEFAULT_MISSING, Options
from app.ingestion.refusals import Refusal
from app.ingestion.tables import ENCODING_HINT, MAX_COLUMNS, checked, names_of, sentence_of


def read_csv(file: Path, options: Options) -> tuple[pa.Table, list[str]]:
    """Read a CSV file with the names of the columns in its first line.

    Args:
        file: the file.
        options: how it is written.

    Returns:
        The table; and what was found out about it, in sentences.

    Raises:
        Refusal: it is no such file.
    """
    size = file.stat().st_size
    if size == 0:
        raise Refusal("the file is empty")
    if options.decimal == options.thousands:
        raise Refusal("the decimal point and what separates thousands must differ", "thousands", options.thousands)
    dialect = find_dialect(file, options)
    if len(dialect.header) > MAX_COLUMNS:
        raise Refusal(f"the first line names more than {MAX_COLUMNS:,} columns")
    as_written = {*options.named, *([options.target or "target"] if options.task == "classification" else [])}
    try:
        table = pyarrow.csv.read_csv(
            file,
            # One block, so that a column's type is inferred from all of it; in UTF-8, which may be longer.
            read_options=pyarrow.csv.ReadOptions(
                block_size=(size if dialect.charset == "utf-8" else 3 * size) + 1, use_threads=False,
                encoding=dialect.charset, skip_rows=dialect.skipped,
            ),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, delimiter=dialect.separator),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=[*_missing_words(options)],
                strings_can_be_null=True,
                decimal_point=options.decimal,
                column_types={name: pa.string() for name in as_written if name in dialect.header},
            ),
        )  # fmt: skip
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeError) as error:
        hint = f"; {ENCODING_HINT}" if "UTF8" in str(error) else dialect.hint
        raise Refusal(f"this is no CSV that can be read: {sentence_of(error)}{hint}") from error
    names = names_of(table)
    # As pandas calls a column without a name: its index, mostly; or what a separator at the end of a line makes.
    table = table.rename_columns([name or f"Unnamed: {place}" for place, name in enumerate(names)])
    ends = [f"Unnamed: {place}" for place, name in enumerate(names) if not name and pa.types.is_null(table[place].type)]
    table = checked(table.drop_columns(ends))
    if table.column_names and all(re.fullmatch(r"[-+.,\deE]+", name) for name in table.column_names):
        raise Refusal(f"the first line must name the columns; found numbers: {', '.join(table.column_names[:5])[:80]}")
    notes = [f"columns are separated by {dialect.separator!r}"] if dialect.is_guessed else []
    return _with_numbers(table, options), notes


def _missing_words(options: Options) -> set[str]:
    return {*(DEFAULT_MISSING if options.default_missing else ()), *options.missing, ""}


def _with_numbers(table: pa.Table, options: Options) -> pa.Table:
    """Return the table with numbers where all texts of a column are some, or Refusal where nearly all are."""
    target, missing = options.target or "target", _missing_words(options)
    refusals: list[Refusal] = []
    for place, name in enumerate(table.column_names):
        if name not in options.ignore:
            try:
                values = _read_column(name, table[place], options, missing, is_target=name == target)
                table = table.set_column(place, name, values)
            except Refusal as refusal:
                refusals.append(refusal)
    if refusals:
        raise Refusal.of(refusals)
    return table


def _read_column(
    name: str, values: pa.ChunkedArray, options: Options, missing: Collection[str], *, is_target: bool
) -> pa.ChunkedArray:
    if pa.types.is_binary(values.type):
        raise Refusal(f"the column {name!r} is not UTF-8; {ENCODING_HINT}")
    if not pa.types.is_string(values.type):
        return without_numbers(values, options.missing) if options.missing else values
    values = _without(values, missing)
    if name in options.named:
        return values
    if is_target and options.task == "classification":
        return read_class_numbers(values, options)
    return read_number_texts(name, values, options, is_target=is_target)


def _without(values: pa.ChunkedArray, missing: Collection[str]) -> pa.ChunkedArray:
    """Return texts with null for each that marks a missing value, whatever blanks are around it."""
    marks = pc.is_in(pc.utf8_trim_whitespace(values), value_set=pa.array(sorted(missing), pa.string()))
    return pc.if_else(marks, pa.scalar(None, pa.string()), values)
