"""The compiler follows from the spec, the data and the kind of device."""

from dataclasses import replace
from typing import Any

import pytest

from tests.factories import DENSE_2, digits, document, layers
from tests.workers.engines.trials import cohort_of, trained, trial_spec, trial_specs
from workers.engines.backends.chosen import backend
from workers.engines.compilers import Calls, choose_compiler
from workers.engines.fused import training
from workers.engines.fused.engine import FusedEngine
from workers.engines.reference import ReferenceEngine

TITANIC = Calls(width=1, turns=1, steps=20, step_cost=32 * 11_200.0, epochs=3)
BOTH = ("graph", "xla")


@pytest.mark.parametrize(
    ("changes", "compiler"),
    [
        ({}, "graph"),
        ({"epochs": 1}, "graph"),
        ({"epochs": 100}, "xla"),
        ({"width": 8}, "xla"),
        ({"turns": 50}, "xla"),
        ({"step_cost": 1e9}, "xla"),
        ({"steps": 2000}, "xla"),
        ({"epochs": 1, "is_on_gpu": True}, "xla"),
    ],
)
def test_long_training_is_compiled_by_xla(changes: dict[str, Any], compiler: str) -> None:
    assert choose_compiler(trial_spec(), replace(TITANIC, **changes), BOTH).compiler == compiler


def test_early_stopping_is_expected_to_end_early() -> None:
    stopping = trial_spec(fit={"epochs": 12, "validation_split": 0.3}, early_stopping={"monitor": "val_loss"})
    calls = replace(TITANIC, epochs=12)
    assert choose_compiler(trial_spec(), calls, BOTH).compiler == "xla"
    assert choose_compiler(stopping, calls, BOTH).compiler == "graph"


def test_a_backend_with_one_compiler_has_no_choice() -> None:
    assert choose_compiler(trial_spec(), TITANIC, ("xla",)).compiler == "xla"


def test_convolutions_on_a_cpu_are_left_to_the_graph() -> None:
    image = [{"type": "reshape", "target_shape": [28, 28, 1]}, {"type": "conv2d", "filters": 2, "kernel_size": 3}]
    [spec] = trial_specs(digits(*image, {"type": "flatten"}))
    long = replace(TITANIC, epochs=10_000)
    assert choose_compiler(spec, long, BOTH).compiler == "graph"
    assert choose_compiler(spec, replace(long, is_on_gpu=True), BOTH).compiler == "xla"


@pytest.mark.parametrize(("epochs", "compiler"), [(1, "graph"), (20, "xla")])
def test_long_training_of_sequences_is_compiled_by_xla(epochs: int, compiler: str) -> None:
    spec = trial_spec(model=layers({"type": "reshape", "target_shape": [10, 1]}, {"type": "lstm", "units": 4}, DENSE_2))
    calls = Calls(width=1, turns=1, steps=12, step_cost=1e4, epochs=epochs, sequence_steps=98)
    assert choose_compiler(spec, calls, BOTH).compiler == compiler


def test_random_numbers_beside_dropout_are_left_to_the_graph() -> None:
    spec = trial_spec(model=layers({"type": "gaussian_noise", "stddev": 0.1}, DENSE_2))
    assert choose_compiler(spec, replace(TITANIC, epochs=10_000), BOTH).compiler == "graph"


@pytest.mark.parametrize(("depth", "compiler"), [(20, "xla"), (21, "graph")])
def test_many_normalisation_layers_are_not_given_to_xla(depth: int, compiler: str) -> None:
    """XLA's time grows with their square: ninety of them held a worker for a quarter of an hour."""
    spec = trial_spec(model=layers(*[{"type": "batch_normalization"}] * depth, DENSE_2))
    for is_on_gpu in (False, True):
        long = replace(TITANIC, epochs=10_000, is_on_gpu=is_on_gpu)
        assert choose_compiler(spec, long, BOTH).compiler == compiler


@pytest.mark.backends
@pytest.mark.parametrize("engine", [FusedEngine(), ReferenceEngine(is_tuned=True)], ids=lambda engine: engine.name)
def test_engine_records_compiler_and_reason(engine: FusedEngine | ReferenceEngine) -> None:
    [record] = trained(engine, cohort_of([trial_spec(fit={"epochs": 1})])).records
    assert record["compiler"] == backend.COMPILERS[0]
    expected = "XLA saves an estimated" if len(backend.COMPILERS) > 1 else "the backend has no other"
    assert record["compiler_reason"].startswith(expected)


@pytest.mark.slow
def test_a_program_that_xla_refuses_is_made_as_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    made = backend.Compiled

    def refusing(trace: bytes, compiler: str, *others: Any) -> Any:
        if compiler == "xla":
            raise training.CannotCompileError("no such operation")
        return made(trace, compiler, *others)

    monkeypatch.setattr(backend, "Compiled", refusing)
    [record] = trained(FusedEngine(), cohort_of([trial_spec(fit={"epochs": 300})])).records
    assert (record["compiler"], record["compiler_reason"]) == ("graph", "XLA refuses the program: no such operation")


def test_layout_of_a_sweep_counts() -> None:
    one = document(fit={"epochs": 4}, optimizer={"name": "sgd", "learning_rate": 0.01})
    many = one | {"optimizer": {"name": "sgd", "learning_rate": {"choice": [rate / 100 for rate in range(1, 17)]}}}
    found = [trained(FusedEngine(), cohort_of(trial_specs(doc))).records[0]["compiler"] for doc in (one, many)]
    assert found == ["graph", "xla"] if len(backend.COMPILERS) > 1 else ["xla", "xla"]
