"""Spec of a compiled Keras model, as `client.fit` sends it, held against Keras itself.

Stands among the workers' tests because it needs Keras; `fittingroom.client.keras_model` does not.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import TypeAdapter

from fittingroom.client.keras_model import NotShippableError, metric_names, spec_of
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.losses import Loss, LossSpec
from fittingroom.specs.metrics import Metric, MetricSpec
from fittingroom.specs.named import Named, kinds, name_of
from models.planning.plan import plan_experiment
from workers.builders.losses import build_loss
from workers.builders.metrics import build_metrics
from workers.builders.optimizers import build_optimizer

schedules = keras.optimizers.schedules
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "by name": lambda: "adam",
    "in capitals": lambda: "SGD",
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipnorm=1.0),
    "adam": lambda: keras.optimizers.Adam(0.01, beta_1=0.8, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(weight_decay=0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(rho=0.8, centered=True),
    "adagrad": lambda: keras.optimizers.Adagrad(initial_accumulator_value=0.2),
    "nadam": lambda: keras.optimizers.Nadam(global_clipnorm=2.0),
    "lion": lambda: keras.optimizers.Lion(beta_2=0.98),
    "adadelta": lambda: keras.optimizers.Adadelta(rho=0.9),
    "adamax": lambda: keras.optimizers.Adamax(beta_1=0.8),
    "ftrl": lambda: keras.optimizers.Ftrl(l1_regularization_strength=0.1, beta=0.2),
    "lamb": lambda: keras.optimizers.Lamb(weight_decay=0.01),
    "adafactor": lambda: keras.optimizers.Adafactor(relative_step=False),
    "muon": lambda: keras.optimizers.Muon(momentum=0.9, ns_steps=3),
    "schedule-free": lambda: keras.optimizers.ScheduleFreeAdamW(warmup_steps=10),
    "inverse time": lambda: keras.optimizers.SGD(schedules.InverseTimeDecay(0.1, 10, 0.5)),
    "polynomial": lambda: keras.optimizers.SGD(schedules.PolynomialDecay(0.1, 10, power=2.0)),
    "restarts": lambda: keras.optimizers.SGD(schedules.CosineDecayRestarts(0.1, 10, m_mul=0.5)),
    "exponential": lambda: keras.optimizers.SGD(schedules.ExponentialDecay(0.1, 10, 0.9, staircase=True)),
    "cosine": lambda: keras.optimizers.SGD(schedules.CosineDecay(0.1, 100, alpha=0.1)),
    "piecewise": lambda: keras.optimizers.SGD(schedules.PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001])),
}
LOSSES: dict[str, Callable[[], Any]] = {
    "by name": lambda: "categorical_crossentropy",
    "categorical": lambda: keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
    "from logits": lambda: keras.losses.CategoricalCrossentropy(from_logits=True),
    "sparse": keras.losses.SparseCategoricalCrossentropy,
    "focal": lambda: keras.losses.CategoricalFocalCrossentropy(gamma=1.5),
    "kl divergence": keras.losses.KLDivergence,
    "categorical hinge": lambda: "categorical_hinge",
    "percentage": keras.losses.MeanAbsolutePercentageError,
    "log cosh by name": lambda: "log_cosh",
    "cosine": keras.losses.CosineSimilarity,
    "sparse by name": lambda: "sparse_categorical_crossentropy",
}
METRICS: dict[str, Callable[[], Any]] = {
    "none": list,
    "by name": lambda: ["accuracy"],
    "short": lambda: ["acc"],
    "top k": lambda: [keras.metrics.TopKCategoricalAccuracy(k=1, name="top_k")],
    "auc": lambda: [keras.metrics.AUC(curve="PR", num_thresholds=100, name="auc")],
    "errors": lambda: ["mse", keras.metrics.MeanSquaredLogarithmicError(), keras.metrics.LogCoshError()],
    "counts": lambda: [keras.metrics.TruePositives(), keras.metrics.FalseNegatives(thresholds=0.3)],
    "f1": lambda: [keras.metrics.F1Score(average="macro")],
    "several": lambda: ["accuracy", keras.metrics.Precision(name="precision"), keras.metrics.Recall(thresholds=0.7)],
}


def mse(truth: Any, found: Any) -> Any:
    """Another one than Keras's."""
    return keras.ops.mean(keras.ops.abs(truth - found))


def network() -> Any:
    return keras.Sequential(
        [keras.Input((10,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2, activation="softmax")]
    )


def shipped(**compiled: Any) -> ExperimentSpec:
    model = network()
    model.compile(**{"optimizer": "adam", "loss": "categorical_crossentropy", **compiled})
    spec = ExperimentSpec.model_validate(spec_of(model, "titanic", fit={"epochs": 2, "validation_split": 0.3}))
    plan_experiment(spec)
    return spec


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str) -> None:
    given = keras.optimizers.get(OPTIMIZERS[name]()).get_config()
    built = build_optimizer(shipped(optimizer=OPTIMIZERS[name]()).optimizer).get_config()
    assert built | {"name": ""} == given | {"name": ""}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    given = keras.losses.get(LOSSES[name]())
    built = build_loss(shipped(loss=LOSSES[name]()).loss).get_config()
    told = given.get_config() if isinstance(given, keras.losses.Loss) else {}
    assert {key: built[key] for key in told if key in built} == {key: told[key] for key in told if key in built}


