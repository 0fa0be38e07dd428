"""Graphs of Keras's own JSON are rebuilt with the outputs of the original."""

import json
import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import faults_in
from fittingroom.specs.model import Model
from fittingroom.specs.validation.shapes import measure
from tests.factories import document
from tests.workers.engines.trials import trial_spec
from workers.builders.networks import build_network

L, ops = keras.layers, keras.ops


def _input(*shape: int) -> Any:
    return keras.Input(shape)


def siamese() -> keras.Model:
    left, right, shared = _input(4), _input(4), L.Dense(3, activation="tanh")
    return keras.Model([left, right], L.Dense(1)(L.Subtract()([shared(left), shared(right)])))


def nested_twice() -> keras.Model:
    inner = keras.Sequential([_input(4), L.Dense(4, activation="relu"), keras.Sequential([_input(4), L.Dense(4)])])
    rows = _input(4)
    return keras.Model(rows, L.Dense(1)(inner(inner(rows))))


def nested_functional() -> keras.Model:
    left, right = _input(3), _input(3)
    inner = keras.Model([left, right], L.Concatenate()([L.Dense(2)(left), right]), name="inner")
    one, other = _input(3), _input(3)
    return keras.Model([one, other], L.Dense(1)(inner([other, one])))


def masked_words() -> keras.Model:
    rows = _input(6)
    steps = L.LSTM(3, return_sequences=True)(L.Embedding(20, 4, mask_zero=True)(rows))
    return keras.Model(rows, L.Dense(1)(L.GlobalAveragePooling1D()(L.Add()([steps, steps]))))


def masked_series() -> keras.Model:
    rows = _input(6, 2)
    return keras.Model(rows, L.Dense(1)(L.GRU(3)(L.Masking()(rows))))


def both_directions() -> keras.Model:
    rows = _input(6, 2)
    steps = L.Bidirectional(L.LSTM(3, return_sequences=True), merge_mode="sum")(rows)
    return keras.Model(rows, L.Dense(1)(L.Flatten()(L.TimeDistributed(L.Dense(2))(steps))))


def images_in_time() -> keras.Model:
    rows = _input(3, 6, 6, 1)
    steps = L.TimeDistributed(L.Flatten())(L.TimeDistributed(L.Conv2D(2, 3))(rows))
    return keras.Model(rows, L.Dense(1)(L.RNN([L.LSTMCell(3), L.GRUCell(2)])(steps)))


def attention_by_names() -> keras.Model:
    one, other = _input(5, 4), _input(3, 4)
    attended = L.MultiHeadAttention(2, 3, output_shape=7)(value=other, query=one, use_causal_mask=True)
    attended = L.Add()([attended, (again := L.MultiHeadAttention(2, 3))(attended, attended)])
    attended = again(attended, attended, use_causal_mask=True)
    grouped = L.GroupQueryAttention(2, 4, 2)(attended, L.Dense(7)(other))
    return keras.Model([one, other], L.Dense(1)(L.Flatten()(L.Attention()([grouped, L.Dense(7)(other)]))))


def operations() -> keras.Model:
    rows = _input(4)
    scaled = 1 - (rows * 2 + 1) / 4
    return keras.Model(rows, L.Dense(1)(ops.relu(scaled) + ops.maximum(rows, ops.tanh(scaled)) - rows))


def initializers() -> keras.Model:
    kernel = keras.initializers.VarianceScaling(2.0, "fan_out")
    dense = L.Dense(
        3, kernel_initializer=kernel, bias_initializer=keras.initializers.Constant(0.5), kernel_constraint="max_norm",
        kernel_regularizer=keras.regularizers.OrthogonalRegularizer(), activity_regularizer="l2",
    )  # fmt: skip
    einsum = L.EinsumDense("...x,xy->...y", output_shape=2, bias_axes="y")
    return keras.Sequential([_input(5, 4), dense, einsum, L.Flatten(), L.Dense(1)])


def two_outputs() -> keras.Model:
    rows, other = _input(4), _input(2)
    common = L.Dense(3, activation="tanh")(rows)
    price = L.Dense(1, name="price")(common)
    return keras.Model([rows, other], [price, L.Dense(2, name="kind")(L.Concatenate()([common, other, price]))])


def outputs_by_name() -> keras.Model:
    rows = _input(4)
    return keras.Model(rows, {"z": L.Dense(1, name="first")(rows), "a": L.Dense(2, name="a")(rows)})


def outputs_with_the_names_of_others() -> keras.Model:
    rows = _input(4)
    a, b, c = (L.Dense(units, name=name)(rows) for units, name in ((1, "a"), (2, "b"), (3, "c")))
    return keras.Model(rows, {"b": a, "a": b, "dense": L.Dense(1, name="d")(c), "c": L.Dense(1)(c)})


