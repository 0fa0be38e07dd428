"""Networks, optimizers and metrics are what Keras makes of the same words."""

from typing import Any

import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fittingroom.specs import optimizers as o
from fittingroom.specs import schedules
from fittingroom.specs.model import Model
from fittingroom.specs.validation.graph import DoesNotConnect
from fittingroom.specs.validation.shapes import measure
from tests.strategies import LAYERS
from tests.workers.engines.trials import trial_spec
from workers.builders.networks import build_compiled, build_network, describe
from workers.builders.optimizers import build_optimizer


@settings(max_examples=120)
@given(st.lists(LAYERS, min_size=1, max_size=6))
def test_shapes_and_parameters_are_those_of_keras(given_layers: list[dict[str, Any]]) -> None:
    model = Model.model_validate({"layers": given_layers})
    spec = trial_spec().model_copy(update={"model": model})
    try:
        network = measure(model, 784)
    except DoesNotConnect:
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever Keras says, it must refuse too
            build_network(spec, 784)
        return
    built = build_network(spec, 784)
    assert built.output_shape[1:] == network.outputs[0]
    assert built.count_params() == network.parameters


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Nadam", "Lion"])
def test_an_optimizer_by_its_name_alone_has_keras_defaults(name: str) -> None:
    ours = build_optimizer(getattr(o, name)(name=name.lower())).get_config()
    theirs = getattr(keras.optimizers, name)().get_config()
    assert ours.keys() == theirs.keys()
    for key in theirs.keys() - {"name"}:
        assert ours[key] == pytest.approx(theirs[key]), key


@pytest.mark.parametrize(
    ("schedule", "keras_schedule"),
    [
        (
            schedules.ExponentialDecay(
                schedule="exponential_decay", initial_learning_rate=0.1, decay_steps=7, decay_rate=0.5
            ),
            keras.optimizers.schedules.ExponentialDecay(0.1, 7, 0.5),
        ),
        (
            schedules.CosineDecay(schedule="cosine_decay", initial_learning_rate=0.1, decay_steps=20, alpha=0.1,
                          warmup_target=0.3, warmup_steps=5),
            keras.optimizers.schedules.CosineDecay(0.1, 20, 0.1, warmup_target=0.3, warmup_steps=5),
        ),
        (
            schedules.PiecewiseConstantDecay(
                schedule="piecewise_constant_decay", boundaries=[3, 9], values=[0.3, 0.2, 0.1]
            ),
            keras.optimizers.schedules.PiecewiseConstantDecay([3, 9], [0.3, 0.2, 0.1]),
        ),
    ],
    ids=["exponential", "cosine", "piecewise"],
)  # fmt: skip
def test_a_schedule_gives_keras_rates(schedule: schedules.Schedule, keras_schedule: Any) -> None:
    optimizer = build_optimizer(o.SGD(name="sgd", learning_rate=schedule))
    ours = optimizer._learning_rate  # noqa: SLF001 - there is no other way to see the schedule
    assert [float(ours(step)) for step in range(25)] == [float(keras_schedule(step)) for step in range(25)]


def test_every_layer_option_reaches_keras() -> None:
    dense = {
        "type": "dense", "units": 3, "activation": "tanh", "use_bias": False, "kernel_initializer": "he_normal",
        "kernel_regularizer": {"l1": 0.1, "l2": 0.2},
    }  # fmt: skip
    layer = build_network(
        trial_spec(model={"layers": [dense, {"type": "dense", "units": 2, "activation": "softmax"}]}), 10
    ).layers[0]
    config = layer.get_config()
    assert (config["units"], config["activation"], config["use_bias"]) == (3, "tanh", False)
    assert config["kernel_initializer"]["class_name"] == "HeNormal"
    assert config["kernel_regularizer"]["config"] == pytest.approx({"l1": 0.1, "l2": 0.2})


def test_the_same_seed_gives_the_same_weights() -> None:
    one, again, other = (build_compiled(trial_spec(seeds=[seed]), 10).get_weights() for seed in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


def test_description_equals_the_summary_of_keras() -> None:
    description = describe(trial_spec(), 10)
    assert description.parameter_count == 54
    assert "dense_1 (Dense)" in description.summary
    assert "Total params: 54" in description.summary


@pytest.mark.parametrize(
    "given", ["dense", "dense_1", "input_layer", "reshape", "functional", "sequential", "0.a", "add"]
)
@pytest.mark.parametrize("is_chain", [True, False])
def test_a_clients_name_meets_none_that_keras_would_choose(given: str, *, is_chain: bool) -> None:
    """Whatever was accepted can be built: names of Keras's own are given only where no layer has one."""
    dense = {"type": "dense", "units": 4}
    last = [dense] if is_chain else [{"type": "add", "inputs": [given, "input"]}]
    named = (
        [{"type": "flatten"}, dense, dense | {"units": 16, "name": given}] if is_chain else [dense | {"name": given}]
    )
    shape = [4, 4, 1] if is_chain else [4]
    model = Model.model_validate({"input_shape": shape, "layers": [*named, *last, {"type": "dense", "units": 2}]})
    features = 16 if is_chain else 4
    network = measure(model, features)
    built = build_network(trial_spec().model_copy(update={"model": model}), features)
    assert built.output_shape[1:] == network.outputs[0]
    assert given in [layer.name for layer in built.layers]
