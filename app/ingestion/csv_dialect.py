"""Encoding, separator and header of a CSV file, by its beginning."""

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.ingestion.options import Options
from app.ingestion.refusals import Refusal

_FIRST_BYTES = 1024 * 1024
_FIRST_LINES = 20
_SAID = re.compile(r"sep=(.)", re.IGNORECASE)
_SEPARATORS = (",", ";", "\t", "|")
"""Separators to look for; of equal ones the first."""
_CHARSETS = frozenset({
    "ascii", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be",
    "iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15",
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp437", "cp850", "mac-roman", "koi8-r",
    "gb2312", "gbk", "gb18030", "big5", "shift_jis", "cp932", "euc_jp", "euc_kr",
})  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """Way in which a file is written, as far as its beginning shows it."""

    charset: str
    separator: str
    header: list[str]
    skipped: int
    """Lines before the header."""
    is_guessed: bool
    """True if nobody has said the separator, and it is another than a comma."""

    @property
    def hint(self) -> str:
        """Remedy for a separator that was guessed wrongly."""
        return f"; separator={self.separator} was guessed: say separator=, for commas" if self.is_guessed else ""


def find_dialect(file: Path, options: Options) -> Dialect:
    """Return the way in which a file is written, by its options and its beginning."""
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
    lines = re.split(r"\r\n|\r|\n", text, maxsplit=_FIRST_LINES)[:_FIRST_LINES]
    said = _SAID.fullmatch(lines[0])  # Excel's own first line
    rest = [line for line in lines[1 if said else 0 :] if line] or [""]  # Arrow leaves out empty lines
    if said is not None:
        separator = said[1]
    elif options.separator is not None:
        separator = "\t" if options.separator == "tab" else options.separator
    else:
        separator = max(_SEPARATORS, key=lambda one: _likelihood(rest, one))
    is_guessed = options.separator is None and separator != ","
    return Dialect(charset, separator, _fields(rest[0], separator), 1 if said else 0, is_guessed)


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


def _likelihood(lines: Sequence[str], separator: str) -> tuple[bool, int]:
    """Return whether a separator gives each of the first lines as many fields, more than one; and how many."""
    counts = [len(_fields(line, separator)) for line in lines]
    return counts[0] > 1 and len(set(counts)) == 1, counts[0]


def _fields(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a field longer than the module takes
        return [line]
