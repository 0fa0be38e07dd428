"""Searches that begin with the results of earlier experiments."""

import math
from typing import Any

import pytest

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.faults import InvalidSpec
from models.planning.plan import ExperimentPlan, plan_experiment, with_content
from models.planning.prior import EarlierTrial
from models.planning.results import SearchResults, TrialResult
from models.planning.rounds import plan_round, plan_search
from models.planning.templates import templates_of
from tests.factories import DENSE_2, layers, spec

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


def earlier(rate: Any, experiment: Any = None, **changes: Any) -> EarlierTrial:
    """Return a trial of an earlier experiment that was the same but for its search."""
    [template] = templates_of(with_content(experiment or search(), BUILT_IN_DATASETS))
    [path] = template.combinations.spaces
    trial = template.trial(1, {path: rate}, (7, None), is_repeated=False)
    return EarlierTrial(result(rate, **changes), trial.spec.model_dump(mode="json"))


EARLIER = [earlier(10 ** -(number / 5)) for number in range(26)]


def planned(experiment: Any, *trials: list[EarlierTrial]) -> ExperimentPlan:
    return plan_search(experiment, trials, None, BUILT_IN_DATASETS)


@pytest.mark.parametrize("name", ["cma_es", "gp", "tpe"])
def test_first_round_is_drawn_from_earlier_results(name: str) -> None:
    without = rates(plan_experiment(search(name=name)))
    plan = planned(search(name=name), EARLIER)
    assert len(plan.trials) == 6
    assert plan.undrawn_trials == 6
    assert sum(map(loss_of, rates(plan))) < sum(map(loss_of, without)) / 2
    assert not set(rates(plan)) & {value for one in EARLIER for value in one.result.hyperparameters.values()}
    assert plan.warnings[-1].detail == "the search begins with 26 candidates of earlier experiments"
    assert rates(planned(search(name=name), EARLIER[:9], EARLIER[9:])) == rates(plan), "the same again"


def test_later_rounds_know_earlier_results_too() -> None:
    plan = planned(search(), EARLIER)
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
    ],
    ids=str,
)
def test_results_outside_the_space_are_left_out(space: Any, held: int) -> None:
    plan = planned(search(space), EARLIER)
    assert len(plan.prior) == held
    assert plan.warnings[-1].detail == (
        f"the search begins with {held} candidates of earlier experiments; {held} of 26 trials that were trained there "
        "count"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"optimizer": {"name": "sgd", "learning_rate": {"uniform": [2.0, 3.0]}}}, "hyperparameters are others, or"),
        ({"fit": {"epochs": 3, "validation_split": 0.3}}, "has another fit"),
        ({"loss": "mse"}, "has another loss"),
        ({"dataset": "titanic"}, "has another dataset"),
        ({"objective": {"metric": "val_accuracy"}}, "has another objective"),
        ({"optimizer": {"name": "adam", "learning_rate": RATE}}, "has another optimizer"),
        ({"model": layers(DENSE_2)}, "has another model"),
        ({"model": None, "models": {"wide": layers(DENSE_2)}}, "networks have other names"),
    ],
    ids=str,
)
def test_results_of_other_settings_are_refused(changes: dict[str, Any], reason: str) -> None:
    sampler = {"name": "gp", "trials": 12, "round": 6}
    other = spec(**{"optimizer": {"name": "sgd", "learning_rate": RATE}, "sampler": sampler} | changes)
    with pytest.raises(InvalidSpec, match=reason) as caught:
        planned(other, EARLIER)
    assert caught.value.faults[0].pointer == "/sampler/prior/0"


def test_experiment_without_a_trained_trial_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="none of its trials was completed") as caught:
        planned(search(), EARLIER, [])
    assert [fault.pointer for fault in caught.value.faults] == ["/sampler/prior/1"]


def test_candidates_with_some_of_the_seeds_are_left_out() -> None:
    twice = [earlier(rate) for rate in (0.1, 0.2, 0.3)] * 2
    assert {one.hyperparameters["optimizer.learning_rate"] for one in planned(search(), twice[:5]).prior} == {0.1, 0.2}


def test_trials_of_a_version_without_a_field_count() -> None:
    old = [
        EarlierTrial(
            one.result, {key: value for key, value in one.document.items() if key not in {"fold", "precision"}}
        )
        for one in EARLIER
    ]
    assert len(planned(search(), old).prior) == 26


def test_search_without_a_combination_left_is_refused() -> None:
    trained = [earlier(rate) for rate in (0.1, 0.2)]
    with pytest.raises(InvalidSpec, match="all combinations"):
        planned(search({"choice": [0.1, 0.2]}), trained)
    plan = planned(search({"choice": [0.1, 0.2, 0.3]}), trained)
    assert [trial.hyperparameters for trial in plan.trials] == [{"optimizer.learning_rate": 0.3}]
    assert plan.undrawn_trials == 0


def test_candidates_to_confirm_are_counted_without_those_known() -> None:
    """Six of twelve are known: six are left to draw, by rounds of three, and those are confirmed."""
    choices = [number / 20 for number in range(1, 13)]
    experiment = spec(
        optimizer={"name": "sgd", "learning_rate": {"choice": choices}},
        sampler={"name": "gp", "trials": 10, "round": 3}, confirm={"top": 8, "seeds": 2},
    )  # fmt: skip
    plan = planned(experiment, [earlier(rate, experiment) for rate in choices[:6]])
    assert (len(plan.trials), plan.undrawn_trials) == (3, 3 + 6 * 2)
    trained = [result(rate) for rate in rates(plan)]
    again = plan_round(experiment, SearchResults(trained, 1, plan.undrawn_trials, plan.prior), None, BUILT_IN_DATASETS)
    assert (len(again.trials), again.is_confirming, again.undrawn_trials) == (3, False, 12)
    alone = spec(
        optimizer={"name": "sgd", "learning_rate": {"choice": [0.1, 0.2, 0.3]}},
        sampler={"name": "gp", "trials": 10}, confirm={"top": 5, "seeds": 2},
    )  # fmt: skip
    left = planned(alone, [earlier(rate, alone) for rate in (0.1, 0.2)])
    assert [rates(left), left.undrawn_trials] == [[0.3], 2]
