"""Rounds of a search: drawn from results, the spec and the seed alone."""

import math
from dataclasses import replace
from typing import Any

import pytest

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import InvalidSpec
from models.planning.cohorts import form_cohorts, is_structural
from models.planning.plan import ExperimentPlan, plan_experiment
from models.planning.results import SearchResults, TrialResult, rank_candidates
from models.planning.rounds import plan_round
from models.planning.templates import templates_of
from tests.factories import DENSE_2, layers, spec

RATE, UNITS = "optimizer.learning_rate", "model.layers.0.units"
HIDDEN = {"type": "dense", "units": {"choice": [4, 8, 16, 32]}}


_ONE_RESULT = TrialResult(
    1, None, {UNITS: 4, RATE: 0.1, "optimizer.momentum": 0.5}, is_trained=True, is_pruned=False, epochs=2, value=0.5
)


def search(name: str = "gp", trials: int = 60, **changes: Any) -> ExperimentSpec:
    rate = {"log_uniform": [1e-4, 1.0]}
    base: dict[str, Any] = {
        "model": layers(HIDDEN, DENSE_2),
        "optimizer": {"name": "sgd", "learning_rate": rate, "momentum": {"uniform": [0.0, 0.99]}},
        "sampler": {"name": name, "trials": trials, "round": 20},
    }
    return spec(**(base | changes))


def loss(trial: Any) -> float:
    """Least at a rate of 0.01 and 16 units."""
    values = trial.hyperparameters
    return float((math.log10(values[RATE]) + 2) ** 2 + abs(math.log2(values.get(UNITS, 16)) - 3.9) / 4)


def results_of(plans: list[ExperimentPlan], **changes: Any) -> SearchResults:
    """Return the results of all plans, each trial trained to its end."""
    trials = []
    for number, plan in enumerate(plans, start=1):
        for trial in plan.trials:
            values = {"is_trained": True, "is_pruned": False, "epochs": 2, "value": loss(trial)} | changes
            trials.append(TrialResult(number, trial.model_name, trial.hyperparameters, **values))
    return SearchResults(trials, sum(len(plan.cohorts) for plan in plans), plans[-1].undrawn_trials)


def run(experiment: ExperimentSpec) -> list[ExperimentPlan]:
    """Draw all rounds."""
    plans = [plan_experiment(experiment)]
    while plans[-1].undrawn_trials:
        plans.append(plan_round(experiment, results_of(plans), None, BUILT_IN_DATASETS))
    return plans


@pytest.mark.parametrize("name", ["cma_es", "gp", "tpe"])
def test_rounds_come_nearer_to_the_best_values(name: str) -> None:
    plans = run(search(name))
    assert [len(plan.trials) for plan in plans] == [20, 20, 20]
    assert [plan.undrawn_trials for plan in plans] == [40, 20, 0]
    assert [trial.number for plan in plans for trial in plan.trials] == list(range(1, 61))
    numbers = [cohort.number for plan in plans for cohort in plan.cohorts]
    assert numbers == list(range(1, len(numbers) + 1))
    medians = [sorted(map(loss, plan.trials))[10] for plan in plans]
    assert medians[2] < medians[0] / 4
    assert min(map(loss, plans[2].trials)) < 0.045
    assert all(len({trial.hyperparameters[UNITS] for trial in plan.trials}) <= 7 for plan in plans[1:])
    assert run(search(name))[2] == plans[2], "equal results, spec and seed give the same round"
    other = search(name, sampler={"name": name, "trials": 60, "round": 20, "seed": 1})
    assert run(other)[2].trials[0] != plans[2].trials[0]


@pytest.mark.parametrize("kind", ["uniform", "log_uniform"])
def test_range_of_two_neighbouring_numbers(kind: str) -> None:
    rate = {kind: [0.001, math.nextafter(0.001, 1)]}
    momentum = {"choice": [number / 100 for number in range(40)]}
    plans = run(search(optimizer={"name": "sgd", "learning_rate": rate, "momentum": momentum}))
    assert sum(len(plan.trials) for plan in plans) == 60


def test_seeds_and_models_share_rounds() -> None:
    experiment = search(
        model=None,
        models={"one": layers(HIDDEN, DENSE_2), "two": layers(HIDDEN, DENSE_2)},
        sampler={"name": "gp", "trials": 15, "round": 12},
        seeds=[0, 1],
    )
    first, second = run(experiment)
    assert (len(first.trials), first.undrawn_trials, len(second.trials)) == (48, 12, 12)
    assert [(trial.model_name, trial.spec.seed) for trial in second.trials[:4]] == [("one", 0), ("one", 1)] * 2
    assert second.trials[-1].model_name == "two"
    assert second.trials[0].hyperparameters == second.trials[1].hyperparameters


