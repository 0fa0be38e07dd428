"""Searches that begin with the results of earlier experiments."""

import math
from typing import Any

import pytest

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.faults import InvalidSpec
from models.planning.plan import ExperimentPlan, plan_experiment
from models.planning.results import SearchResults, TrialResult
from models.planning.rounds import plan_round, plan_search
from tests.factories import spec

RATE = {"log_uniform": [1e-5, 1.0]}


def search(space: Any = RATE, name: str = "gp", **sampler: Any) -> Any:
    sampler = {"name": name, "trials": 12, "round": 6} | sampler
    return spec(optimizer={"name": "sgd", "learning_rate": space}, sampler=sampler)


def loss_of(rate: float) -> float:
    return abs(math.log10(rate) + 2)


def result(rate: Any, **changes: Any) -> TrialResult:
    given = {"is_trained": True, "is_pruned": False, "epochs": 2, "value": loss_of(rate)} | changes
    return TrialResult(1, None, {"optimizer.learning_rate": rate}, **given)


def rates(plan: ExperimentPlan) -> list[float]:
    return [float(trial.hyperparameters["optimizer.learning_rate"]) for trial in plan.trials]


EARLIER = [result(10 ** -(number / 5)) for number in range(26)]


@pytest.mark.parametrize("name", ["gp", "tpe"])
def test_first_round_is_drawn_from_earlier_results(name: str) -> None:
    without = rates(plan_experiment(search(name=name)))
    plan = plan_search(search(name=name), EARLIER, None, BUILT_IN_DATASETS)
    assert len(plan.trials) == 6
    assert plan.undrawn_trials == 6
    assert sum(map(loss_of, rates(plan))) < sum(map(loss_of, without)) / 2
    assert not set(rates(plan)) & {value for one in EARLIER for value in one.hyperparameters.values()}
    assert plan.warnings[-1].detail == "the search begins with 26 candidates of earlier experiments"
    assert rates(plan_search(search(name=name), EARLIER, None, BUILT_IN_DATASETS)) == rates(plan), "the same again"


def test_later_rounds_know_earlier_results_too() -> None:
    plan = plan_search(search(), EARLIER, None, BUILT_IN_DATASETS)
    mine = [result(rate) for rate in rates(plan)]
    found = SearchResults(mine, 1, plan.undrawn_trials, plan.prior)
    again = plan_round(search(), found, None, BUILT_IN_DATASETS)
    assert again.trials[0].number == 7
    assert again.undrawn_trials == 0
    assert sum(map(loss_of, rates(again))) / 6 < 0.5


@pytest.mark.parametrize(
    ("space", "held"),
    [
        ({"log_uniform": [1e-3, 1e-1]}, 11),
        ({"choice": [1.0, 0.1, 0.02, 0.05]}, 2),
        ({"uniform": [0.1, 1.0], "step": 0.1}, 2),
        ({"uniform": [2.0, 3.0]}, 0),
    ],
    ids=str,
)
def test_results_outside_the_space_are_left_out(space: Any, held: int) -> None:
    plan = plan_search(search(space), EARLIER, None, BUILT_IN_DATASETS)
    assert len(plan.prior) == held
    assert plan.warnings[-1].detail.startswith(f"the search begins with {held} candidates of earlier experiments; ")


def test_results_of_other_hyperparameters_are_left_out() -> None:
    other = TrialResult(1, None, {"optimizer.learning_rate": 0.1, "fit.batch_size": 32}, True, False, 2, 0.1)  # noqa: FBT003
    named = TrialResult(1, "wide", {"optimizer.learning_rate": 0.1}, True, False, 2, 0.1)  # noqa: FBT003
    assert plan_search(search(), [other, named], None, BUILT_IN_DATASETS).prior == []


def test_search_with_nothing_left_is_refused() -> None:
    earlier = [result(rate) for rate in (0.1, 0.2)]
    with pytest.raises(InvalidSpec, match="all combinations"):
        plan_search(search({"choice": [0.1, 0.2]}), earlier, None, BUILT_IN_DATASETS)
    [left] = plan_search(search({"choice": [0.1, 0.2, 0.3]}), earlier, None, BUILT_IN_DATASETS).trials
    assert left.hyperparameters == {"optimizer.learning_rate": 0.3}
