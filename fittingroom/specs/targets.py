"""Targets: what outputs are compared with."""

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
