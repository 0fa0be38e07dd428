"""Networks with several outputs: what is refused, where, and what a history is called."""

from collections.abc import Mapping
from typing import Any

import pytest

from fittingroom.specs.datasets import BUILT_IN_DATASETS, DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec, TrialSpec
from fittingroom.specs.faults import InvalidSpec
from fittingroom.specs.heads import recorded_metrics
from fittingroom.specs.objectives import better_direction
from fittingroom.specs.targets import Target, columns_of
from models.planning.plan import plan_experiment
from tests.factories import document
from tests.fittingroom.specs.test_experiment import faults

HIDDEN = {"type": "dense", "units": 4, "activation": "relu", "name": "hidden"}
EARLY = {"type": "dense", "units": 1, "activation": "sigmoid", "name": "early"}
LATE = {"type": "dense", "units": 2, "activation": "softmax", "name": "late", "inputs": ["hidden"]}
MODEL: dict[str, Any] = {"layers": [HIDDEN, EARLY, LATE], "outputs": ["early", "late"]}
LOSS: dict[str, Any] = {"early": "binary_crossentropy", "late": "categorical_crossentropy"}
HOUSES = DatasetSchema(
    name="houses", description="", source="", rows=50, features=10, targets=3, classes=None, feature_names=[],
    class_names=[],
)  # fmt: skip


def two(**changes: Any) -> dict[str, Any]:
    return document(**{"model": MODEL, "loss": LOSS, "metrics": {"late": ["accuracy"]}} | changes)


def with_layer(name: str, **changes: Any) -> dict[str, Any]:
    layers = [layer | changes if layer["name"] == name else layer for layer in MODEL["layers"]]
    return MODEL | {"layers": layers}


