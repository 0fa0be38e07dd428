"""Each layer has the shape and the weights that Keras gives it, whatever its options."""

import re
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.layers.registry import LAYER_TYPES
from fittingroom.specs.model import Model
from fittingroom.specs.validation.shapes import measure
from tests.drawn_layers import NETWORK_TYPES, drawn, features_of, network, smallest
from tests.factories import document
from tests.workers.engines.trials import trial_spec
from workers.builders.networks import build_network

SPEC = trial_spec()
KERAS_NAMES = {kind: layer.__name__ for kind, layer in LAYER_TYPES.items()}


def assert_measured_as_built(layer: dict[str, Any]) -> None:
    """Check that a network around a layer is what arithmetic says, and that Keras can compute it."""
    try:
        document = network(layer)
    except ValidationError:
        reject()
    if document is None:
        reject()
    model, features = Model.model_validate(document), features_of(document)
    measured = measure(model, features)
    built = build_network(SPEC.model_copy(update={"model": model}), features)
    assert built.output_shape[1:] == measured.outputs[0]
    assert built.count_params() == measured.parameters
    assert _computed(built, np.ones((2, features), np.float32)).shape == (2, 2)


def _computed(model: keras.Model, rows: np.ndarray) -> Any:
    """Return the outputs of a network; by XLA where TensorFlow has no kernel for its dilations and strides.

    oneDNN has them, which TensorFlow uses by default on CPUs with AVX-512 alone.
    """
    try:
        return model(rows, training=True)
    except Exception as error:
        if re.search("Current (CPU )?implementation", str(error)) is None:
            raise
    model.compile(jit_compile=True)
    return model.predict(rows, verbose=0)


@pytest.mark.parametrize("kind", NETWORK_TYPES)
@settings(max_examples=4, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_drawn_options_are_measured_as_keras_builds(kind: str, data: st.DataObject) -> None:
    assert_measured_as_built(data.draw(drawn(kind)))


@pytest.mark.nightly
@pytest.mark.parametrize("kind", NETWORK_TYPES)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_many_drawn_options_are_measured_as_keras_builds(kind: str, data: st.DataObject) -> None:
    assert_measured_as_built(data.draw(drawn(kind)))


@pytest.mark.parametrize("kind", NETWORK_TYPES)
def test_built_layer_is_imported_with_its_options(kind: str) -> None:
    layer = smallest(kind)
    given_document = network(layer)
    assert given_document is not None
    model, features = Model.model_validate(given_document), features_of(given_document)
    built = build_network(SPEC.model_copy(update={"model": model}), features)
    again = ExperimentSpec.model_validate(document(model={"keras": built.to_json()})).model
    assert again is not None
    assert measure(again, features)[:2] == measure(model, features)[:2]
    rebuilt = build_network(SPEC.model_copy(update={"model": again}), features)
    for layer in built.layers:
        if type(layer).__name__ == KERAS_NAMES[kind]:
            assert rebuilt.get_layer(layer.name).get_config() == layer.get_config()
