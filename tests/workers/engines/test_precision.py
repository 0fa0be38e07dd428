"""Precision of matrix products: exactly as in the spec."""

from typing import Any

import pytest

from tests.factories import DENSE_2, document, layers
from tests.workers.engines.trials import cohort_of, fused_engine, reference_engine, trained, trial_specs
from workers.builders.networks import build_network

MODEL = layers({"type": "dense", "units": 8, "activation": "tanh"}, DENSE_2)


def sweep(precision: str) -> dict[str, Any]:
    rates = {"name": "adam", "learning_rate": {"choice": [0.01, 0.003]}}
    return document(
        model=MODEL, optimizer=rates, fit={"epochs": 4, "validation_split": 0.3}, metrics=[], precision=precision
    )


@pytest.mark.nightly
def test_bfloat16_follows_the_policy_of_keras_in_both_engines() -> None:
    cohort = cohort_of(trial_specs(sweep("mixed_bfloat16")))
    network = build_network(cohort.trials[0].spec, features=10)
    assert {layer.compute_dtype for layer in network.layers} == {"bfloat16"}
    assert {variable.dtype for variable in network.trainable_variables} == {"float32"}
    fused, reference = trained(fused_engine(), cohort), trained(reference_engine(), cohort)
    exact = trained(fused_engine(), cohort_of(trial_specs(sweep("float32"))))
    for trial_id, history in reference.histories.items():
        for ours, theirs, float32 in zip(fused.histories[trial_id], history, exact.histories[trial_id], strict=True):
            assert ours == pytest.approx(theirs, rel=0.02)
            assert ours == pytest.approx(float32, rel=0.02)
    assert fused.histories != exact.histories


@pytest.mark.slow
def test_a_cpu_has_no_tf32() -> None:
    cohorts = [cohort_of(trial_specs(sweep(name))) for name in ("float32", "tf32")]
    exact, rounded = (trained(fused_engine("xla"), cohort) for cohort in cohorts)
    assert exact.histories == rounded.histories
