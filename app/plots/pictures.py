"""Descriptions of pictures, sent to the process that draws."""

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from fittingroom.specs.choices import Direction

FileFormat = Literal["svg", "png"]
Scale = Literal["auto", "linear", "log"]
PanelLayout = Literal["together", "apart"]
Seeds = Literal["each", "band"]


@dataclass(frozen=True)
class Curve:
    """One trial's values of one metric."""

    label: str
    candidate: str
    """The label without seed and fold, shared by trials that differ by these alone."""
    metric: str
    epochs: list[int]
    """Epoch numbers, from 1."""
    values: list[float]
    """One of each epoch, all finite."""
    best_epoch: int | None = None
    """The epoch to mark."""
    is_leading: bool = False
    """True for the curve highlighted among many."""


@dataclass(frozen=True)
class CurvesPicture:
    """Metrics of several trials over the epochs."""

    title: str
    """Above the picture."""
    curves: list[Curve]
    """Metrics of all trials, in the order of their colours."""
    scale: Scale = "auto"
    """Scale of the values; `auto` is logarithmic where the largest is a hundred times the smallest."""
    layout: PanelLayout = "together"
    """All metrics in one panel, or one panel a metric."""
    seeds: Seeds = "each"
    """A curve a trial, or a candidate's mean with a band from its lowest to its highest seed."""
    file_format: FileFormat = "svg"
    kind: Literal["curves"] = "curves"


@dataclass(frozen=True)
class Reached:
    """Best value of one trial of a sweep."""

    x: float | str
    """The value of the hyperparameter that is looked at."""
    value: float
    """The objective at the trial's best epoch."""
    series: str
    """Label of the other hyperparameters."""


@dataclass(frozen=True)
class SweepPicture:
    """The objective against a hyperparameter: a dot a trial, and the means: on a line, if it is a number."""

    title: str
    hyperparameter: str
    objective: str
    reached: list[Reached]
    scale: Scale = "auto"
    file_format: FileFormat = "svg"
    kind: Literal["sweep"] = "sweep"


@dataclass(frozen=True)
class ProgressPicture:
    """The best value so far of an experiment: a dot a trial, and a line that goes down, or up, in steps."""

    title: str
    effort: str
    """Label of the x axis: what was spent until each trial had ended."""
    objective: str
    reached: list[tuple[float, float]]
    """Effort and value of each trial that has one, in the order of the efforts."""
    direction: Direction
    scale: Scale = "auto"
    file_format: FileFormat = "svg"
    kind: Literal["progress"] = "progress"


@dataclass(frozen=True)
class ParallelAxis:
    """An axis of parallel coordinates: a hyperparameter, or the objective."""

    name: str
    values: list[float | str | None]
    """Value of each trial; None if it has none."""


@dataclass(frozen=True)
class ParallelPicture:
    """Parallel coordinates: a line for each trial, through its hyperparameters and its objective."""

    title: str
    axes: list[ParallelAxis]
    ranks: list[int]
    """Rank of each trial by the objective, 0 for the best."""
    file_format: FileFormat = "svg"
    kind: Literal["parallel"] = "parallel"


Picture = Annotated[CurvesPicture | SweepPicture | ProgressPicture | ParallelPicture, Field(discriminator="kind")]


@cache
def _adapter() -> TypeAdapter[Picture]:
    """Made when it is first needed: most processes never draw."""
    return TypeAdapter(Picture)


def write_picture(picture: Picture) -> bytes:
    """Write a description as JSON."""
    return _adapter().dump_json(picture)


def read_picture(document: bytes) -> Picture:
    """Read a description that was written as JSON."""
    return _adapter().validate_json(document)
