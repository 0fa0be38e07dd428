"""Columns of CSV that are texts because some of their numbers are written otherwise, or are none."""

import re
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.ingestion.options import Options
from app.ingestion.refusals import Refusal
from fittingroom.specs.limits import MAX_CLASSES

_NEARLY = 0.8
"""Part of a column's values from which, where they look like numbers, it is thought to be one of numbers."""
_SAMPLE, _LIKELY = 1_000, 0.5
"""Rows that are looked at first, and the part of them that must look like numbers for all to be looked at."""
_SHOWN = 3
_SEED = 0
_LOOSE = re.compile(
    r"\(?[+-]? ?[$€£¥]? ?[+-]?(\d+|\d{1,3}([.,' _]\d{3})+)?([.,]\d+)?([eE][+-]?\d+)? ?[%$€£¥]?\)?", re.ASCII
)
"""A number as people write it: with groups of digits, a currency, a percent sign, a decimal comma."""
_TYPOGRAPHIC = {"\u2212": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'"}
"""Minus sign, blanks and apostrophe of typography, and what they are here."""


def read_number_texts(name: str, values: pa.ChunkedArray, options: Options, *, is_target: bool) -> pa.ChunkedArray:
    """Return a column of texts as numbers if they all are, as they are written by the options.

    Args:
        name: of the column.
        values: texts, missing ones null.
        options: how numbers are written.
        is_target: True for the column to predict.

    Raises:
        Refusal: nearly all are numbers, or look like some: the others would make categories of them.
    """
    known = values.drop_null()
    if not len(known):
        return pa.chunked_array([pa.nulls(len(values))])
    sample = np.random.default_rng(_SEED).integers(0, len(known), _SAMPLE)
    looking = sum(_looks_like_number(_plainly(text)) for text in known.take(pa.array(sample)).to_pylist())
    if looking < _LIKELY * _SAMPLE:
        return values
    counted = pc.value_counts(known)
    distinct = [_plainly(str(text)) for text in counted.field("values").to_pylist()]
    counts = np.asarray(counted.field("counts").to_numpy(), np.int64)
    written = _pattern(options)
    is_number = np.array([written.fullmatch(text) is not None for text in distinct], bool)
    if is_number.all():
        return _converted(values, options)
    looks = is_number | np.array([_looks_like_number(text) for text in distinct], bool)
    if counts[looks].sum() < _NEARLY * counts.sum():
        return values
    others = {text for text, is_one in zip(distinct, is_number, strict=True) if not is_one}
    raise _refusal(name, values, others, int(counts[is_number].sum()), options, is_target=is_target)


def read_class_numbers(values: pa.ChunkedArray, options: Options) -> pa.ChunkedArray:
    """Return texts of classes as numbers, in whose order the classes then are; or as texts, if some would be one."""
    distinct = values.drop_null().unique()
    written = _pattern(options)
    if len(distinct) > MAX_CLASSES or not all(written.fullmatch(_plainly(text)) for text in distinct.to_pylist()):
        return values
    numbers = _converted(values, options)
    return numbers if len(numbers.drop_null().unique()) == len(distinct) else values


def without_numbers(values: pa.ChunkedArray, words: Sequence[str]) -> pa.ChunkedArray:
    """Return a column of numbers with null for those that mark a missing value, such as -999 for -999.0."""
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return values
    numbers = []
    for word in words:
        with suppress(ValueError, OverflowError):
            numbers.append(float(word))
    marks = pc.is_in(values.cast(pa.float64(), safe=False), value_set=pa.array(numbers, pa.float64()))
    return pc.if_else(marks, pa.scalar(None, values.type), values)


def _plainly(text: str) -> str:
    """Return a text as a number is written by machines: without blanks around it, and with their signs."""
    for typographic, plain in _TYPOGRAPHIC.items():
        text = text.replace(typographic, plain)
    return text.strip()


def _pattern(options: Options) -> re.Pattern[str]:
    point = re.escape(options.decimal)
    whole = r"\d+"
    if options.thousands:
        whole += rf"|\d{{1,3}}(?:{re.escape(options.thousands)}\d{{3}})+"
    return re.compile(rf"[+-]?(?:(?:{whole})(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def _looks_like_number(text: str) -> bool:
    return _LOOSE.fullmatch(text) is not None and any(letter.isdigit() for letter in text)


def _converted(values: pa.ChunkedArray, options: Options) -> pa.ChunkedArray:
    texts = values
    for typographic, plain in _TYPOGRAPHIC.items():
        texts = pc.replace_substring(texts, typographic, plain)
    texts = pc.utf8_trim_whitespace(texts)
    if options.thousands:
        texts = pc.replace_substring(texts, options.thousands, "")
    texts = pc.replace_substring_regex(pc.replace_substring(texts, options.decimal, "."), r"^\+", "")
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid:
        return texts.cast(pa.float64())


def _refusal(
    name: str, values: pa.ChunkedArray, others: set[str], numbers: int, options: Options, *, is_target: bool
) -> Refusal:
    texts = values.to_pylist()
    rows = [
        (row, text.strip()) for row, text in enumerate(texts, start=1) if text is not None and text.strip() in others
    ]
    shown = ", ".join(f"row {row}: {text[:40]!r}" for row, text in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
    what, texts_taken = ("target", "task=classification") if is_target else ("column", f"categorical={name}")
    detail = (
        f"the {what} {name!r} has numbers in {numbers:,} of {len(rows) + numbers:,} rows, and others in {shown}{more}; "
        f"{_remedy(sorted(others), options)}, or take each text as a class: {texts_taken}"
    )
    return Refusal(detail if is_target else detail.replace("as a class", "as a category"), "", rows[0][1][:80])


def _remedy(others: Sequence[str], options: Options) -> str:
    """Return what makes numbers of the other texts."""
    for thousands in (",", ".", " ", "'", "_"):
        for decimal in (options.decimal, *(point for point in ".," if point != options.decimal)):
            if thousands == decimal:
                continue
            written = _pattern(Options(decimal=decimal, thousands=thousands))
            if all(written.fullmatch(text) for text in others):
                said = [f"decimal={decimal}"] if decimal != options.decimal else []
                if any(thousands in text for text in others):
                    said.append(f"thousands={thousands}")
                both = " or decimal=," if said == ["thousands=,"] and all("." not in text for text in others) else ""
                return f"say {' and '.join(said)}{both}"
    if all(_looks_like_number(text) for text in others):
        return "write the numbers alone, without signs of currency or percent"
    words = ",".join(text for text in others[:_SHOWN] if not _looks_like_number(text))
    return f"if they stand for no value, say missing={words}"
