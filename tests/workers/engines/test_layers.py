"""Each layer of Keras trains in both engines with the same numbers, drawn from its own entry."""

from typing import Any

import numpy as np
import pytest

from fittingroom.specs.experiment import Model, TrialSpec
from tests.drawn_layers import INTEGERS, NETWORK_TYPES, features_of, network, smallest
from tests.factories import document
from tests.workers.engines.trials import fused_engine, trained, trial_specs
from workers.engines.base import Arrays, Cohort, CohortTrial
from workers.engines.fused.engine import FusedEngine
from workers.engines.reference import ReferenceEngine

ROWS, VALIDATION_ROWS = 22, 9
"""Rows of which the last batch is smaller than the others."""


def specs_of(model: dict[str, Any]) -> list[TrialSpec]:
    """Return two trials of a network, with two seeds."""
    changed = document(
        optimizer={"name": "adam", "learning_rate": 0.01}, seeds=[0, 1], fit={"epochs": 2, "batch_size": 8}
    )
    return [spec.model_copy(update={"model": Model.model_validate(model)}) for spec in trial_specs(changed)]


def arrays_for(model: dict[str, Any]) -> Arrays:
    """Return random rows, or integers for layers that take them, and two classes."""
    stream = np.random.default_rng(0)
    shape = (ROWS + VALIDATION_ROWS, features_of(model))
    takes_integers = model["layers"][0]["type"] in INTEGERS
    x = (stream.integers(0, 20, shape) if takes_integers else stream.uniform(0.1, 1, shape)).astype(np.float32)
    y = np.eye(2, dtype=np.float32)[stream.integers(0, 2, len(x))]
    return Arrays(f"drawn for {model}", x[:ROWS], y[:ROWS], x[ROWS:], y[ROWS:])


def cohort_for(model: dict[str, Any]) -> Cohort:
    """Return a cohort of two trials of a network."""
    trials = [CohortTrial(f"t{number}", spec) for number, spec in enumerate(specs_of(model), 1)]
    return Cohort(trials, arrays_for(model))


@pytest.fixture(scope="module")
def engine() -> FusedEngine:
    return fused_engine()


@pytest.mark.slow
@pytest.mark.backends
@pytest.mark.parametrize("kind", NETWORK_TYPES)
def test_layer_trains_in_both_engines_with_the_same_history(engine: FusedEngine, kind: str) -> None:
    model = network(smallest(kind))
    assert model is not None
    cohort = cohort_for(model)
    expected = trained(ReferenceEngine(), cohort)
    if not all(layer.is_pure for layer in cohort.trials[0].spec.model.parts()):
        return
    found = trained(engine, cohort)
    for trial_id, history in expected.histories.items():
        for ours, theirs in zip(found.histories[trial_id], history, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-7)
