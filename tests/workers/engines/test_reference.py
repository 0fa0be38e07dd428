"""The reference engine gives the numbers that a plain Keras script gives."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import pytest

from app.examples import example_documents
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.search.search_space import sampled_value
from models.planning.plan import plan_experiment
from tests.factories import DENSE_2, document, layers
from tests.workers.engines.trials import (
    Histories,
    Recording,
    arrays_of,
    cohort_of,
    plain_script,
    trial_spec,
    trial_specs,
)
from workers.builders.networks import build_compiled
from workers.engines.base import NO_METRICS, EpochDecision, Metrics
from workers.engines.reference import ReferenceEngine

Dense = keras.layers.Dense


def train(specs: list[Any]) -> Histories:
    cohort = cohort_of(specs)
    recording = Recording(cohort)
    ReferenceEngine().train(cohort, recording)
    return recording.histories


def assert_agree(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    assert len(found) == len(expected)
    for epoch, (ours, theirs) in enumerate(zip(found, expected, strict=True), 1):
        assert set(ours) == set(theirs)
        for name in theirs:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-5), (epoch, name)


def hidden_100() -> list[keras.layers.Layer]:
    return [keras.Input((10,)), Dense(100, "relu"), Dense(100, "relu"), Dense(2, "softmax")]


def hidden(*units: int) -> Callable[[], list[keras.layers.Layer]]:
    return lambda: [keras.Input((10,)), *(Dense(n, "relu") for n in units), Dense(2, "softmax")]


EXERCISES: list[tuple[str, int, Callable[[], list[keras.layers.Layer]], Callable[[], keras.Optimizer], list[Any]]] = [
    ("learning_rates", 0, hidden_100, lambda: keras.optimizers.SGD(1e-6), []),
    ("learning_rates", 1, hidden_100, lambda: keras.optimizers.SGD(0.01), []),
    ("learning_rates", 2, hidden_100, lambda: keras.optimizers.SGD(1.0), []),
    ("validation", 0, hidden_100, keras.optimizers.Adam, []),
    ("early_stopping", 0, hidden_100, keras.optimizers.Adam, [2]),
    ("wider_network", 0, hidden(10, 10), keras.optimizers.Adam, [2]),
    ("wider_network", 1, hidden(100, 100), keras.optimizers.Adam, [2]),
    ("deeper_network", 0, hidden(50), keras.optimizers.Adam, [2]),
    ("deeper_network", 1, hidden(50, 50, 50), keras.optimizers.Adam, [2]),
    (
        "mnist_digits", 0,
        lambda: [keras.Input((784,)), Dense(50, "relu"), Dense(50, "relu"), Dense(10, "softmax")],
        keras.optimizers.Adam, [],
    ),
]  # fmt: skip


def marks_of(name: str, number: int) -> list[pytest.MarkDecorator]:
    """Return the markers of an exercise: the quick tests train one, `make check` one more."""
    if (name, number) == ("early_stopping", 0):
        return [pytest.mark.backends]
    return [pytest.mark.slow if name == "validation" else pytest.mark.nightly]


@pytest.mark.parametrize(
    ("name", "number", "network", "optimizer", "patience"),
    [
        pytest.param(*exercise, id=f"{exercise[0]}-{exercise[1]}", marks=marks_of(exercise[0], exercise[1]))
        for exercise in EXERCISES
    ],
)
def test_every_exercise_equals_a_plain_script(
    name: str, number: int, network: Callable[[], Any], optimizer: Callable[[], Any], patience: list[int]
) -> None:
    spec = trial_specs(example_documents()[name])[number]
    arrays = arrays_of(spec)
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(network())
    model.compile(optimizer(), loss="categorical_crossentropy", metrics=["accuracy"])
    stops = [keras.callbacks.EarlyStopping("val_loss", patience=given) for given in patience]
    expected = plain_script(model, arrays, seed=0, epochs=sampled_value(spec.fit.epochs), callbacks=stops)
    found = train([spec])["t1"]
    assert_agree(found, expected)
    if patience and name == "early_stopping":
        assert len(found) < 30


@pytest.mark.backends
def test_class_weights_are_those_of_a_plain_script() -> None:
    """There Keras itself weighs the classes; here it is given what each row counts."""
    given = {"0": 0.5, "1": 3.0}
    spec = trial_spec(
        model=layers(DENSE_2), optimizer="adam", fit={"epochs": 5, "validation_split": 0.3, "class_weight": given}
    )
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((10,)), Dense(2, "softmax")])
    model.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
    weights = {int(number): weight for number, weight in given.items()}
    expected = plain_script(model, arrays_of(spec), seed=0, epochs=5, class_weight=weights)
    assert_agree(train([spec])["t1"], expected)


@pytest.mark.slow
def test_learning_rates_end_as_the_exercise_says() -> None:
    histories = train(trial_specs(example_documents()["learning_rates"]))
    tiny, good, huge = ([epoch["loss"] for epoch in histories[f"t{number}"]] for number in (1, 2, 3))
    assert good[-1] == min(tiny[-1], good[-1], huge[-1])
    assert abs(tiny[-1] / tiny[0] - 1) < 0.2
    assert huge[0] > 5  # how much more depends on the first weights, which each backend draws otherwise
    assert huge[-1] > good[-1]


@pytest.mark.nightly
def test_mnist_digits_reads_digits() -> None:
    [spec] = trial_specs(example_documents()["mnist_digits"])
    assert max(epoch["val_accuracy"] for epoch in train([spec])["t1"]) >= 0.85


def test_two_runs_are_equal_bit_for_bit_whatever_trained_before() -> None:
    specs = trial_specs(
        document(
            model=layers(
                {"type": "dense", "units": 16, "activation": "relu"}, {"type": "dropout", "rate": 0.3}, DENSE_2
            ),
            optimizer={"name": "adam", "learning_rate": {"choice": [0.01, 0.001]}},
            seeds=[7],
            fit={"epochs": 2, "validation_split": 0.3},
        )
    )
    first, again = train(specs), train(specs)
    assert first == again
    alone = train([specs[1]])["t1"]
    assert alone == first["t2"]


def test_the_seed_decides_weights_and_order_and_nothing_else_does() -> None:
    one, other = (train([trial_spec(seeds=[seed])])["t1"] for seed in (0, 1))
    assert one != other


def test_unshuffled_rows_keep_their_order() -> None:
    spec = trial_spec(fit={"epochs": 2, "shuffle": False})
    arrays = arrays_of(spec)
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((10,)), Dense(4, "relu"), Dense(2, "softmax")])
    model.compile(keras.optimizers.SGD(0.01), loss="categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(arrays.x, arrays.y, epochs=2, shuffle=False, verbose=0).history
    assert_agree(train([spec])["t1"], [{name: history[name][epoch] for name in history} for epoch in range(2)])


def test_trials_that_the_report_stops_train_no_further() -> None:
    specs = trial_specs(document(seeds=[0, 1, 2], fit={"epochs": 5}))
    seen: list[tuple[int, str]] = []

    class Stopping(Recording):
        def on_epoch(
            self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
        ) -> EpochDecision:
            del again
            [trial_id] = metrics
            seen.append((epoch, trial_id))
            return EpochDecision({"t1": "cancelled", "t2": "cancelled"}) if epoch == 2 else EpochDecision()

    ReferenceEngine().train(cohort := cohort_of(specs), Stopping(cohort))
    assert seen == [(1, "t1"), (2, "t1"), *((epoch, "t3") for epoch in range(1, 6))]


def test_exception_of_the_report_passes_through() -> None:
    class Ends(Exception):
        pass

    class Ending(Recording):
        def on_epoch(
            self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
        ) -> EpochDecision:
            del epoch, metrics, again
            raise Ends

    cohort = cohort_of([trial_spec()])
    with pytest.raises(Ends):
        ReferenceEngine().train(cohort, Ending(cohort))


@pytest.mark.parametrize(
    "options",
    [
        {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 7},
        {"gradient_accumulation_steps": 3},
        {"loss_scale_factor": 8.0},
        {"name": "muon", "momentum": 0.9, "ns_steps": 3, "adam_weight_decay": 0.1},
        {"name": "schedule_free_adamw", "warmup_steps": 5},
    ],
    ids=["average of weights", "accumulated gradients", "scaled loss", "muon", "schedule-free"],
)
def test_optimizer_options_of_fit_give_its_history(options: dict[str, Any]) -> None:
    changed = document(
        optimizer={"name": "adam"} | options, fit={"epochs": 3, "validation_split": 0.3, "shuffle": False}
    )
    [cohort] = plan_experiment(ExperimentSpec.model_validate(changed)).cohorts
    assert cohort.engine == "reference"
    trained_cohort = cohort_of([trial_spec(**changed)])
    recording = Recording(trained_cohort)
    ReferenceEngine().train(trained_cohort, recording)
    arrays, model = trained_cohort.arrays, build_compiled(trial_spec(**changed), 10)
    config = model.optimizer.get_config()
    assert (options | {"name": config["name"]}).items() <= config.items()
    fitted = model.fit(
        arrays.x, arrays.y, batch_size=32, epochs=3, shuffle=False, verbose=0,
        validation_data=(arrays.x_validation, arrays.y_validation),
    )  # fmt: skip
    for name, values in fitted.history.items():
        assert [epoch[name] for epoch in recording.histories["t1"]] == pytest.approx(values, rel=1e-5)
