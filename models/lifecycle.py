"""State machine of a trial as data: which state may follow which."""

from collections.abc import Mapping

from fittingroom.views.states import ExperimentState, TrialState

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


def with_undrawn(counts: Mapping[TrialState, int], undrawn_trials: int, *, is_cancelled: bool) -> dict[TrialState, int]:
    """Return the trials of an experiment in each state, with those that its search has not drawn.

    They are queued, or cancelled with the experiment.
    """
    state = TrialState.CANCELLED if is_cancelled else TrialState.QUEUED
    return {**counts, state: counts.get(state, 0) + undrawn_trials} if undrawn_trials else dict(counts)


def experiment_state(counts: Mapping[TrialState, int]) -> ExperimentState:
    """Return the state of an experiment with so many trials in each state.

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
