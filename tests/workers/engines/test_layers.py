"""Each layer of Keras trains in both engines with the same numbers, drawn from its own entry."""

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.model import Model
from tests.drawn_layers import INTEGERS, NETWORK_TYPES, drawn, features_of, network, smallest
from tests.factories import DENSE_2, document
from tests.workers.engines.trials import fused_engine, trained, trial_specs
from workers.engines.base import Arrays, Cohort, CohortTrial
from workers.engines.fused.engine import FusedEngine
from workers.engines.reference import ReferenceEngine

ROWS, VALIDATION_ROWS = 22, 9
"""Rows of which the last batch is smaller than the others."""
# On JAX the tests of this module are all that is tested of most layers, so they run with the quick ones.
PER_BACKEND = [pytest.mark.backends, *([pytest.mark.slow] if keras.backend.backend() == "tensorflow" else [])]
OPTIONS: dict[str, dict[str, Any]] = {
    "constraints": {
        "input_shape": [6],
        "layers": [
            {"type": "dense", "units": 4, "kernel_constraint": {"name": "max_norm", "max_value": 0.5}},
            {"type": "dense", "units": 4, "kernel_constraint": "unit_norm", "bias_constraint": "non_neg"},
            {"type": "dense", "units": 4, "kernel_constraint": {"name": "min_max_norm", "min_value": 0.9, "rate": 0.5}},
            DENSE_2,
        ],
    },
    "frozen layers": {
        "input_shape": [6],
        "layers": [
            {"type": "dense", "units": 4, "trainable": False},
            {"type": "batch_normalization", "trainable": False},
            {"type": "batch_normalization"},
            DENSE_2,
        ],
    },
    "penalties of outputs": {
        "input_shape": [6],
        "layers": [
            {"type": "dense", "units": 4, "activity_regularizer": {"l1": 0.1, "l2": 0.2}},
            {"type": "activity_regularization", "l2": 0.1},
            DENSE_2,
        ],
    },
    "orthogonal kernels": {
        "input_shape": [6],
        "layers": [
            {"type": "dense", "units": 4, "kernel_regularizer": {"name": "orthogonal_regularizer", "factor": 0.1}},
            {"type": "dense", "units": 4, "kernel_initializer": {"name": "variance_scaling", "mode": "fan_out"}},
            {"type": "dense", "units": 4, "bias_initializer": {"name": "constant", "value": 0.1}},
            DENSE_2,
        ],
    },
    "dilation and groups": {
        "input_shape": [8, 8, 2],
        "layers": [
            {"type": "conv2d", "filters": 4, "kernel_size": 2, "dilation_rate": 2},
            {"type": "conv2d", "filters": 4, "kernel_size": 2, "groups": 2, "padding": "same"},
            {"type": "flatten"},
            DENSE_2,
        ],
    },
    "a masked mean": {
        "input_shape": [6],
        "layers": [
            {"type": "embedding", "input_dim": 20, "output_dim": 3, "mask_zero": True},
            {"type": "global_average_pooling1d"},
            DENSE_2,
        ],
    },
    "masked sequences": {
        "input_shape": [6],
        "layers": [
            {"type": "embedding", "input_dim": 20, "output_dim": 3, "mask_zero": True},
            {"type": "bidirectional", "layer": {"type": "gru", "units": 3, "return_sequences": True}},
            {"type": "lstm", "units": 3, "zero_output_for_mask": True},
            DENSE_2,
        ],
    },
    "dropouts of a recurrent layer": {
        "input_shape": [6, 2],
        "layers": [{"type": "lstm", "units": 3, "dropout": 0.3, "recurrent_dropout": 0.3}, DENSE_2],
    },
    "several inputs and a shared layer": {
        "inputs": {"left": [4], "right": [4], "third": [2]},
        "layers": [
            {"type": "dense", "units": 3, "name": "both", "inputs": ["left"]},
            {"type": "shared", "layer": "both", "name": "again", "inputs": ["right"]},
            {"type": "subtract", "inputs": ["both", "again"], "name": "apart"},
            {"type": "concatenate", "inputs": ["apart", "third"]},
            DENSE_2,
        ],
    },
    "attention that looks back": {
        "input_shape": [6, 4],
        "layers": [
            {"type": "multi_head_attention", "num_heads": 2, "key_dim": 3, "use_causal_mask": True, "dropout": 0.2,
             "inputs": ["input", "input"]},
            {"type": "flatten"},
            DENSE_2,
        ],
    },
    "a convolution of each step": {
        "input_shape": [3, 6, 2],
        "layers": [
            {"type": "time_distributed", "layer": {"type": "conv1d", "filters": 2, "kernel_size": 3}},
            {"type": "time_distributed", "layer": {"type": "dropout", "rate": 0.3}},
            {"type": "flatten"},
            DENSE_2,
        ],
    },
}  # fmt: skip
"""Networks of options and graphs that no single layer has by default."""


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


def assert_engines_agree(engine: FusedEngine, model: dict[str, Any]) -> None:
    """Check that the second trial of two, trained together, has the history of `fit`."""
    trials = [CohortTrial(f"t{number}", spec) for number, spec in enumerate(specs_of(model), 1)]
    arrays = arrays_for(model)
    expected = trained(ReferenceEngine(), Cohort(trials[1:], arrays))
    assert len(expected.histories["t2"]) == 2
    if trials[0].spec.model.only_fit_trains:
        return
    found = trained(engine, Cohort(trials, arrays))
    for ours, theirs in zip(found.histories["t2"], expected.histories["t2"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-7)


@pytest.fixture(scope="module")
def engine() -> FusedEngine:
    return fused_engine()


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=PER_BACKEND) for kind in NETWORK_TYPES])
def test_layer_has_one_history_in_both_engines(engine: FusedEngine, kind: str) -> None:
    model = network(smallest(kind))
    assert model is not None
    assert_engines_agree(engine, model)


@pytest.mark.parametrize("name", [pytest.param(name, marks=PER_BACKEND) for name in OPTIONS])
def test_options_have_one_history_in_both_engines(engine: FusedEngine, name: str) -> None:
    assert_engines_agree(engine, OPTIONS[name])


# The same draws in each run, so that CI judges the change and not what was drawn.
@pytest.mark.nightly
@settings(max_examples=60, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.sampled_from(NETWORK_TYPES).flatmap(drawn))
def test_drawn_options_have_one_history_in_both_engines(engine: FusedEngine, layer: dict[str, Any]) -> None:
    try:
        model = network(layer)
    except ValidationError:
        reject()
    if model is None:
        reject()
    assert_engines_agree(engine, model)
