"""Sampling of trials from search spaces."""

import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fittingroom.specs.faults import InvalidSpec
from models.planning.cohorts import MAX_COHORT_SIZE, form_cohorts
from models.planning.plan import plan_experiment
from models.planning.sampling import sample
from tests.factories import DENSE_2, layers, spec

RANDOM = {"name": "random", "trials": 50, "seed": 3}


def learning_rate(space: object) -> dict[str, object]:
    return {"name": "sgd", "learning_rate": space}


def test_grid_takes_every_combination_in_the_order_written() -> None:
    trials = sample(
        spec(optimizer=learning_rate({"choice": [0.1, 0.01]}), fit={"epochs": 1, "batch_size": {"choice": [16, 32]}})
    )
    assert [tuple(trial.hyperparameters.values()) for trial in trials] == [(0.1, 16), (0.1, 32), (0.01, 16), (0.01, 32)]
    assert trials[0].label == "learning_rate=0.1, batch_size=16"


def test_models_and_seeds_multiply() -> None:
    networks = {"narrow": layers(DENSE_2), "wide": layers({"type": "dense", "units": 50}, DENSE_2)}
    trials = sample(spec(model=None, models=networks, seeds=[0, 1, 2]))
    assert [(trial.model_name, trial.spec.seed) for trial in trials] == [
        (name, seed) for name in ("narrow", "wide") for seed in (0, 1, 2)
    ]
    assert trials[4].label == "wide, seed=1"


def test_int_uniform_in_the_grid_takes_both_ends() -> None:
    trials = sample(spec(model=layers({"type": "dense", "units": {"int_uniform": [3, 6]}}, DENSE_2)))
    assert [trial.hyperparameters["model.layers.0.units"] for trial in trials] == [3, 4, 5, 6]


def test_random_is_the_same_for_the_same_seed_and_differs_for_another() -> None:
    space = learning_rate({"log_uniform": [1e-4, 1.0]})
    first, again = (sample(spec(optimizer=space, sampler=RANDOM)) for _ in range(2))
    other = sample(spec(optimizer=space, sampler=RANDOM | {"seed": 4}))
    assert first == again
    assert first != other


def test_a_further_space_leaves_the_values_of_the_others_alone() -> None:
    one = sample(spec(optimizer=learning_rate({"uniform": [0.1, 0.2]}), sampler=RANDOM))
    two = sample(
        spec(optimizer={**learning_rate({"uniform": [0.1, 0.2]}), "momentum": {"uniform": [0.0, 0.9]}}, sampler=RANDOM)
    )
    key = "optimizer.learning_rate"
    assert [trial.hyperparameters[key] for trial in one] == [trial.hyperparameters[key] for trial in two]


@given(low=st.floats(1e-6, 10), width=st.floats(1e-3, 10), seed=st.integers(0, 2**32 - 1))
def test_draws_stay_within_their_range(low: float, width: float, seed: int) -> None:
    for key in ("uniform", "log_uniform"):
        trials = sample(
            spec(
                optimizer=learning_rate({key: [low, low + width]}),
                sampler={"name": "random", "trials": 5, "seed": seed},
            )
        )
        assert all(low <= trial.hyperparameters["optimizer.learning_rate"] <= low + width for trial in trials)


SAMPLERS = ("random", "quasi_random")


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(("wanted", "expected"), [(3, 3), (4, 4), (6, 6), (10, 8), (1_000, 8)])
def test_no_combination_is_drawn_twice(name: str, wanted: int, expected: int) -> None:
    optimizer = learning_rate({"choice": [0.1, 0.2, 0.3, 0.4]}) | {"momentum": {"choice": [0.0, 0.9]}}
    trials = sample(spec(optimizer=optimizer, sampler={"name": name, "trials": wanted}))
    combinations = [tuple(trial.hyperparameters.values()) for trial in trials]
    assert len(set(combinations)) == len(combinations) == expected


@pytest.mark.parametrize("name", SAMPLERS)
def test_range_of_two_numbers_has_two_trials(name: str) -> None:
    space = {"uniform": [0.1, math.nextafter(0.1, 1)]}
    trials = sample(spec(optimizer=learning_rate(space), sampler={"name": name, "trials": 500}))
    assert 1 <= len(trials) <= 2


def test_quasi_random_fills_the_space_more_evenly_than_random() -> None:
    optimizer = learning_rate({"uniform": [1e-9, 0.999]}) | {"momentum": {"uniform": [0.0, 0.999]}}
    filled = {}
    for name in SAMPLERS:
        trials = sample(spec(optimizer=optimizer, sampler={"name": name, "trials": 64, "seed": 1}))
        cells = {tuple(int(8 * value) for value in trial.hyperparameters.values()) for trial in trials}
        filled[name] = len(cells)
    assert filled["quasi_random"] > filled["random"]
    assert filled["quasi_random"] >= 56, "of 64 cells; a Sobol sequence leaves few of them empty"


