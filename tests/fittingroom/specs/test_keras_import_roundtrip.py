"""Round trip of `model.to_json()` to an equal network."""

import json
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import faults_in
from fittingroom.specs.model import Model
from fittingroom.specs.validation.graph import DoesNotConnect
from fittingroom.specs.validation.shapes import measure
from models.planning.plan import plan_experiment
from tests.factories import document
from tests.strategies import LAYERS
from tests.workers.engines.trials import trial_spec
from workers.builders.networks import build_network

L = keras.layers


def residual() -> keras.Model:
    rows = keras.Input((28, 28, 1))
    x = first = L.Conv2D(4, 3, padding="same", activation="relu")(rows)
    x = L.Conv2D(4, 3, padding="same", name="second")(x)
    x = L.ReLU()(L.Add()([first, x]))
    left, right = L.GlobalAveragePooling2D()(x), L.Flatten()(L.MaxPooling2D(4)(x))
    x = L.Concatenate()([left, right])
    x = L.Dropout(0.2)(L.BatchNormalization()(x))
    x = L.Subtract()([L.Dense(8)(x), L.Dense(8, kernel_initializer="he_normal")(x)])
    return keras.Model(rows, L.Dense(10, "softmax", kernel_regularizer=keras.regularizers.L1L2(0.1, 0.2))(x))


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((784,)),
            L.Reshape((28, 28, 1)),
            L.Conv2D(4, (3, 5), strides=2, activation="relu"),
            L.MaxPooling2D(),
            L.BatchNormalization(momentum=0.9, scale=False),
            L.LayerNormalization(epsilon=1e-5),
            L.Dropout(0.3),
            L.Flatten(),
            L.Dense(8, kernel_initializer=keras.initializers.RandomNormal(), bias_initializer="ones"),
            L.ELU(),
            L.Dense(10),
            L.Softmax(),
        ]
    )


def translated(model: keras.Model, *, as_text: bool = False) -> Model:
    text = model.to_json()
    changed = document(
        dataset={"name": "mnist-sample", "rows": 100}, model={"keras": text if as_text else json.loads(text)}
    )
    [trial] = plan_experiment(ExperimentSpec.model_validate(changed)).trials
    return trial.spec.model


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("make", [residual, sequential])
def test_imported_network_equals_the_original(make: Any, *, as_text: bool) -> None:
    """Equal weights give equal outputs and losses; the spec has no Keras document in it."""
    keras.utils.clear_session(free_memory=False)
    original = make()
    original.compile("adam", "mse")  # what it was compiled with does not matter
    model = translated(original, as_text=as_text)
    built = build_network(trial_spec().model_copy(update={"model": model}), 784)
    assert [layer.name for layer in built.layers if layer.name in {"second", "dense", "softmax"}] == [
        layer.name for layer in original.layers if layer.name in {"second", "dense", "softmax"}
    ]
    # Layers that run beside each other may be in another order: names tell which weights are whose.
    for layer in original.layers:
        if layer.weights:
            built.get_layer(layer.name).set_weights(layer.get_weights())
    x = np.random.default_rng(0).normal(size=(5, 784)).astype(np.float32)
    expected = original(x.reshape(5, *original.input_shape[1:]))
    np.testing.assert_allclose(built(x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sum(built.losses), sum(original.losses), rtol=1e-6)
    assert measure(model, 784).parameters == original.count_params()


@pytest.mark.parametrize("training", [None, False])
def test_option_of_a_call_at_its_default_says_nothing(training: bool | None) -> None:  # noqa: FBT001 - Keras's
    """Keras notes `training` of its own accord, and `fit` and `predict` override it."""
    rows = keras.Input((784,))
    model = translated(keras.Model(rows, L.Dense(10, "softmax")(L.Dropout(0.5)(rows, training=training))))
    assert [layer.type for layer in model.layers] == ["dropout", "dense"]


@pytest.mark.parametrize(("name", "value"), [("training", True), ("mask", [1]), ("training", 1), ("axis", 0)])
def test_other_options_of_a_call_are_refused(name: str, value: object) -> None:
    rows = keras.Input((784,))
    network = json.loads(keras.Model(rows, L.Dense(10, "softmax")(L.Dropout(0.5)(rows))).to_json())
    network["config"]["layers"][1]["inbound_nodes"][0]["kwargs"] = {"training": False, name: value}
    changed = document(dataset={"name": "mnist-sample", "rows": 100}, model={"keras": network})
    with pytest.raises(ValidationError) as raised:
        ExperimentSpec.model_validate(changed)
    [fault] = faults_in(raised.value, changed)
    assert fault.pointer == f"/model/keras/config/layers/1/inbound_nodes/0/kwargs/{name}"
    assert "call" in fault.detail


@settings(max_examples=40)
@given(st.lists(LAYERS, min_size=1, max_size=5))
def test_built_network_survives_the_roundtrip(given_layers: list[dict[str, Any]]) -> None:
    model = Model.model_validate({"layers": given_layers})
    try:
        measure(model, 784)
    except DoesNotConnect:
        return
    built = build_network(trial_spec().model_copy(update={"model": model}), 784)
    again = ExperimentSpec.model_validate(document(model={"keras": built.to_json()})).model
    assert again is not None
    assert measure(again, 784) == measure(model, 784)
    rebuilt = build_network(trial_spec().model_copy(update={"model": again}), 784)
    for ours, theirs in zip(rebuilt.get_weights(), built.get_weights(), strict=True):
        assert (ours == theirs).all()
