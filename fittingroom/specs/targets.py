"""Targets: what outputs are compared with."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from fittingroom.specs.base import Real

TargetForm = Literal["one_hot", "index", "number"]
"""Form of a target: a one-hot row, the class number, or a single number (0 or 1 of two classes)."""
Smoothing = Annotated[Real, Field(ge=0, lt=1)]
"""Label smoothing."""


class Target(NamedTuple):
    """What an output is compared with."""

    form: TargetForm
    width: int
    """Numbers of a row."""
