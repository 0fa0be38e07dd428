"""Views of submissions: the plan of an experiment, and the results of a bulk submit."""

from typing import Any

from pydantic import Field

from fittingroom.specs.faults import Fault
from fittingroom.views.resources import EngineView, ObjectiveView, View


class PlannedTrialView(View):
    """A planned trial."""

    number: int
    label: str
    model: str | None
    hyperparameters: dict[str, Any]
    seed: int
    fold: int | None = None
    """Fold whose rows are for validation, from 1; null without `fit.folds`."""
    parameter_count: int
    epochs: int
    memory_bytes: int | None = None
    """Estimated memory for training, in bytes, without the dataset."""


class PlannedCohortView(View):
    """A planned cohort: trials that would train together."""

    number: int
    trials: list[int]
    """Trial numbers."""
    queue: str
    """Queue, by device, and by backend if the spec names one."""
    engine: EngineView


class PlanView(View):
    """Plan of an experiment; nothing is stored."""

    objective: ObjectiveView
    trials: list[PlannedTrialView]
    """Trials; of a sampler that learns from results, those of the first round."""
    undrawn_trials: int = 0
    """Number of trials that later rounds will have at most, those that confirm candidates included."""
    cohorts: list[PlannedCohortView]
    warnings: list[Fault]
    """Warnings: settings that can be trained and are hardly meant, such as classes without a training row."""


class BatchItemView(View):
    """Result of one experiment of a bulk submit."""

    index: int
    """Index in the request, from 0."""
    status: int
    """Status that a submit of its own would have had: 202, 422, 429, 503 or 507."""
    id: str | None = None
    """Id of the stored experiment; null if refused."""
    location: str | None = None
    detail: str | None = None
    """Reason for the refusal."""
    errors: list[Fault] = Field(default=[])
    """Faults, each with a JSON pointer into this experiment's document."""


class BatchView(View):
    """Results of a bulk submit."""

    items: list[BatchItemView]
    """Results in the order of the request."""
    accepted: int
    refused: int
