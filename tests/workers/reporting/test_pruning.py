"""Comparison of candidates at rungs."""

import math
from typing import Any

import pytest

from fittingroom.specs.search.pruners import Hyperband, MedianPruner, Pruner, SuccessiveHalving, TopKPruner
from tests.factories import document
from tests.workers.engines.trials import cohort_of, trial_specs
from workers.reporting.pruning import Ended, Rungs

RATES_OF_3 = {"name": "sgd", "learning_rate": {"choice": [0.1, 0.2, 0.3]}}


def rungs(pruner: Pruner, rates: int = 5, **changes: Any) -> Rungs:
    sweep = {"name": "sgd", "learning_rate": {"choice": [0.1 / number for number in range(1, rates + 1)]}}
    specs = trial_specs(document(optimizer=sweep, fit={"epochs": 10, "validation_split": 0.3}) | changes)
    return Rungs(pruner, cohort_of(specs).trials)


def test_rungs_of_successive_halving() -> None:
    pruner = SuccessiveHalving(name="successive_halving", min_epochs=2, reduction_factor=3)
    assert pruner.rungs(19) == [2, 6, 18]
    assert pruner.rungs(18) == [2, 6], "the last epoch is no rung"
    assert [pruner.kept(count) for count in (1, 2, 3, 4, 9, 10)] == [1, 1, 1, 2, 3, 4]
    assert TopKPruner(name="top_k", k=3).rungs(1) == []


def test_the_worse_candidates_stop_at_a_rung_and_at_no_other_epoch() -> None:
    found = rungs(SuccessiveHalving(name="successive_halving", min_epochs=2))
    reached = {"t1": 0.5, "t2": 0.3, "t3": 0.4, "t4": 0.2, "t5": None}
    assert found.pruned(1, reached, reached, {}) == set()
    assert found.pruned(2, reached, reached, {}) == {"t1", "t3", "t5"}
    assert found.pruned(6, {"t2": 0.3, "t4": 0.2}, {"t2": 0.3, "t4": 0.2}, {}) == {"t2"}


def test_candidates_of_earlier_rounds_take_places() -> None:
    specs = trial_specs(document(optimizer=RATES_OF_3, fit={"epochs": 10, "validation_split": 0.3}))
    pruner = SuccessiveHalving(name="successive_halving", min_epochs=2)
    found = Rungs(pruner, cohort_of(specs).trials, {2: [0.1, 0.3, 0.6, math.inf], 6: [0.2, 0.2]})
    reached = {"t1": 0.2, "t2": 0.4, "t3": 0.5}
    assert found.pruned(2, reached, reached, {}) == {"t2", "t3"}, "of seven, three go on: 0.1, 0.2 and 0.3"
    assert found.pruned(6, {"t1"}, {"t1": 0.2}, {}) == set(), "of equal ones, one of these"
    assert found.pruned(6, {"t1"}, {"t1": 0.21}, {}) == {"t1"}
    assert found.pruned(6, {"t1"}, {"t1": 0.19}, {}) == set(), "one that trains alone is compared as well"
    assert found.pruned(6, {"t1", "t2"}, {"t1": 0.3, "t2": 0.4}, {}) == {"t1", "t2"}, "all may stop"


def test_equal_candidates_of_all_rounds_share_the_places() -> None:
    specs = trial_specs(
        document(
            optimizer={"name": "sgd", "learning_rate": {"choice": [0.1 / number for number in range(1, 13)]}},
            fit={"epochs": 10, "validation_split": 0.3},
        )
    )
    pruner = SuccessiveHalving(name="successive_halving")
    reached: dict[str, float | None] = dict.fromkeys((f"t{number}" for number in range(1, 13)), 0.5)
    found = Rungs(pruner, cohort_of(specs).trials, {1: [0.5] * 120})
    assert len(found.pruned(1, reached, reached, {})) == 8, "a third goes on, of the earlier as of these"
    found = Rungs(pruner, cohort_of(specs).trials, {1: [0.1] * 10 + [0.5] * 14})
    assert len(found.pruned(1, reached, reached, {})) == 11, "two places are left, for 26 equal ones"
    found = Rungs(pruner, cohort_of(specs).trials, {1: [0.1] * 30 + [0.5] * 14})
    assert len(found.pruned(1, reached, reached, {})) == 12, "others are better"
    without = dict.fromkeys(reached)
    found = Rungs(pruner, cohort_of(specs).trials, {1: [math.inf] * 24})
    assert len(found.pruned(1, without, without, {})) == 8


