"""Further seeds for the best candidates, in stages."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.search.samplers import Confirm
from models.planning.confirmation import undecided
from models.planning.plan import ExperimentPlan, plan_experiment
from models.planning.results import SearchResults, TrialResult
from models.planning.rounds import plan_round
from tests.factories import spec

RATE = "optimizer.learning_rate"
SEARCHED = {"is_trained": True, "is_pruned": False, "epochs": 2}


def further(hyperparameters: dict[str, Any], value: float | None, seed: int, **changes: Any) -> TrialResult:
    """Return a trial with a further seed."""
    given = SEARCHED | {"value": value, "seed": seed, "is_confirming": True} | changes
    return TrialResult(2, None, hyperparameters, **given)


def confirmed(rates: Sequence[float] = (0.1, 0.2, 0.3, 0.4), **confirm: int) -> ExperimentSpec:
    return spec(optimizer={"name": "sgd", "learning_rate": {"choice": list(rates)}}, confirm=confirm)


def stages_of(experiment: ExperimentSpec, loss: Mapping[float, float], **changes: Any) -> list[ExperimentPlan]:
    """Plan all stages, where a rate has about a loss with each seed."""
    plans, results = [plan_experiment(experiment)], list[TrialResult]()
    while plans[-1].trials and plans[-1].undrawn_trials:
        for trial in plans[-1].trials:
            seed, rate = trial.spec.seed, trial.hyperparameters[RATE]
            noise = np.random.default_rng([seed, int(10 * float(rate))]).normal(0.0, 0.02)
            given = {"value": loss[float(rate)] + float(noise)} | SEARCHED | changes
            is_confirming = plans[-1].is_confirming
            results.append(TrialResult(len(plans), None, {RATE: rate}, **given, seed=seed, is_confirming=is_confirming))
        found = SearchResults(results, len(plans), plans[-1].undrawn_trials)
        plans.append(plan_round(experiment, found, None, BUILT_IN_DATASETS))
    return plans


def test_stages_divide_the_seeds() -> None:
    assert [Confirm(seeds=5, stages=2).seeds_after(stage) for stage in (0, 1, 2)] == [0, 3, 5]
    assert [Confirm(seeds=10, stages=3).seeds_after(stage) for stage in (1, 2, 3)] == [4, 7, 10]
    assert Confirm(seeds=10).seeds_after(1) == 10


def test_the_worse_candidates_have_no_seed_of_the_second_stage() -> None:
    loss = {0.1: 0.48, 0.2: 0.5, 0.3: 0.8, 0.4: 0.9}
    search, first, second = stages_of(confirmed(top=3, seeds=9, stages=2), loss)
    assert (search.undrawn_trials, first.undrawn_trials, second.undrawn_trials) == (27, 12, 0)
    assert [trial.hyperparameters[RATE] for trial in first.trials] == [0.1] * 5 + [0.2] * 5 + [0.3] * 5
    assert [trial.spec.seed for trial in first.trials] == [1, 2, 3, 4, 5] * 3
    assert [trial.hyperparameters[RATE] for trial in second.trials] == [0.1] * 4 + [0.2] * 4
    assert [trial.spec.seed for trial in second.trials] == [6, 7, 8, 9] * 2
    assert [trial.number for trial in (*first.trials, *second.trials)] == list(range(5, 28))
    assert [cohort.number for cohort in second.cohorts] == [3]
    assert first.is_confirming
    assert second.is_confirming
    assert not [*first.warnings, *second.warnings]


def test_the_only_candidate_that_is_left_needs_no_more_seeds() -> None:
    plans = stages_of(confirmed(top=3, seeds=6, stages=3), {0.1: 0.9, 0.2: 0.5, 0.3: 0.8, 0.4: 0.8})
    assert [(len(plan.trials), plan.undrawn_trials) for plan in plans[1:3]] == [(6, 12), (6, 6)], (
        "two seeds show little"
    )
    assert [(len(plan.trials), plan.undrawn_trials, plan.warnings) for plan in plans[3:]] == [(0, 0, [])]


def test_the_only_candidate_there_is_has_all_seeds_at_once() -> None:
    search, first = stages_of(confirmed([0.1], top=3, seeds=6, stages=2), {0.1: 0.5})
    assert (search.undrawn_trials, len(first.trials), first.undrawn_trials) == (6, 6, 0)


def test_later_stages_ask_for_no_memory() -> None:
    """Whichever worker plans it: others have trained these candidates."""
    experiment = confirmed(top=2, seeds=4, stages=2)
    searched = [TrialResult(1, None, {RATE: rate}, value=rate, **SEARCHED) for rate in (0.1, 0.2)]
    first = [further({RATE: rate}, 0.5 + seed / 100, seed) for rate in (0.1, 0.2) for seed in (1, 2)]
    plan = plan_round(experiment, SearchResults([*searched, *first], 2, 4), 1, BUILT_IN_DATASETS)
    assert len(plan.trials) == 4
    none = plan_round(experiment, SearchResults(searched, 1, 8), 1, BUILT_IN_DATASETS)
    assert (none.trials, [one.pointer for one in none.warnings]) == ([], ["/confirm"])


def test_stages_end_where_none_of_the_further_seeds_was_trained() -> None:
    experiment = confirmed(top=2, seeds=4, stages=2)
    searched = [TrialResult(1, None, {RATE: rate}, value=rate, **SEARCHED) for rate in (0.1, 0.2)]
    failed = [further({RATE: rate}, None, seed, is_trained=False, epochs=0) for rate in (0.1, 0.2) for seed in (1, 2)]
    plan = plan_round(experiment, SearchResults([*searched, *failed], 2, 4), None, BUILT_IN_DATASETS)
    assert (plan.trials, plan.undrawn_trials, plan.is_confirming) == ([], 0, True)


def trials(values: Sequence[float | str | None], *, are_folds: bool) -> list[TrialResult]:
    """Return the trials of a candidate: with seeds 1, 2, …, or with folds 1, 2, …; without a value one failed."""
    return [
        further(
            {},
            value if isinstance(value, float) else None,
            seed=1 if are_folds else number,
            fold=number if are_folds else None,
            is_trained=value is not None,
        )
        for number, value in enumerate(values, start=1)
    ]


def going(
    *candidates: Sequence[float | str | None], stages: int = 2, folds: int = 1, direction: Any = "minimize"
) -> str:
    named = {
        (name, ()): trials(values, are_folds=folds > 1) for name, values in zip("abcdefg", candidates, strict=False)
    }
    return "".join(name or "" for name, _ in undecided(named, stages, folds, direction))


def test_candidates_that_may_be_the_best_go_on() -> None:
    good, bad = [0.10, 0.12, 0.11, 0.13], [0.50, 0.54, 0.52, 0.53]
    assert going(bad, good) == "b"
    assert going(bad, good, direction="maximize") == "a"
    assert going(good, good) == "ab", "without a difference both"
    assert going([0.5, 0.75, 1.0, 0.25], [0.25, 0.5, 0.75, 0.0]) == "ab", "nor is there a test without spread"
    assert going(good, [None] * 4) == "a", "all of it failed"
    assert going(good, ["NaN"] * 4) == "a", "all of it diverged"
    assert going([None] * 4, ["NaN"] * 4) == ""
    assert going([0.09, None, None, None], good) == "ab", "one seed leads nobody"
    assert going([0.5, 0.54, 0.52], [0.1, 0.12, 0.11], good) == "c", "those with fewer trials were decided before"


def test_levels_are_of_all_pairs_and_all_looks() -> None:
    leader = np.array([0.50, 0.52, 0.51, 0.50, 0.53])
    other = leader + np.array([0.01, 0.03, 0.02, 0.03, 0.01])
    p_value = float(stats.ttest_rel(leader, other).pvalue)
    assert 0.05 / 6 < p_value < 0.05 / 3
    assert going(leader.tolist(), other.tolist(), stages=3) == "a"
    assert going(leader.tolist(), other.tolist(), stages=6) == "ab"
    assert going(leader.tolist(), other.tolist(), leader.tolist(), stages=1) == "ac"
    assert going(leader.tolist(), other.tolist(), leader.tolist(), stages=2) == "abc"


def test_folds_are_judged_more_carefully_than_seeds() -> None:
    leader, other = [0.50, 0.52, 0.51, 0.50, 0.53], [0.51, 0.55, 0.53, 0.53, 0.54]
    assert going(leader, other, stages=3) == "a"
    assert going(leader, other, stages=3, folds=5) == "ab"


@pytest.mark.parametrize(
    ("confirm", "says"),
    [
        (
            {"seeds": 5, "stages": 3},
            "3 stages with 5 seeds: each stage needs two seeds at least; use fewer stages, or 6",
        ),
        ({"top": 1, "stages": 2}, "2 stages with one candidate: after a stage candidates are compared"),
    ],
)
def test_stages_that_compare_nothing(confirm: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Confirm(**confirm)
