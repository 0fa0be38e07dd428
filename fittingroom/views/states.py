"""States of trials and experiments, and the reasons for which trials end."""

from enum import StrEnum


class TrialState(StrEnum):
    """Where a trial is, and where it can go from there.

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
    """Why a completed trial ended."""

    EPOCHS = "epochs"
    EARLY_STOPPING = "early_stopping"
    DIVERGED = "diverged"
    TIME_LIMIT = "time_limit"


class ExperimentState(StrEnum):
    """Where an experiment is; never stored, always derived from its trials."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({ExperimentState.COMPLETED, ExperimentState.FAILED, ExperimentState.CANCELLED})
"""The states of an experiment that has nothing left to do."""
