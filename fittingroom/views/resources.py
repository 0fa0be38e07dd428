"""The views: what the API answers, as Pydantic documents."""

import datetime as dt
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from fittingroom.specs.choices import Device, Direction
from fittingroom.specs.faults import Fault
from fittingroom.views.history import WireNumber
from fittingroom.views.states import ExperimentState, StopReason, TrialState

T = TypeVar("T")


class View(BaseModel):
    """A document that the API answers."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, protected_namespaces=())


class ListView(View, Generic[T]):
    """One page of a list."""

    # Pydantic would look for docstrings in the source of every module being imported, for each kind of list anew:
    # a fifth of the calls that an import of the API takes (2026-11-27).
    model_config = ConfigDict(use_attribute_docstrings=False)

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Name of the list in the API's schema, and in clients generated from it."""
        return f"{params[0].__name__.removesuffix('View')}List"

    items: list[T] = Field(description="The page.")
    next_cursor: str | None = Field(
        default=None, description="Give this as `cursor` to get the next page; null on the last one."
    )


class ObjectiveView(View):
    """What trials are compared by."""

    metric: str
    """A recorded metric."""
    direction: Direction
    """Which way is better."""


class ProgressView(View):
    """How far an experiment is."""

    epochs_completed: int
    """Epochs written, over all trials."""
    epochs_planned: int
    """Epochs if no trial stops early."""
    trials: dict[TrialState, int]
    """How many trials are in each state."""


class BestEpochView(View):
    """A trial's best epoch by the objective; not its last."""

    epoch: int
    """Counted from 1."""
    metrics: dict[str, WireNumber]
    """All metrics of that epoch."""


class BestTrialView(BestEpochView):
    """The trial that leads an experiment, at its best epoch."""

    trial_id: str
    number: int
    label: str


class ExperimentSummaryView(View):
    """An experiment in a list."""

    id: str
    name: str
    tags: list[str]
    state: ExperimentState
    """Derived from its trials: failed if one of them failed, once all have ended."""
    version: int
    """Grows with every change to the experiment, its trials and their epochs; also the ETag."""
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    cancel_requested_at: dt.datetime | None
    paused_at: dt.datetime | None
    """Since when nothing more of it is begun; null unless it is paused."""
    device: Device
    objective: ObjectiveView
    progress: ProgressView
    waiting_for: str | None
    """Why nothing happens, where that is known: for instance that no worker serves the device asked for."""


class ExperimentView(ExperimentSummaryView):
    """An experiment."""

    best_trial: BestTrialView | None
    """The best trial so far."""
    spec: dict[str, Any]
    """What was submitted."""


class FaultView(View):
    """Why a trial failed."""

    kind: str
    """`usage`: the spec's fault; `transient`: given up after several attempts; `fatal`: the service's fault."""
    message: str


class EngineView(View):
    """What trains a trial."""

    name: str
    reason: str
    """Why this engine and no other."""
    program: dict[str, Any] | None = None
    """How it trains, once it does: how many trials share a program, which compiler was found faster (`xla` or `graph`),
    whether the program was known to the worker from an earlier cohort, and what making it took."""


class TrialSummaryView(View):
    """A trial in a list."""

    id: str
    experiment_id: str
    number: int
    """From 1, within the experiment."""
    label: str
    """What tells it apart from the experiment's other trials."""
    model: str | None
    """Its name under `models`, if it has one."""
    hyperparameters: dict[str, Any]
    """The values taken from the search spaces, by dotted path."""
    seed: int
    state: TrialState
    stop_reason: StopReason | None
    """Why a completed trial ended: `epochs` (all of them), `early_stopping`, `diverged` (the loss was no number) or
    `time_limit`."""
    fault: FaultView | None
    """Why a failed trial failed."""
    version: int
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    cancel_requested_at: dt.datetime | None
    attempt: int
    """How many times a worker has begun with it."""
    engine: EngineView
    parameter_count: int
    """Weights of the network, trainable or not."""
    epochs_planned: int
    epochs_completed: int
    training_seconds: float
    """Time from epoch to epoch, building and compiling the network included."""
    best_epoch: BestEpochView | None
    weights_epoch: int | None = None
    """Of which epoch the weights were kept: they can be downloaded, and predict. Null until the trial has completed."""
    weights_fault: str | None = None
    """Why a trial that has completed has no weights."""