@pytest.mark.parametrize("name", ["cma_es", "gp", "tpe"])
def test_every_combination_of_a_small_space_is_drawn_once(name: str) -> None:
    experiment = search(
        name,
        optimizer={"name": "sgd", "learning_rate": {"choice": [0.1, 0.01, 0.001]}},
        sampler={"name": name, "trials": 100, "round": 5},
    )
    plans = run(experiment)
    drawn = [tuple(trial.hyperparameters.values()) for plan in plans for trial in plan.trials]
    assert len(drawn) == len(set(drawn)) == 12
    assert [len(plan.trials) for plan in plans] == [5, 5, 2]
    assert "the search space has 12 combinations" in plans[0].warnings[0].detail


def test_a_round_without_a_result_ends_the_search() -> None:
    experiment = search()
    first = plan_experiment(experiment)
    ended = plan_round(experiment, results_of([first], is_trained=False, value=None), None, BUILT_IN_DATASETS)
    assert (ended.trials, ended.undrawn_trials) == ([], 0)
    assert "after round 1, of which no trial was trained" in ended.warnings[0].detail


def test_diverged_rounds_go_on() -> None:
    experiment = search()
    first = plan_experiment(experiment)
    second = plan_round(experiment, results_of([first], value=None), None, BUILT_IN_DATASETS)
    assert len(second.trials) == 20


def test_combinations_that_cannot_train_are_passed_over() -> None:
    experiment = search(
        model=layers(
            {"type": "dense", "units": {"int_uniform": [1, 8]}}, {"type": "reshape", "target_shape": [4]}, DENSE_2
        ),
        sampler={"name": "gp", "trials": 3, "round": 1},
    )
    with pytest.raises(InvalidSpec, match="cannot give"):
        plan_experiment(experiment)
    results = SearchResults([_ONE_RESULT], 1, 2)
    plan = plan_round(experiment, results, None, BUILT_IN_DATASETS)
    assert [trial.hyperparameters[UNITS] for trial in plan.trials] == [4]


def test_combinations_beyond_the_memory_are_passed_over() -> None:
    experiment = search(model=layers({"type": "dense", "units": {"choice": [4, 65_536]}}, DENSE_2))
    results = SearchResults([_ONE_RESULT], 1, 40)
    plan = plan_round(experiment, results, 5_000_000, BUILT_IN_DATASETS)
    assert {trial.hyperparameters[UNITS] for trial in plan.trials} == {4}
    assert len(plan.trials) == 20


def test_the_best_candidates_of_a_grid_are_confirmed_with_further_seeds() -> None:
    experiment = search(
        optimizer={"name": "sgd", "learning_rate": {"choice": [0.1, 0.01, 0.001]}},
        sampler={"name": "grid"},
        seeds=[0, 3],
        confirm={"top": 2, "seeds": 4},
        pruner={"name": "top_k", "k": 9},
    )
    first, second = run(experiment)
    assert (len(first.trials), first.undrawn_trials, first.is_confirming) == (24, 8, False)
    assert (len(second.trials), second.undrawn_trials, second.is_confirming) == (8, 0, True)
    assert [(trial.hyperparameters[RATE], trial.hyperparameters[UNITS]) for trial in second.trials[::4]] == [
        (0.01, 16), (0.01, 8),
    ]  # fmt: skip
    assert [trial.spec.seed for trial in second.trials] == [1, 2, 4, 5] * 2
    assert [trial.number for trial in second.trials] == list(range(25, 33))
    assert second.trials[0].label == "learning_rate=0.01, units=16, seed=1"
    assert {trial.spec.pruner for trial in second.trials} == {None}


def test_search_that_ends_early_is_confirmed_too() -> None:
    experiment = search(
        optimizer={"name": "sgd", "learning_rate": {"choice": [0.1, 0.01, 0.001]}},
        sampler={"name": "gp", "trials": 100, "round": 5},
        confirm={"top": 1, "seeds": 2},
    )
    plans = run(experiment)
    assert [(len(plan.trials), plan.is_confirming) for plan in plans] == [(5, False), (5, False), (2, False), (2, True)]
    assert [plan.undrawn_trials for plan in plans] == [9, 4, 2, 0]


def test_nothing_is_confirmed_where_nothing_was_trained() -> None:
    experiment = spec(optimizer={"name": "sgd", "learning_rate": {"choice": [0.1, 0.2]}}, confirm={"top": 1})
    first = plan_experiment(experiment)
    assert first.undrawn_trials == 10
    plan = plan_round(experiment, results_of([first], is_trained=False, value=None), None, BUILT_IN_DATASETS)
    assert (plan.trials, plan.undrawn_trials, plan.warnings[0].pointer) == ([], 0, "/confirm")


def test_fewer_candidates_than_wanted_are_confirmed_with_a_warning() -> None:
    choice = {"choice": [0.1, 0.2, 0.3, 0.4]}
    confirm = {"top": 3, "seeds": 2}
    experiment = spec(optimizer={"name": "sgd", "learning_rate": choice}, confirm=confirm)
    first = plan_experiment(experiment)
    trials = results_of([first], value=0.5).trials
    for completed, warnings in ((3, 0), (2, 1)):
        results = [replace(one, is_pruned=number >= completed) for number, one in enumerate(trials)]
        plan = plan_round(experiment, SearchResults(results, 1, first.undrawn_trials), None, BUILT_IN_DATASETS)
        assert (len(plan.trials), len(plan.warnings)) == (2 * completed, warnings)
    assert plan.warnings[0].detail.startswith("2 candidates are confirmed in place of 3")