@pytest.mark.parametrize("name", METRICS)
def test_metrics(name: str) -> None:
    spec = shipped(metrics=METRICS[name]())
    built = build_metrics(spec.metrics, "one_hot")
    assert len(built) == len(METRICS[name]())


@pytest.mark.parametrize(
    ("given", "ours", "keras_name"),
    [
        ("acc", "accuracy", "acc"),
        ("categorical_accuracy", "accuracy", "categorical_accuracy"),
        (keras.metrics.CategoricalAccuracy(name="mine"), "accuracy", "mine"),
        (keras.metrics.TopKCategoricalAccuracy(k=1), "top_k", "top_k_categorical_accuracy"),
        (keras.metrics.Precision(), "precision", "precision"),
        ("mean_squared_error", "mse", "mean_squared_error"),
        (keras.metrics.LogCoshError(), "log_cosh", "logcosh"),
    ],
)
def test_metrics_have_the_names_of_keras_in_a_history(given: Any, ours: str, keras_name: str) -> None:
    model = network()
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=[given])
    assert metric_names(model) == {ours: keras_name}
    model.fit(keras.ops.ones((4, 10)), keras.ops.ones((4, 2)), verbose=0)
    assert keras_name in model.history.history


@pytest.mark.parametrize(
    ("metric", "loss"),
    [
        ("sparse_categorical_accuracy", "categorical_crossentropy"),
        (keras.metrics.CategoricalAccuracy(), "binary_crossentropy"),
        (keras.metrics.Accuracy(), "categorical_crossentropy"),
        ("categorical_accuracy", "binary_focal_crossentropy"),
    ],
)
def test_another_accuracy_than_ours_is_refused(metric: Any, loss: str) -> None:
    with pytest.raises(NotShippableError, match='give "accuracy"'):
        shipped(metrics=[metric], loss=loss)


def test_f1_score_of_each_class_is_refused() -> None:
    with pytest.raises(NotShippableError, match="average='macro'"):
        shipped(metrics=["f1_score"])


@pytest.mark.parametrize("loss", ["kl_divergence", "categorical_hinge"])
def test_categorical_accuracy_is_accuracy_with_every_loss_of_classes(loss: str) -> None:
    assert [metric.name for metric in shipped(metrics=["categorical_accuracy"], loss=loss).metrics] == ["accuracy"]


@pytest.mark.parametrize("metric", ["binary_accuracy", keras.metrics.BinaryAccuracy()])
def test_binary_accuracy_keeps_its_name(metric: Any) -> None:
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=[metric])
    [found] = spec_of(model, "titanic")["metrics"]
    assert found in ("binary_accuracy", {"name": "binary_accuracy", "threshold": 0.5})


@pytest.mark.parametrize(
    ("compiled", "says"),
    [
        ({"loss": mse}, "in the place of a function"),
        ({"loss": keras.losses.CategoricalCrossentropy(reduction="sum")}, "reduction"),
        ({"loss_weights": [2.0]}, "loss_weights"),
        ({"weighted_metrics": ["accuracy"]}, "weighted_metrics"),
        ({"loss": keras.losses.Dice()}, "dice"),
    ],
    ids=["a function of one's own", "reduction", "loss_weights", "weighted_metrics", "an unsupported loss"],
)
def test_unsupported_compile_options_are_refused(compiled: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):  # ours, or the spec's own
        shipped(**compiled)


def test_a_model_that_was_not_compiled_is_refused() -> None:
    with pytest.raises(NotShippableError, match="compile"):
        spec_of(network(), "titanic")


def other_options(kind: type[Named]) -> dict[str, Any]:
    """Return options of a loss or a metric of which none has its default."""
    options: dict[str, Any] = {"name": name_of(kind)}
    for option, field in kind.model_fields.items():
        if option == "name":
            continue
        if isinstance(field.default, bool):
            options[option] = not field.default
        elif field.default == "ROC":
            options[option] = "PR"
        elif option == "average":
            options[option] = "micro"
        else:
            options[option] = field.default + 1 if isinstance(field.default, int) else 0.625
    return options


@pytest.mark.parametrize("kind", kinds(LossSpec))
def test_every_option_of_a_loss_is_shipped(kind: type[LossSpec]) -> None:
    expected = kind.model_validate(other_options(kind))
    model = network()
    model.compile("adam", build_loss(expected))
    assert _read(Loss, spec_of(model, "titanic")["loss"]) == expected


