"""Views: the API's answers, as Pydantic documents."""

import datetime as dt
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from fittingroom.specs.choices import Device, Direction
from fittingroom.specs.faults import Fault
from fittingroom.views.history import WireNumber
from fittingroom.views.states import ExperimentState, StopReason, TrialPhase, TrialState

T = TypeVar("T")


class View(BaseModel):
    """Base class of the API's answers."""

    # Built when first used: most processes use few of them.
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, protected_namespaces=(), defer_build=True)


class ListView(View, Generic[T]):
    """One page of a list."""

    # Pydantic would look for docstrings in the source of every module being imported, for each kind of list anew:
    # a fifth of the calls that an import of the API takes (2026-11-27).
    model_config = ConfigDict(use_attribute_docstrings=False)

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Name of the list in the API's schema, and in clients generated from it."""
        return f"{params[0].__name__.removesuffix('View')}List"

    items: list[T] = Field(description="Items of this page.")
    next_cursor: str | None = Field(
        default=None, description="Pass as `cursor` to get the next page; null on the last page."
    )


class ObjectiveView(View):
    """Objective: the metric by which trials are compared."""

    metric: str
    """Name of a recorded metric."""
    direction: Direction
    """Direction of improvement: `minimize` or `maximize`."""


class ProgressView(View):
    """Progress of an experiment."""

    epochs_completed: int
    """Completed epochs of all trials together."""
    epochs_planned: int
    """Planned epochs of all trials together, if none stops early."""
    trials: dict[TrialState, int]
    """Number of trials in each state."""


class BestEpochView(View):
    """Best epoch of a trial by the objective, not the last."""

    epoch: int
    """Epoch number, from 1."""
    metrics: dict[str, WireNumber]
    """Metrics of that epoch."""


class BestTrialView(BestEpochView):
    """Best trial of an experiment, at its best epoch."""

    trial_id: str
    number: int
    label: str


class ExperimentSummaryView(View):
    """Summary of an experiment, as in lists."""

    id: str
    name: str
    tags: list[str]
    state: ExperimentState
    """State, derived from the trials: `failed` if any of them failed, once all have ended."""
    version: int
    """Version, increased by every change to the experiment, its trials and their epochs. Also the ETag."""
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    cancel_requested_at: dt.datetime | None
    paused_at: dt.datetime | None
    """Time of the pause; null unless paused."""
    device: Device
    objective: ObjectiveView
    progress: ProgressView
    undrawn_trials: int = 0
    """Number of trials that later rounds of the search will have at most; `progress` counts them as queued."""
    waiting_for: str | None
    """Reason why the experiment waits, if known, e.g. that no worker serves the requested device."""


class RoundView(View):
    """A round of a search: trials that were drawn together, from the results of all rounds before."""

    number: int
    """Number of the round, from 1."""
    trials: int
    """Number of its trials."""
    drawn_at: dt.datetime
    versions: dict[str, str]
    """Versions of the libraries that drew it."""


class ExperimentView(ExperimentSummaryView):
    """An experiment."""

    best_trial: BestTrialView | None
    """Best trial so far."""
    warnings: list[Fault]
    """Warnings: settings that can be trained and are hardly meant, such as classes without a training row."""
    rounds: list[RoundView] = Field(default=[])
    """Rounds of the search so far, if its sampler learns from results or candidates are confirmed."""
    spec: dict[str, Any]
    """The spec as submitted."""


class FaultView(View):
    """Cause of a trial's failure."""

    kind: str
    """`usage`: error in the spec; `transient`: gave up after several attempts; `fatal`: error of the service."""
    message: str


class EngineView(View):
    """Engine that trains a trial."""

    name: str
    reason: str
    """Reason for choosing this engine."""
    program: dict[str, Any] | None = None
    """Compiled program, once training has begun: trials per program, compiler (`xla` or `graph`) and why it was chosen,
    whether the program was cached from an earlier cohort, and compile time."""


class TrialSummaryView(View):
    """Summary of a trial, as in lists."""

    id: str
    experiment_id: str
    number: int
    """Number within the experiment, from 1."""
    round: int = 1
    """Round of the search that drew the trial, from 1; 1 where all are drawn at once."""
    is_confirming: bool = False
    """True if the trial confirms, with a further seed, a candidate that was among the best."""
    label: str
    """Label that distinguishes the trial within the experiment."""
    model: str | None
    """Name of the model under `models`; null with `model`."""
    hyperparameters: dict[str, Any]
    """Sampled hyperparameters, by dotted path."""
    seed: int
    fold: int | None = None
    """Fold whose rows are for validation, from 1; null without `fit.folds`."""
    state: TrialState
    phase: TrialPhase | None = None
    """Phase of a running trial: `loading` its data, `tracing` its network and `compiling` the program, then `training`,
    in which `keras.Model.fit` traces by itself. Null unless it is running."""
    stop_reason: StopReason | None
    """Reason why a completed trial ended: `epochs` (all planned ones), `early_stopping`, `diverged` (the loss became
    NaN or infinite) or `time_limit`."""
    fault: FaultView | None
    """Cause of the failure; null unless the trial failed."""
    version: int
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    cancel_requested_at: dt.datetime | None
    attempt: int
    """Number of times that a worker has claimed the trial."""
    engine: EngineView
    parameter_count: int
    """Number of parameters of the network, trainable or not."""
    epochs_planned: int
    epochs_completed: int
    training_seconds: float
    """Training time in seconds, building and compiling included."""
    best_epoch: BestEpochView | None
    weights_epoch: int | None = None
    """Epoch of the stored weights, for download and prediction; null until the trial has completed."""
    weights_fault: str | None = None
    """Reason why a completed trial has no weights; null if it has."""
    checkpoint_bytes: int | None = None
    """Size of the state that is kept of a completed trial, in bytes; null if none is (`fit.delete_checkpoint`)."""
    continues: str | None = None
    """Trial of an earlier experiment from whose last epoch this one goes on; its epochs are this one's too. Null for a
    trial that begins with its first epoch."""


