"""Histories in Keras's shape, and numbers that JSON lacks."""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

NotFinite = Literal["NaN", "Infinity", "-Infinity"]
WireNumber = float | NotFinite
"""A number as stored and sent. JSON has no NaN and no infinities, so these are strings."""

History = dict[str, list[int] | list[WireNumber | None]]
"""`{"epoch": [1, 2], "loss": […], …}`; epochs count from 1, as Keras prints them."""


def to_wire(value: float) -> WireNumber:
    """Return a number as JSON can hold it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def to_history(epochs: Iterable[tuple[int, Mapping[str, WireNumber]]]) -> History:
    """Turn rows, ordered by epoch, into columns. A metric missing in some epoch is None there."""
    rows = list(epochs)
    names = list(dict.fromkeys(name for _, metrics in rows for name in metrics))
    history: History = {"epoch": [epoch for epoch, _ in rows]}
    for name in names:
        history[name] = [metrics.get(name) for _, metrics in rows]
    return history
