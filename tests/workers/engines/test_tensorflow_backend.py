"""TensorFlow backend: two compilers, and random numbers by arithmetic."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from app.examples import example_documents
from tests.factories import DENSE_2, digits, document, layers
from tests.workers.engines.cases import CODE_PATHS
from tests.workers.engines.stored_references import train_and_compare
from tests.workers.engines.trials import cohort_of, fused_engine, trained, trial_spec, trial_specs
from workers.engines.backends.tensorflow import LAYERS, precision
from workers.engines.backends.tensorflow_random import uniform
from workers.engines.base import CannotTrainError, Cohort, Engine
from workers.engines.compilers import CompilerChoice
from workers.engines.fused import layout, training
from workers.engines.fused.engine import FusedEngine
from workers.engines.reference import ReferenceEngine

TANH = {"type": "dense", "units": 8, "activation": "tanh"}


@pytest.mark.slow
def test_an_earlier_attempt_decides_the_compiler() -> None:
    cohort = cohort_of([trial_spec()])
    engine = FusedEngine()
    for compiler in ("graph", "xla"):
        record = trained(engine, Cohort(cohort.trials, cohort.arrays, compiler)).records[0]
        assert record["compiler"] == compiler


@pytest.mark.slow
def test_a_cohort_has_one_compiler_from_its_first_program_to_its_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or what goes on after a narrower program would round otherwise."""
    choices = itertools.cycle([CompilerChoice("graph", "the first"), CompilerChoice("xla", "the second")])
    monkeypatch.setattr(training, "choose_compiler", lambda *_: next(choices))
    monkeypatch.setattr(layout, "_WORTH_SHRINKING", 0)
    monkeypatch.setattr(layout, "_WORTH_SPLITTING", math.inf)  # the same layout on however many cores
    rates = {"name": "adam", "learning_rate": {"choice": [0.1, 0.01]}}
    lengths = {"epochs": {"choice": [1, 3]}, "validation_split": 0.3}
    cohort = cohort_of(trial_specs(document(optimizer=rates, fit=lengths)))
    records = trained(FusedEngine(), cohort).records
    assert [record["trials_per_program"] for record in records] == [4, 2]
    assert [record["compiler"] for record in records] == ["graph", "graph"]
    cohort = cohort_of(trial_specs(digits(TANH, optimizer=rates | {"learning_rate": {"choice": [0.1, 0.01, 0.001]}})))
    choices = itertools.cycle([CompilerChoice("graph", "the first"), CompilerChoice("xla", "the second")])
    small = FusedEngine(memory_bytes=1_000_000)  # half of it holds two trials of 205 kB
    records = trained(small, cohort).records
    assert [record["trials_per_program"] for record in records] == [2, 1]
    assert [record["compiler"] for record in records] == ["graph", "graph"]


def test_a_network_that_cannot_be_traced_is_left_to_another_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Untraceable(keras.layers.Dropout):  # type: ignore[misc]  # keras has no types
        def call(self, inputs: tf.Tensor, *, training: bool = False) -> tf.Tensor:
            return inputs * 2 if training and bool(tf.reduce_sum(inputs) > 0) else inputs  # a symbol is neither

    monkeypatch.setitem(LAYERS, "dropout", Untraceable)
    model = layers(TANH, {"type": "dropout", "rate": 0.3}, DENSE_2)
    with pytest.raises(CannotTrainError):
        trained(FusedEngine(), cohort_of([trial_spec(model=model)]))


@pytest.fixture(scope="module")
def xla_engine() -> FusedEngine:
    return fused_engine("xla")


@pytest.mark.parametrize(
    "name",
    [
        CODE_PATHS[0],
        *(pytest.param(name, marks=pytest.mark.slow) for name in CODE_PATHS[1:5]),
        *(pytest.param(name, marks=pytest.mark.nightly) for name in CODE_PATHS[5:]),
    ],
)
def test_fused_engine_with_xla_gives_the_history_of_fit(xla_engine: FusedEngine, name: str) -> None:
    assert train_and_compare(xla_engine, name).records[0]["compiler"] == "xla"


@pytest.mark.parametrize(
    "shape",
    [(5, 7), *(pytest.param(shape, marks=pytest.mark.nightly) for shape in ((1,), (32, 50), (3, 4, 5)))],
    ids=str,
)
@pytest.mark.parametrize("seed", [(123, 4), (999_999_999, 0), (0, 2**33 + 77)], ids=str)
def test_arithmetic_draws_tensorflows_random_numbers(seed: tuple[int, int], shape: tuple[int, ...]) -> None:
    both = tf.constant([seed, (1, 2)], tf.int64)
    expected = [tf.random.stateless_uniform(shape, seed=row).numpy() for row in both]

    @tf.function(jit_compile=True, autograph=False)
    def mapped(seeds: tf.Tensor) -> tf.Tensor:
        return tf.vectorized_map(lambda row: uniform(row, shape), seeds, fallback_to_while_loop=False)

    assert (uniform(both[0], shape).numpy() == expected[0]).all()
    assert (mapped(both).numpy() == np.stack(expected)).all()


def test_tf32_is_used_only_on_request() -> None:
    is_used = tf.config.experimental.tensor_float_32_execution_enabled
    with precision("float32"):
        assert not is_used()
    with precision("tf32"):
        assert is_used()


@pytest.mark.nightly
@pytest.mark.parametrize("engine", [FusedEngine, ReferenceEngine])
def test_a_learning_rate_of_one_dies_as_the_readme_says(engine: type[Engine]) -> None:
    spec = trial_specs(example_documents()["learning_rates"])[2]
    losses = [epoch["loss"] for epoch in trained(engine(), cohort_of([spec])).histories["t1"]]
    assert losses[0] > 10_000
    assert losses[-1] == pytest.approx(0.67, abs=0.02)


def test_dropout_in_bfloat16_is_left_to_keras() -> None:
    """Keras draws in bfloat16, so our masks would differ."""
    model = layers(TANH, {"type": "dropout", "rate": 0.3}, DENSE_2)
    with pytest.raises(CannotTrainError, match="dropout in bfloat16"):
        trained(FusedEngine(), cohort_of([trial_spec(model=model, precision="mixed_bfloat16")]))