class TrialView(TrialSummaryView):
    """A trial."""

    model_summary: str | None
    """Output of Keras's `model.summary()`."""
    environment: dict[str, Any] | None
    """Device and library versions used for training."""
    spec: dict[str, Any]
    """Spec of this trial, with sampled values in place of search spaces."""


Predictions = list[str | int | WireNumber | list[WireNumber]]
Outputs = list[list[WireNumber]]


class PredictView(View):
    """Predictions of a trained network."""

    trial_id: str
    epoch: int
    """Epoch of the weights."""
    predictions: Predictions | dict[str, Predictions]
    """Most likely class of each row, or the predicted number in regression. Of a network with several outputs, an
    object with those of each by name."""
    outputs: Outputs | dict[str, Outputs]
    """Raw outputs of each row: class probabilities if the loss is a cross-entropy. By name if there are several."""
    class_names: list[str]
    """Class names in the order of the outputs; empty in regression."""


class EvaluationView(View):
    """Loss and metrics of a trained network on the test rows, or on a dataset."""

    trial_id: str
    epoch: int
    """Epoch of the weights."""
    dataset: str
    rows: int
    """Number of rows measured."""
    metrics: dict[str, WireNumber]
    """Loss and metrics by Keras's names, as `model.evaluate` returns them."""


class TrialHistoryView(View):
    """History of a trial, in Keras's shape."""

    trial_id: str
    number: int
    label: str
    state: TrialState
    phase: TrialPhase | None = None
    """Phase of a running trial; null unless it is running."""
    stop_reason: StopReason | None
    epochs_completed: int
    version: int
    history: dict[str, list[int] | list[WireNumber | None]]
    """One list per metric, and `epoch`, from 1. Numbers that JSON lacks are the strings "NaN", "Infinity" and
    "-Infinity"."""


class ExperimentHistoryView(View):
    """Histories of all trials of an experiment."""

    experiment_id: str
    state: ExperimentState
    version: int
    """Pass as `after` to get only what was written since."""
    trials: list[TrialHistoryView]
    """Trials changed since `after`; all trials without it."""


class WebhookView(View):
    """Delivery status of a webhook."""

    url: str
    attempts: int
    """Number of delivery attempts."""
    delivered_at: dt.datetime | None
    """Time of successful delivery; null until then."""
    next_attempt_at: dt.datetime | None
    """Time of the next attempt; null once delivered or given up."""
    last_answer: str | None


class CancelView(View):
    """Result of a cancel request."""

    experiment_id: str
    trials_cancelled: int
    """Number of trials that this call cancelled or asked to stop; 0 if none was left."""


class WorkerView(View):
    """A live worker."""

    id: str
    host: str
    process_id: int
    queues: list[str]
    """Queues that it serves."""
    devices: list[str]
    """Devices, in order of preference."""
    versions: dict[str, str]
    started_at: dt.datetime
    seen_at: dt.datetime
    """Time of the last heartbeat."""
    is_idle: bool
    """True if it trains nothing."""
    cohort_id: str | None
    """Cohort in training; null while the worker is idle or trains for another project."""


class UsageView(View):
    """Usage and quotas of a project."""

    project: str
    stored_bytes: int
    """Stored bytes of datasets and trained weights."""
    max_stored_bytes: int
    """Storage quota in bytes. Once it is reached, uploads and submits are answered 507."""
    unended_trials: int
    """Number of trials queued or running."""
    max_unended_trials: int | None
    """Quota of queued and running trials for submits with this key; null for none."""


class HealthView(View):
    """Health of the service."""

    status: str
    database: str
    broker: str
    """`ok` or `unreachable`. Submits are accepted without a broker, and announced when it is back."""
    storage: str
    """`ok`, or the reason why checkpoints, weights and uploads cannot be written."""
    workers: int
    """Number of live workers."""


class Problem(View):
    """Problem document (RFC 9457)."""

    type: str = "about:blank"
    title: str
    """Phrase of the HTTP status."""
    status: int
    """HTTP status."""
    detail: str
    """Explanation, and how to fix it."""
    instance: str
    """Path of the request."""
    errors: list[Fault] = []
    """Faults of the body, each with a JSON pointer; faults of the query have the parameter's name instead."""
