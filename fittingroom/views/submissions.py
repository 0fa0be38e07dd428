"""The views of what is submitted: what an experiment would be, and what became of a batch of them."""

from typing import Any

from pydantic import Field

from fittingroom.specs.faults import Fault
from fittingroom.views.resources import EngineView, ObjectiveView, View


class PlannedTrialView(View):
    """A trial as it would be."""

    number: int
    label: str
    model: str | None
    hyperparameters: dict[str, Any]
    seed: int
    parameter_count: int
    epochs: int
    memory_bytes: int | None = None
    """Estimate of the memory that training it takes, without the dataset; null from a service that makes none."""


class PlannedCohortView(View):
    """Trials that would train together."""

    number: int
    trials: list[int]
    """The trials' numbers."""
    queue: str
    """Which workers may take it: by the device, and by the backend where the spec says one."""
    engine: EngineView


class PlanView(View):
    """What an experiment would be; nothing was stored."""

    objective: ObjectiveView
    trials: list[PlannedTrialView]
    cohorts: list[PlannedCohortView]


class BatchItemView(View):
    """What became of one experiment of a batch."""

    index: int
    """Its place in what was sent, from 0."""
    status: int
    """As a submit of its own would have been answered: 202, 422, 429 or 503."""
    id: str | None = None
    """The experiment, if it was stored."""
    location: str | None = None
    detail: str | None = None
    """Why it was not stored."""
    errors: list[Fault] = Field(default=[])
    """Each fault, with a pointer into this experiment's document."""


class BatchView(View):
    """What became of a batch."""

    items: list[BatchItemView]
    """In the order in which they were sent."""
    accepted: int
    refused: int