def test_quasi_random_is_the_same_for_the_same_seed_and_another_for_each_network() -> None:
    space = learning_rate({"log_uniform": [1e-4, 1.0]})
    sampler = {"name": "quasi_random", "trials": 10}
    first, again = (sample(spec(optimizer=space, sampler=sampler)) for _ in range(2))
    assert first == again
    assert first != sample(spec(optimizer=space, sampler=sampler | {"seed": 1}))
    networks = {"narrow": layers(DENSE_2), "wide": layers({"type": "dense", "units": 50}, DENSE_2)}
    rates = [
        trial.hyperparameters for trial in sample(spec(model=None, models=networks, optimizer=space, sampler=sampler))
    ]
    assert not any(rate in rates[10:] for rate in rates[:10])


def test_log_uniform_takes_every_order_of_magnitude_alike() -> None:
    sampler = {"name": "random", "trials": 900}
    trials = sample(spec(optimizer=learning_rate({"log_uniform": [1e-3, 1.0]}), sampler=sampler))
    decades = [math.floor(math.log10(trial.hyperparameters["optimizer.learning_rate"])) for trial in trials]
    assert all(240 < decades.count(decade) < 360 for decade in (-3, -2, -1))


def test_too_many_trials_are_refused_before_any_is_made() -> None:
    many = {"choice": [index / 1000 + 0.001 for index in range(1000)]}
    optimizer = {"name": "adam", "learning_rate": many, "epsilon": many, "weight_decay": many}
    with pytest.raises(InvalidSpec, match="1,000,000,000 trials"):
        sample(spec(optimizer=optimizer))


def test_grid_refuses_a_range_without_end() -> None:
    with pytest.raises(InvalidSpec, match="random") as caught:
        sample(spec(optimizer=learning_rate({"uniform": [0.1, 0.2]})))
    assert caught.value.faults[0].pointer == "/optimizer/learning_rate"


def test_trials_that_differ_in_numbers_and_seed_share_a_cohort() -> None:
    cohorts = form_cohorts(sample(spec(optimizer=learning_rate({"choice": [0.1, 0.01]}), seeds=[0, 1])))
    assert [len(cohort.trials) for cohort in cohorts] == [4]