def refused_for(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return what the plan says of a spec that pydantic takes."""
    known = {**BUILT_IN_DATASETS, "houses": HOUSES}
    with pytest.raises(InvalidSpec) as caught:
        plan_experiment(ExperimentSpec.model_validate(spec), datasets=known)
    return {fault.pointer: fault.detail for fault in caught.value.faults}


MALFORMED: dict[str, tuple[dict[str, Any], str, str]] = {
    "an output that no layer gives": (two(model=MODEL | {"outputs": ["early", "lat"]}), "/model", "no layer is called"),
    "one output": (two(model=MODEL | {"outputs": ["late"]}), "/model/outputs", "at least 2"),
    "an output twice": (two(model=MODEL | {"outputs": ["late", "late"]}), "/model", "duplicate output"),
    "an output called as a key of a loss": (
        two(model={"layers": [HIDDEN, EARLY | {"name": "name"}, LATE], "outputs": ["name", "late"]}), "/model",
        "rename",
    ),
    "an output called as what is validated": (
        two(model={"layers": [HIDDEN, EARLY | {"name": "val"}, LATE], "outputs": ["val", "late"]}), "/model",
        "rename",
    ),
    "metrics of one name": (
        two(model={"layers": [HIDDEN, EARLY | {"name": "late_sparse"}, LATE], "outputs": ["late_sparse", "late"]},
            loss={"late_sparse": "binary_crossentropy", "late": "sparse_categorical_crossentropy"},
            metrics={"late_sparse": ["categorical_crossentropy"], "late": ["sparse_categorical_crossentropy"]}),
        "/metrics", "late_sparse_categorical_crossentropy",
    ),
    "a shared layer": (
        two(model={"layers": [HIDDEN, LATE, {"type": "shared", "layer": "late", "name": "early"}],
                   "outputs": ["early", "late"]}),
        "/model", "called again",
    ),
    "a loss of nothing": (two(loss={}), "/loss", "name"),
    "an unknown loss of one output": (two(loss=LOSS | {"late": "mes"}), "/loss/late", "mse"),
    "an option of one output's loss": (
        two(loss=LOSS | {"late": {"name": "huber", "delta": -1}}), "/loss/late/delta", "greater than 0",
    ),
    "weights of other outputs": (two(loss_weights={"middle": 1}), "/loss_weights/middle", "early, late"),
    "weights of one loss": (document(loss_weights={"late": 1}), "/loss_weights/late", "one loss"),
    "a negative weight": (two(loss_weights={"late": -1}), "/loss_weights/late", "greater than or equal to 0"),
    "metrics of other outputs": (two(metrics={"middle": ["mae"]}), "/metrics/middle", "early, late"),
    "metrics of no output": (two(metrics=["mae"]), "/metrics", "by outputs"),
    "a metric twice": (two(metrics={"late": ["mae", "mae"]}), "/metrics/late", "duplicate metric"),
    "an unknown metric": (two(metrics={"late": ["ma"]}), "/metrics/late/0", "mae"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_outputs_are_refused_in_their_place(name: str) -> None:
    spec, place, detail = MALFORMED[name]
    found = faults(spec)
    assert list(found) == [place]
    assert detail in found[place]


UNTRAINABLE: dict[str, tuple[dict[str, Any], str, str]] = {
    "one loss": (two(loss="mse", metrics=[]), "/loss", "early, late"),
    "losses of one output": (
        document(loss={"late": "mse", "early": "mse"}, metrics={}), "/model", "this network has one output",
    ),
    "losses of other outputs": (
        two(loss={"early": "binary_crossentropy", "last": "mse"}, metrics={}), "/model/outputs", "early, last",
    ),
    "class weights": (two(fit={"class_weight": {"0": 2}}), "/fit/class_weight", "loss_weights"),
    "a metric that is not recorded": (
        two(objective={"metric": "val_accuracy"}, fit={"validation_split": 0.3}), "/objective/metric",
        "val_late_accuracy",
    ),
    "units": (two(model=with_layer("late", units=3)), "/model/layers/2/units", "one unit per class"),
    "an activation": (two(model=with_layer("early", activation="relu")), "/model/layers/1/activation", "sigmoid"),
    "a loss for classes of one unit": (
        two(loss=LOSS | {"early": "categorical_crossentropy"}), "/loss/early", "one output per class",
    ),
    "a metric of one-hot targets": (
        two(loss=LOSS | {"late": "sparse_categorical_crossentropy"}, metrics={"late": ["auc"]}), "/metrics/late/0",
        "class numbers",
    ),
    "a metric of several units": (
        two(metrics={"early": ["accuracy", "pearson_correlation"]}), "/metrics/early/1", "the network gives one",
    ),
    "classes that are always among the first": (
        two(dataset="houses", loss={"early": "mse", "late": "sparse_categorical_crossentropy"},
            metrics={"late": ["top_k"]}, model=with_layer("early", units=2)),
        "/metrics/late/0", "2 units",
    ),
    "an output of several axes": (
        two(model={"layers": [{"type": "reshape", "target_shape": [5, 2], "name": "early"},
                              {"type": "flatten"}, LATE | {"inputs": None}], "outputs": ["early", "late"]}),
        "/model/layers/0", "add flatten",
    ),
    "a layer that leads nowhere": (
        two(model={"layers": [HIDDEN, EARLY, LATE, HIDDEN | {"name": "more"}], "outputs": ["early", "late"]}),
        "/model/layers/3", "nor is it among the outputs",
    ),
    "targets that are not divided": (
        two(dataset="houses", loss={"early": "mse", "late": "mae"}, metrics={},
            model=with_layer("late", units=1, activation="linear")),
        "/model/layers/1", "1 + 1 = 2 numbers, and houses has 3",
    ),
    "a part of each class of numbers": (
        two(dataset="houses", loss={"early": "mse", "late": "mse"}, metrics={},
            fit={"validation_split": 0.3, "split": "stratified"}),
        "/fit/split", "no classes",
    ),
    "numbers as classes": (
        two(dataset="houses", loss={"early": "mse", "late": "mse"}, metrics={"late": ["accuracy"]}), "/metrics/late/0",
        "for classes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNTRAINABLE)
def test_untrainable_outputs_are_refused_in_their_place(name: str) -> None:
    spec, place, detail = UNTRAINABLE[name]
    found = refused_for(spec)
    assert list(found) == [place]
    assert detail in found[place]


def test_outputs_divide_the_targets_of_a_row() -> None:
    spec = two(
        dataset="houses", loss={"late": "sparse_categorical_crossentropy", "early": "mse"}, metrics={},
        model={"layers": [HIDDEN, EARLY | {"units": 2}, LATE], "outputs": ["late", "early"]},
    )  # fmt: skip
    [trial] = plan_experiment(ExperimentSpec.model_validate(spec), datasets={"houses": HOUSES}).trials
    assert [head.output for head in trial.spec.heads] == ["late", "early"], "in the order of the network's outputs"


def test_a_layer_that_changes_nothing_hides_no_softmax() -> None:
    layers = [HIDDEN, EARLY, LATE | {"name": "classes"}, {"type": "activation", "activation": "linear", "name": "late"}]
    plan_experiment(ExperimentSpec.model_validate(two(model={"layers": layers, "outputs": ["early", "late"]})))


def test_shared_targets_stand_once() -> None:
    number, one_hot, index = Target("number", 1), Target("one_hot", 3), Target("index", 3)
    assert columns_of([number, one_hot, index], 5) == [slice(0, 1), slice(1, 4), slice(4, 5)]
    assert columns_of([one_hot, one_hot], 3) == [slice(0, 3), slice(0, 3)]
    assert columns_of([one_hot, index, one_hot], 4) == [slice(0, 3), slice(3, 4), slice(0, 3)]
    assert columns_of([index, number], 1) == [slice(0, 1), slice(0, 1)]


def test_the_history_has_the_names_of_keras() -> None:
    spec = ExperimentSpec.model_validate(two(metrics={"late": ["accuracy", "auc"], "early": ["mae"]}))
    assert recorded_metrics(spec.heads, validated=True, rate_changes=True) == [
        "loss", "early_loss", "late_loss", "early_mae", "late_accuracy", "late_auc", "val_loss", "val_early_loss",
        "val_late_loss", "val_early_mae", "val_late_accuracy", "val_late_auc", "learning_rate",
    ]  # fmt: skip


def test_metrics_of_an_output_improve_in_their_own_direction() -> None:
    for name in ("val_late_accuracy", "late_top_k", "val_auc", "a_precision_at_recall", "top_k_pearson_correlation"):
        assert better_direction(name) == "maximize", name
    for name in ("val_late_loss", "accuracy_loss", "late_false_positives", "val_mae", "auc_hinge", "learning_rate"):
        assert better_direction(name) == "minimize", name


def test_losses_of_outputs_may_be_searched() -> None:
    late = {"name": "categorical_crossentropy", "label_smoothing": {"choice": [0.0, 0.1]}}
    trials = plan_experiment(ExperimentSpec.model_validate(two(loss=LOSS | {"late": late}))).trials
    assert [trial.hyperparameters for trial in trials] == [
        {"loss.late.label_smoothing": 0.0}, {"loss.late.label_smoothing": 0.1},
    ]  # fmt: skip
    for trial in trials:
        assert TrialSpec.model_validate_json(trial.spec.model_dump_json()) == trial.spec
