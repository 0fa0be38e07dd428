"""Both engines give the same history, whatever the spec says."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from fittingroom.specs.faults import InvalidSpec
from fittingroom.specs.heads import recorded_metrics
from tests.factories import DENSE_2, digits, document, layers
from tests.strategies import LAYERS
from tests.workers.engines.cases import CASES, CODE_PATHS, KINDS, NIGHTLY, QUICK
from tests.workers.engines.stored_references import (
    HOW_TO_RENEW,
    assert_agrees_with_stored,
    assert_same_weights,
    chosen_trials,
    compute,
    fingerprint,
    libraries,
    reference,
    stored_libraries,
    train_and_compare,
)
from tests.workers.engines.trials import cohort_of, fused_engine, trained, trial_specs
from workers.engines.fused.engine import FusedEngine
from workers.engines.reference import ReferenceEngine


def marks_of(name: str) -> list[pytest.MarkDecorator]:
    """Return the markers of a case: in which runs, and whether on JAX, it is trained."""
    if name in NIGHTLY:
        return [pytest.mark.nightly]
    return [pytest.mark.slow] * (name not in QUICK) + [pytest.mark.backends] * (name in CODE_PATHS)


@pytest.fixture(scope="module")
def engine() -> FusedEngine:
    """One engine for all cases: each cohort finds the programs of those before it."""
    return fused_engine()


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks_of(name)) for name in CASES])
def test_fused_engine_gives_the_history_of_fit(engine: FusedEngine, name: str) -> None:
    found = train_and_compare(engine, name)
    group, _, kind = name.partition(": ")
    if group == "kind":
        recorded = recorded_metrics(trial_specs(KINDS[kind])[0].heads, validated=True)
        assert found.histories["t1"][0].keys() == set(recorded)
    if group == "optimizer":
        assert found.records[0]["trials_per_program"] == 3


@pytest.mark.backends
def test_stored_references_are_of_the_installed_libraries() -> None:
    """Otherwise every case computes its history anew, which takes ten times as long."""
    assert stored_libraries() == libraries(), HOW_TO_RENEW


@pytest.mark.backends
@pytest.mark.parametrize(
    ("loss", "activation"), [("categorical_crossentropy", "sigmoid"), ("binary_crossentropy", "softmax")]
)
def test_padded_batches_keep_the_logits(loss: str, activation: str) -> None:
    """Keras computes a crossentropy of a network's own output from its logits, found by the tensor."""
    changed = document(
        model=layers({"type": "dense", "units": 8, "activation": "tanh"}, DENSE_2 | {"activation": activation}),
        loss=loss, fit={"epochs": 2, "validation_split": 0.7},
    )  # fmt: skip
    cohort = cohort_of(trial_specs(changed))
    assert len(cohort.arrays.x) % 32
    assert len(cohort.arrays.x_validation) > 512
    found, expected = trained(fused_engine(), cohort), trained(ReferenceEngine(), cohort)
    for ours, theirs in zip(found.histories["t1"], expected.histories["t1"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.nightly
@pytest.mark.parametrize("name", CASES)
def test_stored_references_equal_fit(name: str) -> None:
    """And the engine as a worker has it, with the compiler that the rule says, agrees with them."""
    expected = compute(name)
    for trial_id, trial in reference(name).items():
        assert expected[trial_id]["reason"] == trial["reason"]
        for metric, values in trial["history"].items():
            assert expected[trial_id]["history"][metric] == pytest.approx(values, rel=1e-5, abs=1e-7, nan_ok=True)
    assert_agrees_with_stored(name, trained(FusedEngine(), cohort_of(trial_specs(CASES[name]))), expected)


SMOOTH = LAYERS.filter(lambda layer: layer["type"] != "activation" or layer["activation"] != "relu")


def has_gradient_of_rounding(inner: list[dict[str, Any]]) -> bool:
    """Return True if a bias precedes a batch normalization, which cancels it.

    The shift's gradient is then 0 but for rounding, and Adam and its like make whole steps of that.
    """
    is_shifted = False
    for layer in inner:
        if layer["type"] == "batch_normalization" and is_shifted:
            return True
        shifts = layer["type"] in {"dense", "conv2d", "batch_normalization", "layer_normalization"}
        is_shifted = shifts or (is_shifted and layer["type"] != "activation")
    return False


# The same draws in each run, so that CI judges the change and not what was drawn.
@pytest.mark.nightly
@settings(max_examples=10, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    inner=st.lists(SMOOTH, max_size=3),
    optimizer=st.sampled_from(["sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam"]),
    # Not so large that outputs saturate: a probability near 0 gives a loss that hangs on its last bits.
    rates=st.lists(st.floats(1e-5, 1e-3), min_size=1, max_size=4, unique=True),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=2, unique=True),
    fit=st.fixed_dictionaries(
        {
            "epochs": st.just(3),
            "batch_size": st.integers(1, 200),
            "validation_split": st.sampled_from([0.0, 0.01, 0.3]),
            "shuffle": st.booleans(),
        }
    ),
)
def test_networks_drawn_at_random(
    engine: FusedEngine,
    inner: list[dict[str, Any]],
    optimizer: str,
    rates: list[float],
    seeds: list[int],
    fit: dict[str, Any],
) -> None:
    if has_gradient_of_rounding(inner):
        reject()
    named = {"name": optimizer, "learning_rate": {"choice": rates}}
    changed = digits(*inner, {"type": "flatten"}, optimizer=named, seeds=seeds, fit=fit)
    try:
        cohort = cohort_of(trial_specs(changed))
    except InvalidSpec:
        reject()
    found, expected = trained(engine, cohort), trained(ReferenceEngine(), chosen_trials(cohort))
    for trial_id, history in expected.histories.items():
        assert found.reasons[trial_id] == expected.reasons[trial_id]
        for epoch, (ours, theirs) in enumerate(zip(found.histories[trial_id], history, strict=True), 1):
            assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-7, nan_ok=True), epoch
        assert_same_weights(
            [fingerprint(array) for array in found.weights[trial_id]],
            [fingerprint(array) for array in expected.weights[trial_id]],
        )