@pytest.mark.parametrize(
    "changes",
    [
        {"fit": {"epochs": 1, "batch_size": {"choice": [16, 32]}}},
        {"model": layers({"type": "dense", "units": {"choice": [3, 4]}}, DENSE_2)},
        {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": {"choice": [True, False]}}},
    ],
)
def test_trials_of_different_programs_do_not(changes: dict[str, object]) -> None:
    assert [len(cohort.trials) for cohort in form_cohorts(sample(spec(**changes)))] == [1, 1]


def test_large_cohorts_are_split() -> None:
    rates = learning_rate({"choice": [index / 1000 for index in range(1, MAX_COHORT_SIZE + 2)]})
    assert [len(cohort.trials) for cohort in form_cohorts(sample(spec(optimizer=rates)))] == [MAX_COHORT_SIZE, 1]


def test_plan_says_that_the_space_has_fewer_combinations() -> None:
    optimizer = learning_rate({"choice": [0.1, 0.2]})
    plan = plan_experiment(spec(optimizer=optimizer, sampler=RANDOM, seeds=[0, 1]))
    [warning] = [fault for fault in plan.warnings if fault.pointer == "/sampler/trials"]
    assert warning.detail == "the search space has 2 combinations; each is trained once, in place of 50"
    assert len(plan.trials) == 4
    enough = plan_experiment(spec(optimizer=learning_rate({"uniform": [0.1, 0.2]}), sampler=RANDOM))
    assert not [fault for fault in enough.warnings if fault.pointer == "/sampler/trials"]


TWO = {name: layers(DENSE_2) for name in ("a", "b")}


@pytest.mark.parametrize(
    ("pruner", "changes", "detail"),
    [
        ({"name": "top_k", "k": 1, "epochs": 9}, {}, "no trial has a rung before its last epoch"),
        ({"name": "top_k", "k": 2}, {}, "1 of 1 cohorts have nothing to prune"),
        ({"name": "successive_halving"}, {"seeds": [0, 1]}, None),
        ({"name": "top_k", "k": 1}, {"fit": {"epochs": 9, "batch_size": {"choice": [16, 32]}}}, None),
        ({"name": "top_k", "k": 2}, {"sampler": {"name": "gp", "trials": 4, "round": 2}}, None),
        ({"name": "top_k", "k": 4}, {"sampler": {"name": "gp", "trials": 4}}, "1 of 1 cohorts have nothing to prune"),
        (
            {"name": "top_k", "k": 4},
            {"sampler": {"name": "gp", "trials": 40, "round": 4}},
            "1 of 1 cohorts have nothing",
        ),
        (
            {"name": "top_k", "k": 4},
            {"sampler": {"name": "gp", "trials": 4, "round": 2}},
            "1 of 1 cohorts have nothing",
        ),
        ({"name": "median", "min_candidates": 1}, {}, "nothing is pruned: median compares with 1 or more candidates"),
        (
            {"name": "median", "min_candidates": 1},
            {"sampler": {"name": "gp", "trials": 4}},
            "nothing is pruned: median",
        ),
        ({"name": "median"}, {"sampler": {"name": "gp", "trials": 40, "round": 4}}, "nothing is pruned: median"),
        ({"name": "median", "min_candidates": 2}, {"sampler": {"name": "gp", "trials": 4, "round": 2}}, None),
        ({"name": "median", "min_candidates": 3}, {"sampler": {"name": "gp", "trials": 4, "round": 3}}, None),
        ({"name": "median", "min_candidates": 3}, {"sampler": {"name": "gp", "trials": 4, "round": 2}}, "nothing is"),
        (
            {"name": "median", "min_candidates": 3},
            {"sampler": {"name": "gp", "trials": 4, "round": 2}, "models": TWO, "model": None},
            "nothing is pruned",
        ),
        ({"name": "median"}, {"sampler": {"name": "gp", "trials": 4}, "confirm": {"top": 2}}, "nothing is pruned"),
        ({"name": "median", "min_epochs": 9}, {"sampler": {"name": "gp", "trials": 4, "round": 2}}, "no trial has a"),
    ],
)
def test_plan_says_that_a_pruner_stops_nothing(
    pruner: dict[str, object], changes: dict[str, object], detail: str | None
) -> None:
    sweep = learning_rate({"choice": [0.1, 0.2, 0.3, 0.4] if "sampler" in changes else [0.1, 0.2]})
    plan = plan_experiment(spec(**{"optimizer": sweep, "fit": {"epochs": 9}, "pruner": pruner} | changes))
    found = [fault.detail for fault in plan.warnings if fault.pointer.startswith("/pruner")]
    assert len(found) == (detail is not None)
    assert detail is None or found[0].startswith(detail)


def test_spaces_of_more_combinations_than_a_float_can_say() -> None:
    wide = [{"type": "dense", "units": {"int_uniform": [1, 65_536]}} for _ in range(80)]
    rate = {"type": "dropout", "rate": {"uniform": [0.1, 0.5]}}
    for model in (layers(*wide, DENSE_2), layers(*wide, rate, DENSE_2)):
        for name in SAMPLERS:
            assert len(sample(spec(model=model, sampler={"name": name, "trials": 3}))) == 3


def test_integers_of_a_long_range_are_counted_and_not_listed() -> None:
    decay = {"schedule": "exponential_decay", "initial_learning_rate": 0.1, "decay_rate": 0.5}
    for name in SAMPLERS:
        sweep = learning_rate(decay | {"decay_steps": {"int_uniform": [1, 10**9]}})
        tracemalloc.start()
        assert len(sample(spec(optimizer=sweep, sampler={"name": name, "trials": 3}))) == 3
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
        tracemalloc.stop()


def test_values_that_are_never_drawn_cost_nothing() -> None:
    one = {"choice": ["zeros"]}
    many = [{"type": "dense", "units": 2, "kernel_initializer": one, "bias_initializer": one} for _ in range(95)]
    sweep = learning_rate({"uniform": [0.1, math.nextafter(0.1, 1)]})
    for name in SAMPLERS:
        trials = sample(spec(model=layers(*many, DENSE_2), optimizer=sweep, sampler={"name": name, "trials": 1_000}))
        assert len(trials) <= 2


def test_seeds_of_a_candidate_are_in_one_cohort_of_a_pruned_sweep() -> None:
    sweep = learning_rate({"choice": [0.1, 0.2, 0.3, 0.4]})
    plan = plan_experiment(
        spec(optimizer=sweep, fit={"epochs": 9}, seeds=list(range(100)), pruner={"name": "top_k", "k": 1})
    )
    rates = [{trial.spec.optimizer.learning_rate for trial in cohort.trials} for cohort in plan.cohorts]
    assert rates == [{0.1, 0.2}, {0.3, 0.4}]