def outputs_of_networks() -> keras.Model:
    rows = _input(4)
    price = keras.Sequential([_input(4), L.Dense(3), L.Dense(1, name="kind")], name="price")
    return keras.Model(rows, [price(rows), keras.Sequential([_input(4), L.Dense(2)], name="kind")(rows)])


def network_that_gives_two_outputs() -> keras.Model:
    rows = _input(4)
    tower = keras.Sequential([_input(4), L.Dense(3), L.Dense(4)], name="tower")
    return keras.Model(rows, [tower(rows), tower(L.Dense(4, name="before")(rows))])


def outputs_with_numbered_names() -> keras.Model:
    rows = _input(4)
    hidden = L.Dense(4, name="a")(rows)
    last = L.Dense(2, name="b")(hidden)
    return keras.Model(rows, {"a": last, "a_1": last, "b": hidden, "b_1": L.Dense(1, name="a_2")(hidden)})


def output_that_stands_before_other_layers() -> keras.Model:
    rows = _input(4)
    first, second = L.Dense(4)(rows), L.Dense(4)(rows)
    return keras.Model(rows, [first, L.Add()([first, second])])


def outputs_of_one_layer() -> keras.Model:
    rows, shared = _input(4), L.Dense(4, activation="tanh")
    once = shared(rows)
    return keras.Model(rows, [shared(once), once, once])


GRAPHS = [
    siamese, nested_twice, nested_functional, masked_words, masked_series, both_directions, images_in_time,
    attention_by_names, operations, initializers, two_outputs, outputs_by_name, outputs_of_one_layer,
    outputs_with_the_names_of_others, outputs_of_networks, network_that_gives_two_outputs,
    output_that_stands_before_other_layers, outputs_with_numbered_names,
]  # fmt: skip


def translated(model: keras.Model) -> Model:
    found = ExperimentSpec.model_validate(document(model={"keras": json.loads(model.to_json())})).model
    assert found is not None
    return found


@pytest.mark.parametrize("make", GRAPHS)
def test_imported_graph_has_the_outputs_of_the_original(make: Callable[[], keras.Model]) -> None:
    """Both begin with the same weights by one seed, as Keras's own loader draws them in the same order."""
    text = make().to_json()
    random.seed(0)
    original = keras.models.model_from_json(text)
    model = translated(original)
    shapes = [tensor.shape[1:] for tensor in original.inputs]
    features = sum(int(np.prod(shape)) for shape in shapes)
    rows = np.random.default_rng(0).integers(0, 3, (5, features)).astype(np.float32)
    parts = np.split(rows, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1], axis=1)
    inputs = [part.reshape(5, *shape) for part, shape in zip(parts, shapes, strict=True)]
    ours = build_network(trial_spec().model_copy(update={"model": model}), features)
    theirs = original(inputs if len(inputs) > 1 else inputs[0])
    given = ours(rows)
    if isinstance(theirs, dict):
        given, theirs = dict(zip(ours.output_names, given, strict=True)), dict(theirs)
        assert list(given) == sorted(theirs)
    elif isinstance(theirs, list) and len(set(original.output_names)) == len(theirs):
        assert ours.output_names == original.output_names
    for one, other in zip(keras.tree.flatten(given), keras.tree.flatten(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert ours.count_params() == original.count_params() == measure(model, features).parameters
    assert len(ours.trainable_variables) == len(original.trainable_variables)


def shifted() -> keras.Model:
    rows = _input(4)
    return keras.Model(rows, L.Dense(1)(ops.leaky_relu(rows, negative_slope=0.5)))


def smoothed() -> keras.Model:
    rows = _input(4)
    return keras.Model(rows, L.Dense(1)(ops.gelu(rows)))


def summed() -> keras.Model:
    rows = _input(4)
    return keras.Model(rows, L.Dense(1)(ops.sum(rows, axis=1, keepdims=True)))


def masked_by_hand() -> keras.Model:
    rows = _input(6, 2)
    return keras.Model(rows, L.Dense(1)(L.LSTM(3)(rows, mask=ops.not_equal(rows[:, :, 0], 5.0))))


@pytest.mark.parametrize("make", [shifted, smoothed, summed, masked_by_hand])
def test_operation_without_a_layer_is_refused(make: Callable[[], keras.Model]) -> None:
    changed = document(model={"keras": json.loads(make().to_json())})
    with pytest.raises(ValidationError) as raised:
        ExperimentSpec.model_validate(changed)
    [fault] = faults_in(raised.value, changed)
    assert fault.pointer.startswith("/model/keras/config/layers/")
    assert "operation" in fault.detail
