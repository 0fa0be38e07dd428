"""Search spaces within options of a choice, layers that are repeated, and values taken from elsewhere."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from models.planning.cohorts import form_cohorts, is_structural
from models.planning.combinations import UNCOUNTED
from models.planning.plan import plan_experiment
from models.planning.results import TrialResult
from models.planning.rounds import propose_values
from models.planning.sampling import sample
from models.planning.surrogates.cube import Cube
from models.planning.templates import templates_of
from tests.factories import DENSE_2, layers, spec

DENSE = {"type": "dense", "units": 4}
ADAM_OR_SGD = {
    "choice": [
        {"name": "adam", "learning_rate": {"choice": [0.1, 0.2, 0.3]}},
        {"name": "sgd", "learning_rate": {"choice": [1.0, 2.0]}, "momentum": {"choice": [0.0, 0.9]}},
        "rmsprop",
    ]
}
BLOCKS = layers(
    {"choice": [[], [DENSE, {"type": "dropout", "rate": {"choice": [0.1, 0.2]}}], {"type": "batch_normalization"}]},
    DENSE_2,
)
DEEP = layers({"repeat": [{"type": "dense", "units": {"choice": [4, 8]}}], "times": {"int_uniform": [1, 3]}}, DENSE_2)
CONDITIONAL: dict[str, dict[str, Any]] = {
    "optimizers": {"optimizer": ADAM_OR_SGD},
    "blocks": {"model": BLOCKS},
    "depth": {"model": DEEP},
    "all": {"optimizer": ADAM_OR_SGD, "model": {"layers": [*BLOCKS["layers"][:1], *DEEP["layers"]]}},
}


def types(trial: Any) -> list[str]:
    return [layer.type for layer in trial.spec.model.layers]


def test_spaces_of_an_option_count_for_its_own_trials() -> None:
    trials = sample(spec(optimizer=ADAM_OR_SGD))
    assert [trial.hyperparameters for trial in trials] == [
        *({"optimizer": "adam", "optimizer.learning_rate": rate} for rate in (0.1, 0.2, 0.3)),
        *(
            {"optimizer": "sgd", "optimizer.learning_rate": rate, "optimizer.momentum": momentum}
            for rate in (1.0, 2.0)
            for momentum in (0.0, 0.9)
        ),
        {"optimizer": "rmsprop"},
    ]
    assert trials[4].label == "optimizer=sgd, learning_rate=1, momentum=0.9"
    assert [trial.spec.optimizer.name for trial in trials] == ["adam"] * 3 + ["sgd"] * 4 + ["rmsprop"]


def test_blocks_take_their_place_among_the_layers() -> None:
    trials = sample(spec(model=BLOCKS))
    assert [types(trial) for trial in trials] == [
        ["dense"], ["dense", "dropout", "dense"], ["dense", "dropout", "dense"], ["batch_normalization", "dense"],
    ]  # fmt: skip
    assert [trial.hyperparameters for trial in trials] == [
        {"model.layers.0": "none"},
        {"model.layers.0": "dense+dropout", "model.layers.0.1.rate": 0.1},
        {"model.layers.0": "dense+dropout", "model.layers.0.1.rate": 0.2},
        {"model.layers.0": "batch_normalization"},
    ]


def test_repeated_layers_share_their_values() -> None:
    trials = sample(spec(model=DEEP))
    assert [[layer.units for layer in trial.spec.model.layers] for trial in trials] == [
        [units] * times + [2] for units in (4, 8) for times in (1, 2, 3)
    ]
    assert trials[-1].hyperparameters == {"model.layers.0.repeat.0.units": 8, "model.layers.0.times": 3}


def test_same_as_takes_the_value_of_another_space() -> None:
    other = {"type": "dense", "units": {"same_as": "/model/layers/0/units"}}
    model = layers({"type": "dense", "units": {"choice": [4, 8]}}, other, DENSE_2)
    assert [[layer.units for layer in trial.spec.model.layers] for trial in sample(spec(model=model))] == [
        [4, 4, 2], [8, 8, 2],
    ]  # fmt: skip
    named = other | {"units": {"same_as": "/models/wide/layers/0/units"}}
    models = {"wide": layers(model["layers"][0], named, DENSE_2), "plain": layers(DENSE_2)}
    trials = sample(spec(model=None, models=models))
    assert [trial.hyperparameters for trial in trials] == [{"model.layers.0.units": 4}, {"model.layers.0.units": 8}, {}]


def test_schedules_losses_and_initializers_are_options_too() -> None:
    schedule = {"schedule": "cosine_decay", "initial_learning_rate": {"choice": [0.1, 0.2]}, "decay_steps": 10}
    initializer = {"name": "random_normal", "stddev": {"choice": [0.1, 0.2]}}
    trials = sample(
        spec(
            optimizer={"name": "sgd", "learning_rate": {"choice": [0.01, schedule]}},
            loss={"choice": ["mse", {"name": "huber", "delta": {"choice": [1.0, 2.0]}}]},
            model=layers(DENSE_2 | {"kernel_initializer": {"choice": ["zeros", initializer]}}),
            objective={"metric": "val_accuracy"},
        )
    )
    assert len(trials) == 27
    assert trials[-1].hyperparameters == {
        "optimizer.learning_rate": "cosine_decay",
        "optimizer.learning_rate.initial_learning_rate": 0.2,
        "loss": "huber",
        "loss.delta": 2.0,
        "model.layers.0.kernel_initializer": "random_normal",
        "model.layers.0.kernel_initializer.stddev": 0.2,
    }


def test_options_of_one_kind_are_numbered() -> None:
    optimizers = [{"name": "sgd", "learning_rate": rate} for rate in (0.1, 0.2)]
    trials = sample(spec(optimizer={"choice": ["adam", *optimizers]}))
    assert [trial.hyperparameters["optimizer"] for trial in trials] == ["adam", "sgd", "sgd 2"]


def test_named_layers_are_labelled_by_name() -> None:
    wide = DENSE | {"units": 8, "name": "wide"}
    trials = sample(spec(model=layers({"choice": [DENSE, wide, [DENSE | {"units": 16}], [wide, DENSE]]}, DENSE_2)))
    found = [trial.hyperparameters["model.layers.0"] for trial in trials]
    assert found == ["dense", "wide", "dense 2", "wide+dense"]


def test_class_may_be_called_like_a_search_space() -> None:
    names = ["same_as", "int_log_uniform"]
    titanic = BUILT_IN_DATASETS["titanic"].model_copy(update={"class_names": names})
    experiment = spec(fit={"epochs": 1, "class_weight": dict.fromkeys(names, 2.0)})
    assert len(plan_experiment(experiment, datasets={"titanic": titanic}).trials) == 1


def test_labels_have_the_last_word_of_a_name() -> None:
    optimizer = {"name": "adam", "beta_1": {"choice": [0.8, 0.9]}}
    assert sample(spec(optimizer=optimizer))[0].label == "beta_1=0.8"
    assert sample(spec(model=layers({"choice": [[], DENSE]}, DENSE_2)))[1].label == "layers.0=dense"


def test_one_loss_in_a_choice_is_compared_by_itself() -> None:
    assert len(plan_experiment(spec(loss={"choice": ["mse"]})).trials) == 1


@pytest.mark.parametrize("changes", CONDITIONAL.values(), ids=CONDITIONAL)
def test_counts_agree_with_lists_and_points_with_both(changes: dict[str, Any]) -> None:
    [template] = templates_of(spec(**changes))
    combinations = template.combinations
    listed = list(combinations.every_one())
    keys = {combinations.key(values) for values in listed}
    assert len(listed) == len(keys) == combinations.count
    rng = np.random.default_rng(0)
    drawn = {combinations.key(combinations.at(point)) for point in rng.random((3_000, len(combinations.spaces)))}
    assert drawn == keys
    for values in listed:
        key = combinations.key(values)
        assert combinations.of_key(key) == values
        assert combinations.at(combinations.point(key)) == values
        named = template.trial(1, values, (0, None), is_repeated=False).hyperparameters
        assert combinations.of_names(named) == values


def test_a_count_beyond_every_float_is_exact() -> None:
    block = [{"type": "dense", "units": {"int_uniform": [1, 65536]}}] * 80
    [template] = templates_of(spec(model=layers({"choice": [block, []]}, *block[:15], DENSE_2)))
    assert template.combinations.count == (65536**80 + 1) * 65536**15


@pytest.mark.parametrize("sampler", ["random", "quasi_random", "cma_es", "gp", "tpe"])
@pytest.mark.parametrize("changes", CONDITIONAL.values(), ids=CONDITIONAL)
def test_no_combination_of_options_is_drawn_twice(sampler: str, changes: dict[str, Any]) -> None:
    trials = plan_experiment(spec(**changes, sampler={"name": sampler, "trials": 1_000})).trials
    [template] = templates_of(spec(**changes))
    found = [tuple(trial.hyperparameters.items()) for trial in trials]
    wanted = (
        min(20, int(template.combinations.count)) if sampler in {"cma_es", "gp", "tpe"} else template.combinations.count
    )
    assert len(set(found)) == len(found) == wanted


@pytest.mark.parametrize(("name", "rounds"), [("cma_es", 10), ("gp", 5), ("tpe", 5)])
def test_rounds_learn_which_option_is_best(name: str, rounds: int) -> None:
    optimizer = {
        "choice": [
            {"name": "adam", "learning_rate": {"log_uniform": [1e-4, 1.0]}},
            {"name": "sgd", "learning_rate": {"log_uniform": [1e-4, 1.0]}, "momentum": {"uniform": [0.0, 0.99]}},
        ]
    }
    experiment = spec(optimizer=optimizer, sampler={"name": name, "trials": 100, "round": 10})
    [template] = templates_of(experiment)
    results: list[TrialResult] = []
    for number, trial in enumerate(plan_experiment(experiment).trials):
        results.append(_result(trial.hyperparameters, number))
    for round_number in range(2, rounds + 1):
        proposed = propose_values(experiment, experiment.sampler, template, results, round_number)  # type: ignore[arg-type]
        drawn = [template.trial(1, values, (0, None), is_repeated=False) for values in itertools.islice(proposed, 10)]
        results += [_result(trial.hyperparameters, round_number) for trial in drawn]
    late = [one.hyperparameters for one in results[-20:]]
    assert sum(one["optimizer"] == "sgd" for one in late) >= 14, "of 20; sgd is better everywhere"
    assert min(one.value for one in results if one.value is not None) < 0.15


def _result(values: Any, round_number: int) -> TrialResult:
    """Return the result of a made-up experiment: sgd with a rate of 0.01 and a momentum of 0.9 is best."""
    loss = abs(math.log10(values["optimizer.learning_rate"]) + 2) / 4
    loss += abs(values["optimizer.momentum"] - 0.9) / 2 if values["optimizer"] == "sgd" else 1.0
    return TrialResult(round_number, None, values, is_trained=True, is_pruned=False, epochs=1, value=loss)


def test_coordinates_that_do_not_count_make_no_difference() -> None:
    [template] = templates_of(spec(optimizer=ADAM_OR_SGD))
    combinations = template.combinations
    paths = list(combinations.spaces)
    cube = Cube.of(combinations, [is_structural(template.document, path) for path in paths])
    points = cube.snapped(np.random.default_rng(1).random((200, len(paths))))
    for point in points:
        values = combinations.at(point.tolist())
        for path, coordinate in zip(paths, point, strict=True):
            assert path in values or coordinate == UNCOUNTED
    assert len(np.unique(points, axis=0)) == combinations.count


def test_options_of_the_optimizer_train_apart_and_their_numbers_together() -> None:
    cohorts = form_cohorts(plan_experiment(spec(optimizer=ADAM_OR_SGD)).trials)
    assert sorted(len(cohort.trials) for cohort in cohorts) == [1, 2, 2, 3], "momentum of 0 is another program"


def dropout(rate: dict[str, Any]) -> dict[str, Any]:
    return {"model": layers({"type": "dropout", "rate": rate}, DENSE_2)}


def units(space: dict[str, Any]) -> dict[str, Any]:
    return {"model": layers({"type": "dense", "units": space}, DENSE_2)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (dropout({"uniform": [0.1, 0.5], "step": 0.1}), [0.1, 0.2, 0.3, 0.4, 0.5]),
        (dropout({"uniform": [0.0, 0.5], "step": 0.2}), [0.0, 0.2, 0.4]),
        (dropout({"uniform": [0.1, 0.3], "step": 0.2}), [0.1, 0.3]),
        (units({"int_uniform": [8, 30], "step": 8}), [8, 16, 24]),
        (units({"int_log_uniform": [3, 6]}), [3, 4, 5, 6]),
    ],
    ids=str,
)
def test_grid_lists_the_steps_of_a_range(changes: dict[str, Any], expected: list[float]) -> None:
    trials = sample(spec(**changes))
    assert [value for trial in trials for value in trial.hyperparameters.values()] == expected
    assert {type(value) for trial in trials for value in trial.hyperparameters.values()} == {type(expected[0])}


def test_int_log_uniform_takes_every_doubling_alike() -> None:
    trials = sample(spec(**units({"int_log_uniform": [1, 1023]}), sampler={"name": "quasi_random", "trials": 256}))
    doublings = [math.floor(math.log2(trial.hyperparameters["model.layers.0.units"])) for trial in trials]
    # The integers of the first few are soon all drawn.
    assert all(24 <= doublings.count(power) <= 60 for power in range(6, 10)), doublings


@given(low=st.integers(1, 300), width=st.integers(1, 5_000), coordinate=st.floats(0, 1, exclude_max=True))
def test_snapped_points_of_logarithmic_integers_keep_their_value(low: int, width: int, coordinate: float) -> None:
    [template] = templates_of(spec(**units({"int_log_uniform": [low, low + width]})))
    combinations = template.combinations
    cube = Cube.of(combinations, [True])
    values = combinations.at([coordinate])
    point = cube.snapped(np.array([[coordinate]]))
    assert combinations.at(point[0].tolist()) == values
    assert cube.snapped(np.array([combinations.point(combinations.key(values))])).tobytes() == point.tobytes()
