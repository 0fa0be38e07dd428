"""States of trials and experiments, and the reasons for which trials end."""

from enum import StrEnum


class TrialState(StrEnum):
    """State of a trial: queued, then running, then completed, pruned, failed or cancelled.

    A running trial is queued again when its worker loses or releases its lease. A queued trial fails without running
    when its cohort has used up the faults it may survive. A cancel request is a flag with a time, never a state.
    """

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    PRUNED = "pruned"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TrialPhase(StrEnum):
    """Phase of a running trial. A program that is known is neither traced nor compiled."""

    LOADING = "loading"
    TRACING = "tracing"
    COMPILING = "compiling"
    TRAINING = "training"


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
