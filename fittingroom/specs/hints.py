"""Hints: what was probably meant by a name that is not known."""

import difflib
from collections.abc import Iterable

_MAX_LENGTH = 60
"""A longer name is none of ours, and takes long to compare."""


def nearest_hint(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return `did you mean …? ` with the known name that is most like this one, or an empty text.

    Args:
        name: what was found.
        known: what it may have been meant for.
        cutoff: how like they must be, from 0 to 1, as `difflib` measures it.
    """
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=cutoff) if len(name) <= _MAX_LENGTH else []
    return f"did you mean {nearest[0]!r}? " if nearest else ""
