"""Targets: what outputs are compared with."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from fittingroom.specs.base import Real

TargetForm = Literal["one_hot", "index", "number"]
"""Form of a target: a one-hot row, the class number, or a single number (0 or 1 of two classes)."""
Smoothing = Annotated[Real, Field(ge=0, lt=1)]
"""Label smoothing."""


class Target(NamedTuple):
    """Form and width of a target, which an output is compared with."""

    form: TargetForm
    units: int
    """Units of the output."""

    @property
    def width(self) -> int:
        """Numbers of a row: one for each unit, or one class number."""
        return 1 if self.form == "index" else self.units


def columns_of(targets: Sequence[Target], width: int) -> list[slice]:
    """Return the columns of each output's target among the `width` numbers of a row.

    They stand one after the other; or they are the same for all outputs; or each different one stands there once.
    """
    widths = [target.width for target in targets]
    if sum(widths) != width and set(widths) == {width}:
        return [slice(0, width)] * len(targets)
    distinct = list(dict.fromkeys(targets)) if sum(widths) != width else list(targets)
    ends = list(accumulate(target.width for target in distinct))
    columns = [slice(end - target.width, end) for target, end in zip(distinct, ends, strict=True)]
    return columns if sum(widths) == width else [columns[distinct.index(target)] for target in targets]