def test_the_first_seed_decides_where_seeds_train_in_turn() -> None:
    specs = trial_specs(document(fit={"epochs": 10, "validation_split": 0.3}, seeds=[0, 1]))
    found = Rungs(TopKPruner(name="top_k", k=1, epochs=3), cohort_of(specs).trials, {3: [0.5]})
    assert found.pruned(3, {"t1"}, {"t1": 0.55}, {}) == {"t1"}
    pruned = {"t1": Ended(3, is_pruned=True)}
    assert found.pruned(3, {"t2"}, {"t1": 0.55, "t2": 0.1}, pruned) == {"t2"}
    assert found.pruned(3, {"t2"}, {"t1": 0.1, "t2": 0.9}, {"t1": Ended(10, is_pruned=False)}) == set()
    assert found.pruned(3, {"t2"}, {"t1": 0.4, "t2": 0.5}, {"t1": Ended(2, is_pruned=False)}) == set(), "the mean"
    assert found.pruned(3, {"t2"}, {"t1": 0.4, "t2": 0.7}, {"t1": Ended(2, is_pruned=False)}) == {"t2"}


def test_median_stops_candidates_worse_than_the_median_of_earlier_rounds() -> None:
    pruner = MedianPruner(name="median", min_epochs=2, interval=3, min_candidates=4)
    assert pruner.rungs(9) == [2, 5, 8]
    assert pruner.rungs(8) == [2, 5], "the last epoch is no rung"
    specs = trial_specs(document(optimizer=RATES_OF_3, fit={"epochs": 10, "validation_split": 0.3}))
    earlier = {2: [0.1, 0.3, 0.5, math.inf], 5: [0.1, 0.3, 0.5], 8: [0.2, math.inf, math.inf, math.inf]}
    found = Rungs(pruner, cohort_of(specs).trials, earlier)
    reached = {"t1": 0.4, "t2": 0.41, "t3": None}
    assert found.pruned(2, reached, reached, {}) == {"t2", "t3"}, "between 0.3 and 0.5; one that is equal goes on"
    assert found.pruned(3, reached, reached, {}) == set(), "no rung"
    assert found.pruned(5, reached, reached, {}) == set(), "three are too few"
    assert found.pruned(8, reached, reached, {}) == set(), "most before had no number either"
    assert Rungs(pruner, cohort_of(specs).trials).pruned(2, reached, reached, {}) == set(), "the first round"


def test_median_of_a_metric_that_is_maximized() -> None:
    specs = trial_specs(
        document(
            optimizer=RATES_OF_3,
            fit={"epochs": 10, "validation_split": 0.3},
            objective={"metric": "val_accuracy"},
            metrics=["accuracy"],
        )
    )
    found = Rungs(MedianPruner(name="median"), cohort_of(specs).trials, {1: [0.9, 0.8, 0.7, 0.6, -math.inf]})
    reached = {"t1": 0.7, "t2": 0.69, "t3": None}
    assert found.pruned(1, reached, reached, {}) == {"t2", "t3"}


def test_a_metric_that_is_maximized() -> None:
    found = rungs(TopKPruner(name="top_k", k=2), objective={"metric": "val_accuracy"}, metrics=["accuracy"])
    assert found.pruned(
        1,
        {"t1": 0.5, "t2": 0.3, "t3": 0.4, "t4": None, "t5": 0.2},
        {"t1": 0.5, "t2": 0.3, "t3": 0.4, "t4": None, "t5": 0.2},
        {},
    ) == {"t2", "t4", "t5"}


