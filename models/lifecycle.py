"""The law of states: which there are, and which may follow which.

May import: nothing. Knows no SQL: `models.transitions` is its only hand.
"""

from collections.abc import Mapping
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

TRANSITIONS: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.QUEUED: frozenset({TrialState.RUNNING, TrialState.FAILED, TrialState.CANCELLED}),
    TrialState.RUNNING: frozenset(
        {
            TrialState.QUEUED,
            TrialState.COMPLETED,
            TrialState.PRUNED,
            TrialState.FAILED,
            TrialState.CANCELLED,
        }
    ),
    TrialState.COMPLETED: frozenset(),
    TrialState.PRUNED: frozenset(),
    TrialState.FAILED: frozenset(),
    TrialState.CANCELLED: frozenset(),
}

TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)

SOURCES: Mapping[TrialState, frozenset[TrialState]] = {
    target: frozenset(source for source, following in TRANSITIONS.items() if target in following)
    for target in TrialState
}
"""The reverse of TRANSITIONS: from where a state can be reached."""


def experiment_state(counts: Mapping[TrialState, int]) -> ExperimentState:
    """The state of an experiment with so many trials in each state.

    It has failed as soon as all ended and one failed; the counts beside it say how many did not.
    """
    unended = sum(counts.get(state, 0) for state in TrialState if state not in TERMINAL)
    if counts.get(TrialState.QUEUED, 0) == sum(counts.values()):
        return ExperimentState.QUEUED
    if unended:
        return ExperimentState.RUNNING
    if counts.get(TrialState.FAILED, 0):
        return ExperimentState.FAILED
    if counts.get(TrialState.CANCELLED, 0):
        return ExperimentState.CANCELLED
    return ExperimentState.COMPLETED
