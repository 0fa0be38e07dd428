"""States of trials and experiments, and the reasons for which trials end."""

from enum import StrEnum


class TrialState(StrEnum):
    """State of a trial, and its transitions.

    ::

                         claim                 all epochs, early stopping, divergence, time limit
           queued ───────────────────▶ running ───────────────────────────▶ completed
             │  ▲                        │ │ └──── the pruner's verdict ───▶ pruned
             │  └── lease lost or ───────┘ └────── fault ──────────────────▶ failed
             │      released
             └──── cancel ──────────────▶ cancelled ◀───── a cancel flag, seen at an epoch's end

    A queued trial fails without running when its cohort has used up the faults it may survive.
    "Please stop" is a flag with a time, never a state.
    """

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    PRUNED = "pruned"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StopReason(StrEnum):
    """Reason why a completed trial ended."""

    EPOCHS = "epochs"
    EARLY_STOPPING = "early_stopping"
    DIVERGED = "diverged"
    TIME_LIMIT = "time_limit"


class ExperimentState(StrEnum):
    """State of an experiment: derived from its trials, never stored."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({ExperimentState.COMPLETED, ExperimentState.FAILED, ExperimentState.CANCELLED})
"""Final states of an experiment."""
