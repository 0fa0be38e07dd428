"""Cross-validation: every candidate is trained once for each fold and seed."""

from typing import Any

import pytest

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.faults import InvalidSpec
from models.planning.cohorts import form_cohorts
from models.planning.plan import plan_experiment
from models.planning.results import SearchResults, TrialResult
from models.planning.rounds import plan_round
from models.planning.sampling import count_undrawn
from tests.factories import SWEEP, spec

THREE = {"epochs": 2, "folds": 3}


def test_folds_multiply_seeds() -> None:
    plan = plan_experiment(spec(**SWEEP, fit=THREE, seeds=[0, 1]))
    assert [(trial.spec.seed, trial.spec.fold) for trial in plan.trials] == [
        (seed, fold) for seed in (0, 1) for fold in (1, 2, 3)
    ] * 2
    assert plan.trials[4].label == "learning_rate=0.1, seed=1, fold=2"
    assert [len(cohort.trials) for cohort in form_cohorts(plan.trials)] == [4, 4, 4]
    assert spec(fit=THREE).is_validated
    assert not plan.warnings


def test_one_seed_is_not_in_the_label() -> None:
    assert [trial.label for trial in plan_experiment(spec(fit=THREE)).trials] == ["fold=1", "fold=2", "fold=3"]


def test_search_counts_combinations_and_not_their_folds() -> None:
    space = {"name": "sgd", "learning_rate": {"log_uniform": [0.001, 1]}}
    sampler = {"name": "tpe", "trials": 30, "round": 12}
    experiment = spec(optimizer=space, fit=THREE, sampler=sampler, confirm={"top": 2, "seeds": 4})
    plan = plan_experiment(experiment)
    assert len(plan.trials) == 36
    assert plan.undrawn_trials == count_undrawn(experiment, 36) == 18 * 3 + 2 * 4 * 3
    first = [
        TrialResult(1, None, trial.hyperparameters, is_trained=True, is_pruned=False, epochs=2, value=number / 36)
        for number, trial in enumerate(plan.trials)
    ]
    results = SearchResults(first, cohorts=3, undrawn_trials=plan.undrawn_trials)
    again = plan_round(experiment, results, None, BUILT_IN_DATASETS)
    assert len(again.trials) == 36
    assert again.undrawn_trials == 6 * 3 + 2 * 4 * 3
    last = SearchResults(first, cohorts=9, undrawn_trials=24)
    confirming = plan_round(experiment, last, None, BUILT_IN_DATASETS).trials
    assert [(trial.spec.seed, trial.spec.fold) for trial in confirming] == [
        (seed, fold) for seed in (1, 2, 3, 4) for fold in (1, 2, 3)
    ] * 2
    assert confirming[0].hyperparameters == plan.trials[0].hyperparameters


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"fit": {"folds": 3, "validation_split": 0.2}}, "/fit/folds"),
        ({"fit": {"folds": 5}, "dataset": {"name": "titanic", "rows": 4}}, "/fit/folds"),
        ({"fit": {"folds": 3}, "dataset": {"name": "titanic", "validation": "titanic"}}, "/dataset/validation"),
        ({"fit": THREE, "pruner": {"name": "top_k", "k": 1}}, "/pruner"),
        ({"fit": {"folds": 20}, "seeds": list(range(51))}, ""),
    ],
    ids=str,
)
def test_bad_folds_are_refused(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        plan_experiment(spec(**changes))
    assert pointer in [fault.pointer for fault in caught.value.faults]


GROUPED = BUILT_IN_DATASETS["titanic"].model_copy(update={"group": "family", "groups": 3})


@pytest.mark.parametrize(
    ("fit", "changes", "said"),
    [
        ({"folds": 3}, {}, None),
        ({"validation_split": 0.2, "test_split": 0.2}, {}, None),
        ({"folds": 4}, {}, "titanic has 3 groups in 'family'; this needs at least 4"),
        ({"folds": 3, "test_split": 0.2}, {}, "this needs at least 4"),
        ({"folds": 3}, {"dataset": {"name": "titanic", "rows": 400}}, "rows are drawn one by one"),
        ({}, {}, "no rows are split off"),
    ],
    ids=str,
)
def test_split_by_group_needs_groups_enough(fit: dict[str, Any], changes: dict[str, Any], said: str | None) -> None:
    experiment = spec(fit=fit | {"split": "group"}, **changes)
    if said is None:
        assert plan_experiment(experiment, datasets={"titanic": GROUPED}).trials
        with pytest.raises(InvalidSpec, match="titanic has no groups; upload it with group="):
            plan_experiment(experiment)
    else:
        with pytest.raises(InvalidSpec, match=said):
            plan_experiment(experiment, datasets={"titanic": GROUPED})


def test_classes_in_one_fold_are_warned_of() -> None:
    sorted_rows = BUILT_IN_DATASETS["titanic"]
    sorted_rows = sorted_rows.model_copy(update={"class_extents": [(0, 296), (297, 890)]})
    for fit, expected in ((THREE, ["/fit/folds"]), (THREE | {"split": "stratified"}, [])):
        plan = plan_experiment(spec(fit=fit), datasets={"titanic": sorted_rows})
        assert [fault.pointer for fault in plan.warnings] == expected
