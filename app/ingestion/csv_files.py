"""CSV files as tables of columns."""

import codecs
import csv
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from app.ingestion.number_texts import read_number_texts
from app.ingestion.options import DEFAULT_MISSING, Options
from app.ingestion.refusals import Refusal
from app.ingestion.tables import ENCODING_HINT, MAX_COLUMNS, checked, names_of, sentence_of

_FIRST_BYTES = 1024 * 1024
_SEPARATORS = (",", ";", "\t", "|")
"""Separators to look for; of equal ones the first."""
_CHARSETS = frozenset({
    "ascii", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be",
    "iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15",
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp437", "cp850", "mac-roman", "koi8-r",
    "gb2312", "gbk", "gb18030", "big5", "shift_jis", "cp932", "euc_jp", "euc_kr",
})  # fmt: skip


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
    charset, first = _beginning(file, options)
    separator = _separator(first, options)
    header = _fields(first, separator)
    if len(header) > MAX_COLUMNS:
        raise Refusal(f"the first line names more than {MAX_COLUMNS:,} columns")
    if options.decimal == options.thousands:
        raise Refusal("the decimal point and what separates thousands must differ", "thousands", options.thousands)
    missing = [*(DEFAULT_MISSING if options.default_missing else ()), *options.missing, ""]
    try:
        table = pyarrow.csv.read_csv(
            file,
            # One block, so that a column's type is inferred from all of it; in UTF-8, which may be longer.
            read_options=pyarrow.csv.ReadOptions(
                block_size=(size if charset == "utf-8" else 3 * size) + 1, use_threads=False, encoding=charset
            ),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, delimiter=separator),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=missing,
                strings_can_be_null=True,
                decimal_point=options.decimal,
                # As they are written: read as numbers, 00123 and 123 would be one.
                column_types={name: pa.string() for name in options.categorical if header.count(name) == 1},
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeError) as error:
        raise Refusal(f"this is no CSV that can be read: {sentence_of(error)}") from error
    names = names_of(table)
    # As pandas calls a column without a name: its index, mostly; or what a separator at the end of a line makes.
    table = table.rename_columns([name or f"Unnamed: {place}" for place, name in enumerate(names)])
    ends = [f"Unnamed: {place}" for place, name in enumerate(names) if not name and pa.types.is_null(table[place].type)]
    table = checked(table.drop_columns(ends))
    if table.column_names and all(re.fullmatch(r"[-+.,\deE]+", name) for name in table.column_names):
        raise Refusal(f"the first line must name the columns; found numbers: {', '.join(table.column_names[:5])[:80]}")
    notes = [] if separator == "," else [f"columns are separated by {separator!r}"]
    return _with_numbers(table, options), notes


def _beginning(file: Path, options: Options) -> tuple[str, str]:
    """Return the file's encoding and its first line."""
    with file.open("rb") as opened:
        start = opened.read(_FIRST_BYTES)
    charset = "utf-8"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        charset = "utf-16"
    elif options.charset is not None:
        charset = _charset(options.charset)
    if charset == "utf-8" and b"\x00" in start.split(b"\n", 1)[0]:
        raise Refusal("this is no text in UTF-8: it has NUL bytes; expected CSV, or another Content-Type")
    text = start.removeprefix(codecs.BOM_UTF8).decode(charset, errors="replace")
    return charset, text.split("\n", 1)[0].rstrip("\r")


def _charset(given: str) -> str:
    try:
        name = codecs.lookup(given).name
    except (LookupError, ValueError):
        name = ""
    if name not in _CHARSETS:
        raise Refusal(
            "this charset is not known; expected for instance iso-8859-1, windows-1252 or utf-16", "", given[:80]
        )
    return "utf-8" if name == "utf-8-sig" else name


def _separator(first: str, options: Options) -> str:
    if options.separator is not None:
        return "\t" if options.separator == "tab" else options.separator
    return max(_SEPARATORS, key=lambda one: len(_fields(first, one)))


def _fields(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a field longer than the module takes
        return [line]


def _with_numbers(table: pa.Table, options: Options) -> pa.Table:
    """Return the table with numbers where all texts of a column are some, or Refusal where nearly all are."""
    target = options.target or "target"
    as_they_are = {*options.categorical, *options.ignore, *([target] if options.task == "classification" else [])}
    refusals: list[Refusal] = []
    for place, name in enumerate(table.column_names):
        values = table[place]
        if pa.types.is_binary(values.type) and name not in options.ignore:
            refusals.append(Refusal(f"the column {name!r} is not UTF-8; {ENCODING_HINT}"))
        elif pa.types.is_string(values.type) and name not in as_they_are:
            try:
                numbers = read_number_texts(name, values, options, is_target=name == target)
                table = table.set_column(place, name, numbers)
            except Refusal as refusal:
                refusals.append(refusal)
    if refusals:
        raise Refusal.of(refusals)
    return table
