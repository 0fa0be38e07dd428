"""Comparison of candidates whose further seeds were trained in stages, and a simulation of its error rates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.comparison.ranking import Comparison, compare
from fittingroom.views.resources import TrialSummaryView
from fittingroom.views.states import TrialState
from models.planning.confirmation import undecided
from models.planning.results import TrialResult
from tests.app.comparison.trials import LOSS, trial

RESULT = TrialResult(2, None, {}, is_trained=True, is_pruned=False, epochs=1, value=None, is_confirming=True)


def confirmed(*further: Sequence[float], stages: int = 2, undrawn_trials: int = 0) -> Comparison:
    """Compare candidates a, b, …, the better the earlier in the search, with further seeds from 1."""
    names = "abcdefg"[: len(further) + 1]
    trials: list[TrialSummaryView] = [
        trial(place, name, 0, {"val_loss": place / 10}) for place, name in enumerate(names, start=1)
    ]
    for name, values in zip(names, further, strict=False):
        for seed, value in enumerate(values, start=1):
            trials.append(trial(len(trials) + 1, name, seed, {"val_loss": value}, is_confirming=True))
    return compare(LOSS, trials, stages=stages, undrawn_trials=undrawn_trials)


def test_candidates_with_fewer_seeds_come_last_among_the_confirmed() -> None:
    found = confirmed([0.9, 0.8, 0.85, 0.95], [0.1, 0.12], [0.3, 0.31, 0.29, 0.3])
    assert [(one.label, one.confirming_trials, one.is_confirmed) for one in found.candidates] == [
        ("c", 4, True), ("a", 4, True), ("b", 2, True), ("d", 0, False),
    ]  # fmt: skip
    behind = found.candidates[2].against_leader
    assert behind is not None
    assert (behind.pairs, behind.is_significant) == (2, False)
    assert found.sentence.endswith(
        "These numbers are of up to 4 further seeds alone, with which the best 3 of 4 candidates were trained; "
        "1 had fewer, as significantly worse by then."
    )


def test_candidates_without_a_value_were_not_significantly_worse() -> None:
    trials = [trial(place, name, 0, {"val_loss": place / 10}) for place, name in enumerate("abc", start=1)]
    for name, values in {"a": [0.5, 0.52, 0.51, 0.5], "b": [0.5, 0.51, 0.52, 0.53], "c": [None, None]}.items():
        for seed, value in enumerate(values, start=1):
            metrics = None if value is None else {"val_loss": value}
            state = TrialState.FAILED if value is None else TrialState.COMPLETED
            trials.append(trial(len(trials) + 1, name, seed, metrics, is_confirming=True, state=state))
    found = compare(LOSS, trials, stages=2)
    assert found.sentence.endswith(
        "These numbers are of up to 4 further seeds alone, with which the best 3 of 3 candidates were trained. "
        "2 trials have no finite value, or did not complete, and are left out."
    )


def test_the_only_confirmed_candidate_was_looked_at_once() -> None:
    values = [0.30, 0.32, 0.31, 0.33]
    once, twice = [confirmed(values, stages=stages).candidates[0] for stages in (1, 2)]
    assert once.is_confirmed
    assert once.interval == twice.interval


def test_between_stages_those_of_the_search_are_compared() -> None:
    found = confirmed([0.4, 0.5], [0.1, 0.12], undrawn_trials=4)
    assert [(one.label, one.is_confirmed, len(one.values)) for one in found.candidates] == [
        ("a", False, 1), ("b", False, 1), ("c", False, 1),
    ]  # fmt: skip
    assert found.sentence.endswith(
        "Not all further seeds for the best 2 of 3 candidates have ended; then they are judged by those alone."
    )


def test_each_look_makes_the_comparison_stricter() -> None:
    leader = np.array([0.50, 0.52, 0.51, 0.50, 0.53])
    other = leader + np.array([0.01, 0.03, 0.02, 0.03, 0.01])
    widths, significant = [], []
    for stages in (1, 3, 6):
        versus = confirmed(leader.tolist(), other.tolist(), stages=stages).candidates[1].against_leader
        assert versus is not None
        assert versus.interval is not None
        widths.append(versus.interval.high - versus.interval.low)
        significant.append(versus.is_significant)
    assert widths == sorted(widths)
    assert widths[0] < widths[1] < widths[2]
    assert significant == [True, True, False]


def in_stages(values: NDArray[np.float64], stages: int) -> tuple[Comparison, int]:
    """Return the comparison of candidates with values (candidates, seeds), and the number of trials it needs."""
    seeds, going = values.shape[1], list(range(len(values)))
    drawn = dict.fromkeys(going, 0)
    for stage in range(1, stages + 1):
        for place in going:
            drawn[place] = seeds * stage // stages
        results: dict[Any, list[TrialResult]] = {
            (str(place), ()): [
                replace(RESULT, value=float(value), seed=seed)
                for seed, value in enumerate(values[place, : drawn[place]], start=1)
            ]
            for place in drawn
        }
        going = [int(name or 0) for name, _ in undecided(results, stages, 1, "minimize")]
        if len(going) == 1:
            break
    trials = [
        trial(place * seeds + seed, str(place), seed, {"val_loss": float(value)}, is_confirming=True)
        for place in drawn
        for seed, value in enumerate(values[place, : drawn[place]], start=1)
    ]
    assert all(one.state == TrialState.COMPLETED for one in trials)
    return compare(LOSS, trials, stages=stages), len(trials)


@pytest.mark.parametrize(
    ("means", "least", "most"),
    [([1.0] * 5, 147, 150), ([1.0, 1.0, 1.1, 1.2, 1.5], 100, 115), ([1.0, 1.15, 1.15, 1.3, 1.3], 70, 90)],
)
def test_stages_keep_the_promised_rates(means: list[float], least: float, most: float) -> None:
    """Five candidates, up to 30 seeds in three stages: no difference is claimed that is none, and intervals hold."""
    rng = np.random.default_rng(0)
    wrong, covered, pairs, needed, experiments = 0, 0, 0, 0, 200
    for _ in range(experiments):
        found, trials = in_stages(rng.normal(np.array(means)[:, None], 0.1, (5, 30)), stages=3)
        needed += trials
        leader, *others = found.candidates
        for other in others:
            versus, truth = other.against_leader, means[int(other.label)] - means[int(leader.label)]
            assert versus is not None
            assert versus.interval is not None
            wrong += versus.is_significant and truth <= 0
            covered += versus.interval.low <= truth <= versus.interval.high
            pairs += 1
    assert wrong / experiments <= 0.05
    assert covered / pairs >= 0.94, "the leader was chosen by the same seeds"
    assert least < needed / experiments < most
