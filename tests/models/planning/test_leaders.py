"""Leaders: the best candidates of an earlier experiment, as trials of a new one."""

from collections.abc import Sequence
from typing import Any

import pytest

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import InvalidSpec
from models.planning.leaders import EndedTrial, choose_leaders, plan_leaders
from models.planning.plan import ExperimentPlan
from models.planning.results import TrialResult
from tests.factories import spec

RATE = {"log_uniform": [0.001, 1.0]}
EARLIER = "exp_" + "1" * 32


def leading(space: Any = RATE, *, top: int = 2, **changes: Any) -> ExperimentSpec:
    sampler = {"name": "leaders", "experiment": EARLIER, "top": top}
    return spec(**{"optimizer": {"name": "sgd", "learning_rate": space}, "sampler": sampler} | changes)


def ended(
    rate: float, value: float | None, seed: int = 0, *, is_confirming: bool = False, **changes: Any
) -> EndedTrial:
    given = {"is_trained": True, "is_pruned": False, "epochs": 2, "value": value} | changes
    values = {"optimizer.learning_rate": rate} | given.pop("hyperparameters", {})
    given |= {"seed": seed, "is_confirming": is_confirming}
    result = TrialResult(1, given.pop("model_name", None), values, **given)
    return EndedTrial(f"trl_{rate}_{seed}", result)


def rates(experiment: ExperimentSpec, trials: Sequence[EndedTrial], direction: Any = "minimize") -> list[Any]:
    return [next(iter(leader.values.values())) for leader in choose_leaders(experiment, trials, direction).chosen]


def planned(experiment: ExperimentSpec, trials: Sequence[EndedTrial]) -> ExperimentPlan:
    return plan_leaders(experiment, choose_leaders(experiment, trials, "minimize"), None, BUILT_IN_DATASETS)


FOUR = [ended(0.1, 0.5), ended(0.2, 0.3), ended(0.3, 0.4), ended(0.4, None)]


def test_leaders_are_the_best_by_the_mean_of_their_seeds() -> None:
    assert rates(leading(), FOUR) == [0.2, 0.3]
    assert rates(leading(), FOUR, "maximize") == [0.1, 0.3]
    lucky = [ended(0.1, 0.1, 0), ended(0.1, 0.9, 1), ended(0.2, 0.3, 0), ended(0.2, 0.3, 1)]
    assert rates(leading(), lucky) == [0.2, 0.1]
    assert rates(leading(), [*lucky, ended(0.3, 0.0, 0)]) == [0.2, 0.1], "one of its seeds is missing"


def test_candidates_with_fewer_further_seeds_come_after_those_that_went_on() -> None:
    searched = [ended(rate, rate) for rate in (0.1, 0.2, 0.3, 0.4)]
    losses = {0.1: [0.90, 0.91], 0.2: [0.51, 0.50, 0.52, 0.51], 0.3: [0.42, 0.40], 0.4: [0.3, 0.6, 0.6, 0.6]}
    further = [
        ended(rate, loss, seed, is_confirming=True)
        for rate in losses
        for seed, loss in enumerate(losses[rate], start=1)
    ]
    assert rates(leading(top=4), [*searched, *further]) == [0.2, 0.4, 0.3, 0.1]
    failed = [ended(0.2, None, 9, is_confirming=True, is_trained=False), *(ended(0.4, 0.9, 9, is_confirming=True),)]
    assert rates(leading(top=4), [*searched, *further, *failed]) == [0.4, 0.2, 0.3, 0.1], "without one of its seeds"


def test_leaders_are_completed_candidates() -> None:
    others = [ended(0.5, 0.1, is_pruned=True), ended(0.6, 0.1, is_trained=False), *FOUR]
    assert rates(leading(top=9), others) == [0.2, 0.3, 0.1]
    assert planned(leading(top=9), others).warnings[-1].detail == (
        "the experiment has 3 candidates that can be trained here, in place of 9"
    )


def test_confirmed_leaders_come_first_by_their_further_seeds() -> None:
    further = [ended(0.1, 0.35, 1, is_confirming=True), ended(0.3, 0.45, 1, is_confirming=True)]
    assert rates(leading(top=3), [*FOUR, *further]) == [0.1, 0.3, 0.2]


def test_leaders_train_with_the_seeds_and_folds_of_the_new_experiment() -> None:
    plan = planned(leading(seeds=[3, 4], fit={"epochs": 9, "folds": 2}), FOUR)
    found = [(one.hyperparameters["optimizer.learning_rate"], one.spec.seed, one.spec.fold) for one in plan.trials]
    assert found == [(rate, seed, fold) for rate in (0.2, 0.3) for seed in (3, 4) for fold in (1, 2)]
    assert {one.spec.fit.epochs for one in plan.trials} == {9}
    assert [one.number for one in plan.trials] == [*range(1, 9)]


def test_leaders_are_not_confirmed() -> None:
    """The further seeds could be those by which they were chosen."""
    with pytest.raises(InvalidSpec, match="give other seeds") as caught:
        planned(leading(confirm={"top": 2, "seeds": 3}), FOUR)
    assert caught.value.faults[0].pointer == "/confirm"


def test_value_fixed_in_the_new_experiment_is_no_part_of_a_candidate() -> None:
    both = [ended(0.1, 0.2, hyperparameters={"fit.epochs": 5}), ended(0.1, 0.3, hyperparameters={"fit.epochs": 9})]
    assert rates(leading(), [*FOUR, *both]) == [0.1, 0.2], "one candidate here, by the better of two there"


def test_values_outside_the_spaces_are_passed_over() -> None:
    assert rates(leading({"choice": [0.3, 0.1]}), FOUR) == [0.3, 0.1]


def test_leaders_are_chosen_among_networks_by_name() -> None:
    networks = {"wide": spec().model, "deep": spec().model}
    experiment = leading(0.1, top=1, models=networks, model=None)
    trials = [ended(0.1, value, model_name=name, hyperparameters={}) for name, value in (("wide", 0.4), ("deep", 0.3))]
    [trial] = planned(experiment, trials).trials
    assert trial.model_name == "deep"


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        ([], "none of its trials was trained to its end without"),
        ([ended(0.1, None)], "none of its trials was trained to its end without"),
        ([ended(5.0, 0.1)], "not within the search spaces"),
        ([ended(0.1, 0.1, model_name="wide")], "networks have other names"),
    ],
    ids=["none", "diverged", "outside", "other network"],
)
def test_an_experiment_without_leaders_is_refused_with_the_reason(trials: list[EndedTrial], reason: str) -> None:
    with pytest.raises(InvalidSpec, match=reason) as caught:
        choose_leaders(leading(), trials, "minimize")
    assert caught.value.faults[0].pointer == "/sampler/experiment"


def test_leaders_chosen_by_the_same_seeds_count_all_candidates_of_the_choice() -> None:
    trials = [*FOUR, ended(0.5, 0.1, is_pruned=True)]
    assert choose_leaders(leading(), trials, "minimize").among == 5
    assert choose_leaders(leading(seeds=[7]), trials, "minimize").among == 0
    assert choose_leaders(leading(), trials, "minimize", chosen_among=30).among == 30
    assert planned(leading(), trials).chosen_among == 5


def test_too_many_leaders_are_refused() -> None:
    trials = [ended(number / 1000, number) for number in range(1, 52)]
    with pytest.raises(InvalidSpec, match="51 candidates make 1,020 trials") as caught:
        planned(leading(top=51, seeds=[*range(20)]), trials)
    assert caught.value.faults[0].pointer == "/sampler/top"
