"""Options of an upload that say what its file means."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True)
class Options:
    """Meaning of a file, as far as the client says it."""

    target: str | None = None
    """The column to predict; by default the one that is called `target`."""
    task: str = "auto"
    """`classification`, `regression` or `auto`."""
    ignore: Sequence[str] = ()
    """Columns to leave out."""
    categorical: Sequence[str] = ()
    """Columns whose values are names of categories, whatever they look like."""
    group: str | None = None
    """Column, or array of an archive, that says which rows belong together; it is no feature."""
    separator: str | None = None
    """Character between the columns of CSV, or `tab`; by default the first line shows it."""
    decimal: str = "."
    """Decimal point of CSV."""
    thousands: str | None = None
    """Character between groups of three digits in CSV."""
    missing: Sequence[str] = ()
    """Further texts that mark a missing value in CSV."""
    default_missing: bool = True
    """False to take the texts of `DEFAULT_MISSING` as texts."""
    charset: str | None = None
    """Encoding of CSV; by default UTF-8, or UTF-16 if it begins with its mark."""
    drop_missing_target: bool = False
    """True to leave out rows without a target."""

    @property
    def named(self) -> Collection[str]:
        """Columns whose values are names as they are written: read as numbers, 00123 and 123 would be one."""
        return {*self.categorical, *([] if self.group is None else [self.group])}

    @classmethod
    def of(cls, wanted: Mapping[str, Any]) -> Self:
        """Return the options among what is wanted of the reader."""
        return cls(**{one.name: wanted[one.name] for one in fields(cls) if one.name in wanted})


DEFAULT_MISSING = (
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null", "?",
)  # fmt: skip
"""Texts that mark a missing value in CSV, beside none: those of pandas, and the mark of the UCI repository's tables."""