def test_of_equal_candidates_the_first_go_on() -> None:
    found = rungs(TopKPruner(name="top_k", k=2))
    assert found.pruned(
        1,
        {"t5": 1.0, "t4": 1.0, "t3": 1.0, "t2": 1.0, "t1": 1.0},
        {"t5": 1.0, "t4": 1.0, "t3": 1.0, "t2": 1.0, "t1": 1.0},
        {},
    ) == {"t3", "t4", "t5"}


def test_seeds_of_a_candidate_go_on_together() -> None:
    found = rungs(TopKPruner(name="top_k", k=1), rates=2, seeds=[0, 1])
    assert found.pruned(
        1, {"t1": 0.1, "t2": 0.9, "t3": 0.4, "t4": 0.5}, {"t1": 0.1, "t2": 0.9, "t3": 0.4, "t4": 0.5}, {}
    ) == {"t1", "t2"}
    assert found.pruned(
        1, {"t1": None, "t2": 0.0, "t3": 0.4, "t4": 0.5}, {"t1": None, "t2": 0.0, "t3": 0.4, "t4": 0.5}, {}
    ) == {"t1", "t2"}


@pytest.mark.parametrize("reached", [{"t1": 0.5}, {}])
def test_nothing_is_compared_with_itself(reached: dict[str, float | None]) -> None:
    assert rungs(TopKPruner(name="top_k", k=1)).pruned(1, reached, reached, {}) == set()


def test_seeds_that_ended_before_the_rung_count() -> None:
    found = rungs(TopKPruner(name="top_k", k=1, epochs=4), rates=2, seeds=[0, 1])
    going = {"t2", "t3", "t4"}
    assert found.pruned(4, going, {"t1": None, "t2": 0.3, "t3": 0.4, "t4": 0.4}, {}) == {"t2"}, "one has diverged"
    assert found.pruned(4, going, {"t1": 0.1, "t2": 0.5, "t3": 0.4, "t4": 0.4}, {}) == {"t3", "t4"}, "one stopped early"
    assert found.pruned(4, going, {"t2": 0.3, "t3": 0.4, "t4": 0.4}, {}) == {"t3", "t4"}, "one has not begun"


def test_a_trial_that_ends_at_the_rung_takes_no_place() -> None:
    found = rungs(TopKPruner(name="top_k", k=1, epochs=2), rates=3)
    assert found.pruned(2, {"t2", "t3"}, {"t1": 0.1, "t2": 0.2, "t3": 0.3}, {}) == {"t3"}


def test_brackets_of_hyperband_begin_later_and_have_fewer_candidates() -> None:
    pruner = Hyperband(name="hyperband")
    found = [tuple(rungs) for rungs in pruner.rungs_of(40, 27)]
    counts = {rungs: found.count(rungs) for rungs in dict.fromkeys(found)}
    # Weights 27/4, 9/3, 3/2 and 1/1, of 12.25.
    assert counts == {(1, 3, 9): 22, (3, 9): 10, (9,): 5, (): 3}
    assert found[:20] == [tuple(rungs) for rungs in pruner.rungs_of(20, 27)], "who is dealt to where does not change"
    assert pruner.rungs_of(3, 1) == [[], [], []]


def test_candidates_of_hyperband_are_compared_within_their_bracket() -> None:
    found = rungs(Hyperband(name="hyperband", min_epochs=2), rates=8)  # rungs at 2 and 6
    brackets = [tuple(one) for one in Hyperband(name="hyperband", min_epochs=2).rungs_of(8, 10)]
    reached: dict[str, float | None] = {f"t{number}": number / 10 for number in range(1, 9)}
    early = [f"t{number}" for number, bracket in enumerate(brackets, start=1) if bracket == (2, 6)]
    assert 3 <= len(early) < 8
    assert found.pruned(1, reached, reached, {}) == set()
    pruned = found.pruned(2, reached, reached, {})
    assert pruned == set(early[-(len(early) - -(-len(early) // 3)) :])
    left = {trial_id: value for trial_id, value in reached.items() if trial_id not in pruned}
    never = {f"t{number}" for number, bracket in enumerate(brackets, start=1) if bracket == ()}
    later = found.pruned(6, left, left, {})
    assert later
    assert not later & never