@pytest.mark.parametrize("name", ["random", "quasi_random"])
def test_candidates_of_a_range_with_hardly_any_numbers_are_confirmed(name: str) -> None:
    rate = {"name": "sgd", "learning_rate": {"uniform": [0.001, math.nextafter(0.001, 1)]}}
    experiment = spec(optimizer=rate, sampler={"name": name, "trials": 5}, confirm={"top": 3, "seeds": 3})
    first = plan_experiment(experiment)
    assert (len(first.trials), first.undrawn_trials) == (2, 6)
    second = plan_round(experiment, results_of([first], value=0.5), None, BUILT_IN_DATASETS)
    assert (len(second.trials), second.is_confirming, second.undrawn_trials) == (6, True, 0)


def test_candidates_beyond_the_memory_are_not_confirmed() -> None:
    experiment = search(
        model=layers({"type": "dense", "units": {"choice": [4, 65_536]}}, DENSE_2),
        optimizer="sgd",
        sampler={"name": "grid"},
        confirm={"top": 1, "seeds": 2},
    )
    results = [
        TrialResult(1, None, {UNITS: units}, is_trained=True, is_pruned=False, epochs=2, value=1 / units)
        for units in (4, 65_536)
    ]
    plan = plan_round(experiment, SearchResults(results, 2, 2), 5_000_000, BUILT_IN_DATASETS)
    assert [trial.hyperparameters[UNITS] for trial in plan.trials] == [4, 4]


def test_candidates_with_all_seeds_are_confirmed_before_those_with_some() -> None:
    experiment = search(
        optimizer={"name": "sgd", "learning_rate": {"choice": [0.1, 0.01]}},
        model=layers(DENSE_2), sampler={"name": "grid"}, seeds=[0, 1], confirm={"top": 1, "seeds": 2},
    )  # fmt: skip
    results = [
        TrialResult(1, None, {RATE: rate}, is_trained=value is not None, is_pruned=False, epochs=2, value=value)
        for rate, value in ((0.1, 0.1), (0.1, None), (0.01, 0.2), (0.01, 0.05))
    ]
    plan = plan_round(experiment, SearchResults(results, 1, 2), None, BUILT_IN_DATASETS)
    assert [trial.hyperparameters[RATE] for trial in plan.trials] == [0.01, 0.01]


def test_ranks_of_candidates() -> None:
    def result(value: float | None, *, is_pruned: bool = False, epochs: int = 9) -> TrialResult:
        return TrialResult(1, None, {}, is_trained=True, is_pruned=is_pruned, epochs=epochs, value=value)

    candidates = [
        [result(0.5), result(0.7)],
        [result(0.4, is_pruned=True, epochs=1)],
        [result(0.2)],
        [result(0.9, is_pruned=True, epochs=3)],
        [result(None)],
        [result(0.6)],
        [result(0.1), result(None)],
    ]
    assert list(rank_candidates(candidates, "minimize")) == [1, 3, 0, 2, 4, 1, 4]
    assert list(rank_candidates(candidates[:3], "maximize")) == [0, 2, 1]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"optimizer": {"name": "sgd", "learning_rate": {"choice": [0.1, 0.2]}}}, "optimizer.learning_rate"),
        ({"optimizer": {"name": "sgd", "nesterov": {"choice": [True, False]}}}, "optimizer.nesterov"),
        ({"fit": {"epochs": {"choice": [2, 3]}}}, "fit.epochs"),
        ({"fit": {"epochs": 1, "batch_size": {"choice": [16, 32]}}}, "fit.batch_size"),
        ({"fit": {"epochs": 1, "shuffle": {"choice": [True, False]}}}, "fit.shuffle"),
        ({"model": layers({"type": "dropout", "rate": {"choice": [0.1, 0.2]}}, DENSE_2)}, "model.layers.0.rate"),
        ({"early_stopping": {"patience": {"choice": [1, 2]}}}, "early_stopping.patience"),
        ({"reduce_lr_on_plateau": {"patience": {"choice": [1, 2]}}}, "reduce_lr_on_plateau.patience"),
        (
            {"loss": {"name": "categorical_crossentropy", "label_smoothing": {"choice": [0.1, 0.2]}}},
            "loss.label_smoothing",
        ),
        (
            {"optimizer": {"name": "sgd", "learning_rate": {
                "schedule": "exponential_decay", "initial_learning_rate": 0.1, "decay_steps": {"choice": [5, 9]},
                "decay_rate": 0.9, "staircase": True}}},
            "optimizer.learning_rate.decay_steps",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_structural_values_are_those_that_make_cohorts_of_their_own(changes: dict[str, Any], path: str) -> None:
    experiment = spec(**changes)
    [template] = templates_of(experiment)
    [found] = template.combinations.spaces
    assert ".".join(map(str, found)) == path
    cohorts = form_cohorts(plan_experiment(experiment).trials)
    assert is_structural(template.document, found) == (len(cohorts) == 2)