@pytest.mark.parametrize("kind", kinds(MetricSpec))
def test_every_option_of_a_metric_is_shipped(kind: type[MetricSpec]) -> None:
    expected = kind.model_validate(other_options(kind))
    model = network()
    model.compile("adam", "categorical_crossentropy", metrics=build_metrics([expected], "one_hot"))
    [found] = spec_of(model, "titanic")["metrics"]
    assert _read(Metric, found) == expected


def _read(of: Any, document: Any) -> Any:
    return TypeAdapter(of).validate_python(document)


def two_outputs() -> Any:
    rows = keras.Input((10,))
    first, second = (keras.layers.Dense(2, activation="softmax", name=name)(rows) for name in ("first", "second"))
    return keras.Model(rows, [first, second])


SEVERAL: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "by name": (
        {"loss": {"first": "categorical_crossentropy", "second": "mse"}, "loss_weights": {"second": 0.5},
         "metrics": {"second": "mae"}},
        {"loss": {"first": "categorical_crossentropy", "second": "mse"}, "loss_weights": {"second": 0.5},
         "metrics": {"first": [], "second": ["mae"]}},
    ),
    "in order": (
        {"loss": ["categorical_crossentropy", "mse"], "loss_weights": [1.0, 0.5], "metrics": [["accuracy"], None]},
        {"loss": {"first": "categorical_crossentropy", "second": "mse"},
         "loss_weights": {"first": 1.0, "second": 0.5}, "metrics": {"first": ["accuracy"], "second": []}},
    ),
    "one loss for all": (
        {"loss": keras.losses.Huber(0.5)},
        {"loss": {"first": {"name": "huber", "delta": 0.5}, "second": {"name": "huber", "delta": 0.5}},
         "metrics": {"first": [], "second": []}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
def test_compiled_losses_of_several_outputs_are_shipped(name: str) -> None:
    model, (compiled, expected) = two_outputs(), SEVERAL[name]
    model.compile("adam", **compiled)
    spec = spec_of(model, "titanic", fit={"validation_split": 0.3})
    assert {key: spec[key] for key in expected} == expected
    plan_experiment(ExperimentSpec.model_validate(spec))


def test_losses_in_a_list_are_of_outputs_by_sorted_name() -> None:
    """Keras sorts a dictionary of outputs, whatever its order."""
    rows = keras.Input((10,))
    model = keras.Model(rows, {"b": keras.layers.Dense(1, name="b")(rows), "a": keras.layers.Dense(1, name="a")(rows)})
    model.compile("adam", ["mse", "mae"], loss_weights=[0.5, 2.0])
    spec = spec_of(model, "titanic")
    assert (spec["loss"], spec["loss_weights"]) == ({"a": "mse", "b": "mae"}, {"a": 0.5, "b": 2.0})
    model.compile("adam", ["mse", "mae"])
    for layer in model.layers[1:]:
        layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
    targets = {"a": np.full((1, 1), 3.0), "b": np.full((1, 1), 5.0)}
    measured = model.evaluate(np.zeros((1, 10)), targets, verbose=0, return_dict=True)
    assert (measured["a_loss"], measured["b_loss"]) == (9.0, 5.0)


def test_outputs_that_are_networks_have_their_names() -> None:
    rows = keras.Input((10,))
    outputs = [keras.Sequential([keras.layers.Dense(1, name="z")], name=name)(rows) for name in ("price", "kind")]
    model = keras.Model(rows, outputs)
    model.compile("adam", {"price": "mse", "kind": "mae"}, metrics={"kind": ["mse"]})
    assert spec_of(model, "titanic")["loss"] == {"price": "mse", "kind": "mae"}
    assert metric_names(model) == {"kind_mse": "kind_mse"}


def test_network_of_several_outputs_that_is_not_supported_is_left_to_the_service() -> None:
    rows = keras.Input((10,))
    hidden = keras.layers.Lambda(lambda tensor: tensor)(rows)
    model = keras.Model(rows, [keras.layers.Dense(1, name=name)(hidden) for name in ("a", "b")])
    model.compile("adam", ["mse", "mae"])
    with pytest.raises(ValueError, match="Lambda"):
        ExperimentSpec.model_validate(spec_of(model, "titanic"))


def test_metrics_of_several_outputs_have_the_names_of_keras() -> None:
    model = two_outputs()
    model.compile("adam", "mse", metrics={"second": [keras.metrics.AUC(name="area")]})
    assert metric_names(model) == {"second_auc": "second_area"}


@pytest.mark.parametrize(
    "compiled",
    [
        {"loss": {"first": "mse"}},
        {"loss": ["mse", None]},
        {"loss": "mse", "metrics": ["mae"]},
        {"loss": {"first": "mse", "third": "mse"}},
    ],
)
def test_outputs_without_a_loss_or_metrics_of_none_are_refused(compiled: dict[str, Any]) -> None:
    model = two_outputs()
    model.compile("adam", **compiled)
    with pytest.raises(NotShippableError, match="output"):
        spec_of(model, "titanic")
