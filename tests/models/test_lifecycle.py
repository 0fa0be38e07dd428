"""State transitions."""

import itertools

from fittingroom.views.states import ExperimentState, TrialState
from models.lifecycle import SOURCES, TERMINAL, TRANSITIONS, experiment_state


def test_every_state_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(TrialState)


def test_terminal_states_lead_nowhere() -> None:
    assert {state.value for state in TERMINAL} == {"completed", "pruned", "failed", "cancelled"}
    assert TrialState.QUEUED not in {source for target in TERMINAL for source in SOURCES[target]} - {
        TrialState.QUEUED,
        TrialState.RUNNING,
    }


def test_reverse_map_says_the_same() -> None:
    forward = {(source, target) for source, targets in TRANSITIONS.items() for target in targets}
    backward = {(source, target) for target, sources in SOURCES.items() for source in sources}
    assert forward == backward


def test_only_a_running_trial_completes_or_goes_back() -> None:
    assert SOURCES[TrialState.COMPLETED] == SOURCES[TrialState.QUEUED] == {TrialState.RUNNING}


def test_experiment_has_ended_when_and_only_when_all_trials_have() -> None:
    ended = {ExperimentState.COMPLETED, ExperimentState.FAILED, ExperimentState.CANCELLED}
    for counts in itertools.product((0, 1, 2), repeat=len(TrialState)):
        if sum(counts):
            by_state = dict(zip(TrialState, counts, strict=True))
            all_ended = not any(by_state[state] for state in TrialState if state not in TERMINAL)
            assert (experiment_state(by_state) in ended) == all_ended


def test_one_failed_trial_fails_the_experiment_at_its_end() -> None:
    assert experiment_state({TrialState.FAILED: 1, TrialState.COMPLETED: 99}) == ExperimentState.FAILED
    assert experiment_state({TrialState.FAILED: 1, TrialState.RUNNING: 1}) == ExperimentState.RUNNING
