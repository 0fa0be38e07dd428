"""The ids of resources: a prefix that says the kind, then a UUIDv7, so that ids sort by time."""

import re
from typing import Literal

import uuid_utils

Kind = Literal["exp", "trl", "coh", "wrk", "key", "dat"]

_SHAPE = re.compile(r"(exp|trl|coh|wrk|key|dat)_[0-9a-f]{32}")


def new_id(kind: Kind) -> str:
    """Return a fresh id, later in the alphabet than those made before it in this process."""
    return f"{kind}_{uuid_utils.uuid7().hex}"


def is_id(kind: str, text: str) -> bool:
    """Return True if a text has the form of an id of this kind."""
    return _SHAPE.fullmatch(text) is not None and text.startswith(kind)