class TrialView(TrialSummaryView):
    """A trial."""

    model_summary: str | None
    """What Keras's `model.summary()` prints."""
    environment: dict[str, Any] | None
    """Device and library versions it was trained with."""
    spec: dict[str, Any]
    """Everything it is trained by, no search space left."""


class PredictView(View):
    """What a trained network says."""

    trial_id: str
    epoch: int
    """Of which epoch its weights are."""
    predictions: list[str | WireNumber]
    """For each row the likeliest class, or the number where numbers are predicted."""
    outputs: list[list[WireNumber]]
    """For each row what the network gives: probabilities of the classes, where the loss is a cross-entropy."""
    class_names: list[str]
    """The classes in the order of the outputs; empty where numbers are predicted."""


class TrialHistoryView(View):
    """A trial's history, in Keras's shape."""

    trial_id: str
    number: int
    label: str
    state: TrialState
    stop_reason: StopReason | None
    epochs_completed: int
    version: int
    history: dict[str, list[int] | list[WireNumber | None]]
    """`epoch` counts from 1; numbers that JSON lacks are the strings "NaN", "Infinity" and "-Infinity"."""


class ExperimentHistoryView(View):
    """The histories of all trials of an experiment."""

    experiment_id: str
    state: ExperimentState
    version: int
    """Give this as `after` to get what was written since."""
    trials: list[TrialHistoryView]
    """Those that have changed after the version given; without one, all."""


class WebhookView(View):
    """Whether an experiment's end was told."""

    url: str
    attempts: int
    """How often it was tried."""
    delivered_at: dt.datetime | None
    """When it was heard; null until then."""
    next_attempt_at: dt.datetime | None
    """When it is tried (again); null once it was heard, or given up."""
    last_answer: str | None


class CancelView(View):
    """What a cancel has done."""

    experiment_id: str
    trials_cancelled: int
    """Trials that this call cancelled or newly asked to stop; 0 if there was nothing left to do."""


class WorkerView(View):
    """A worker that is alive."""

    id: str
    host: str
    process_id: int
    queues: list[str]
    """What it listens to."""
    devices: list[str]
    """What it trains on, first choice first."""
    versions: dict[str, str]
    started_at: dt.datetime
    seen_at: dt.datetime
    """When it last said that it is alive."""
    is_idle: bool
    """Whether it trains nothing."""
    cohort_id: str | None
    """Cohort in training; null while the worker is idle or trains for another project."""


class UsageView(View):
    """A project's stored bytes and unended trials, with the limit of each."""

    project: str
    stored_bytes: int
    """Bytes of its datasets and of its trials' weights in the storage."""
    max_stored_bytes: int
    """With so many, nothing more is stored: uploads and submits answer 507."""
    unended_trials: int
    """How many of its trials wait or run."""
    max_unended_trials: int | None
    """How many may when this key submits; null for no limit."""


class HealthView(View):
    """Whether the service can do its work."""

    status: str
    database: str
    broker: str
    """`unreachable` does not refuse work: it is stored, and sent when the broker is back."""
    storage: str
    """`ok`, or why it takes no checkpoints, weights and uploads; rows are written all the same."""
    workers: int
    """How many workers are alive."""


class Problem(View):
    """What went wrong (RFC 9457)."""

    type: str = "about:blank"
    title: str
    """The kind of problem."""
    status: int
    """The HTTP status."""
    detail: str
    """What happened, and how to mend it."""
    instance: str
    """The path that was asked for."""
    errors: list[Fault] = []
    """Each fault of the document, with a pointer to its place; faults in the query have their name instead."""
