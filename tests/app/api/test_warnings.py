"""Warnings: said by the plan and kept with the experiment; nothing is refused for them."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.examples import example_documents
from tests.factories import document, layers

pytestmark = pytest.mark.usefixtures("reader_in_process")
KINDS = ["setosa"] * 10 + ["versicolor"] * 10 + ["virginica"] * 10
ONE = {"type": "dense", "units": 1}


def iris(order: list[int], kinds: list[str] = KINDS) -> str:
    return "a,same,t\n" + "".join(f"{row / 10},1,{kinds[row]}\n" for row in order)


def three(**changes: Any) -> dict[str, Any]:
    softmax = {"type": "dense", "units": 3, "activation": "softmax"}
    return document(dataset={"name": "iris"}, model=layers(softmax), fit={"validation_split": 0.3}) | changes


Upload = Callable[[str, str], None]


@pytest.fixture
def upload(http: httpx.Client) -> Upload:
    def uploads(name: str, content: str) -> None:
        answer = http.post(f"/v1/datasets?name={name}&target=t", content=content, headers={"Content-Type": "text/csv"})
        assert answer.status_code == 201, answer.text

    return uploads


def warnings(http: httpx.Client, spec: dict[str, Any]) -> dict[str, str]:
    """Return the details of a plan's warnings by pointer; they are those of the experiment, too."""
    planned = http.post("/v1/experiments/plan", json=spec)
    assert planned.status_code == 200, planned.text
    found = planned.json()["warnings"]
    submitted = http.post("/v1/experiments", json=spec)
    assert submitted.json()["warnings"] == found
    assert http.get(submitted.headers["location"]).json()["warnings"] == found
    return {warning["pointer"]: warning["detail"] for warning in found}


def test_classes_that_are_never_trained_are_named(http: httpx.Client, upload: Upload) -> None:
    upload("iris", iris(list(range(30))))
    found = warnings(http, three())
    assert found["/fit/validation_split"] == (
        "the last 9 rows are for validation; classes without a row for validation: 'setosa', 'versicolor'; "
        'give "split": "stratified" in fit'
    )
    assert found["/dataset/name"] == "columns that are the same in all rows: 'same'"
    shuffled = warnings(http, three(dataset={"name": "iris", "rows": 30}))
    assert shuffled.keys() == {"/dataset/name"}


def test_class_for_validation_alone_is_named(http: httpx.Client, upload: Upload) -> None:
    kinds = ["one", "two"] * 10 + ["three"] * 10
    upload("iris", iris(list(range(30)), kinds))
    planned = http.post("/v1/experiments/plan", json=three(fit={"validation_split": 0.34})).json()["warnings"]
    details = [warning["detail"] for warning in planned if warning["pointer"] == "/fit/validation_split"]
    assert len(details) == 2
    assert "classes without a row for training: 'three'; " in details[0]
    assert "classes without a row for validation: 'one'; " in details[1]


@pytest.mark.parametrize("fit", [{}, {"validation_split": 0.3}, {"folds": 2}], ids=["alone", "validation", "folds"])
def test_class_for_the_test_alone_is_named(http: httpx.Client, upload: Upload, fit: dict[str, Any]) -> None:
    upload("iris", iris(list(range(30)), ["one"] * 10 + ["two"] * 10 + ["three"] * 10))
    found = warnings(http, three(fit=fit | {"test_split": 0.34}))
    assert "for the test: 'three'; give" in found["/fit/test_split"]
    if "validation_split" in fit:
        assert "the last 6 rows before those for the test are for validation" in found["/fit/validation_split"]
    assert "three" not in found.get("/fit/folds", "") + found.get("/fit/validation_split", "")


def test_classes_absent_from_a_validation_set_are_named(http: httpx.Client, upload: Upload) -> None:
    upload("iris", iris(list(range(30))))
    upload("few", iris(list(range(20))))
    found = warnings(http, three(dataset={"name": "iris", "validation": "few"}, fit={"epochs": 1}))
    assert found["/dataset/validation"] == "classes without a row for validation: 'virginica'"


def test_weight_of_a_class_named_like_a_number_is_named(http: httpx.Client, upload: Upload) -> None:
    upload("numbered", iris(list(range(30)), ["1", "2", "3"] * 10))
    found = warnings(http, three(dataset={"name": "numbered"}, fit={"class_weight": {"1": 2.0, "3": 1.0}}))
    assert found["/fit/class_weight/1"] == "this weighs the class named '1', and not class number 1, '2'"
    assert "/fit/class_weight/3" not in found


def test_features_out_of_scale_are_named_unless_standardized(http: httpx.Client, upload: Upload) -> None:
    upload("times", "time,area,b,t\n" + "".join(f"{1.7e9 + row},{row * 300},{row},{row}.5\n" for row in range(30)))
    spec = document(dataset={"name": "times"}, model=layers(ONE), loss="mse", metrics=[])
    assert list(warnings(http, spec)) == ["/dataset/standardize"]
    both = http.post("/v1/experiments/plan", json=spec).json()["warnings"]
    assert ["'time'" in warning["detail"] for warning in both] == [True, False]
    assert ["'area'" in warning["detail"] for warning in both] == [False, True]
    assert warnings(http, spec | {"dataset": {"name": "times", "standardize": True}}) == {}


def test_network_much_larger_than_its_data_is_named(http: httpx.Client) -> None:
    wide = layers({"type": "dense", "units": 10_000}, {"type": "dense", "units": 2, "activation": "softmax"})
    found = warnings(http, document(model=wide, dataset={"name": "titanic", "rows": 100}))
    assert found == {"/model": "a network has 130,002 parameters for 70 training rows; it can learn them by heart"}


@pytest.mark.parametrize("metric", ["accuracy", "precision", "recall", "auc", "true_positives", "kl_divergence"])
def test_metric_that_compares_logits_with_probabilities_is_named(http: httpx.Client, metric: str) -> None:
    spec = document(model=layers(ONE), loss={"name": "binary_crossentropy", "from_logits": True}, metrics=[metric])
    assert list(warnings(http, spec)) == ["/metrics/0"]
    assert (
        warnings(
            http, spec | {"loss": {"name": "binary_crossentropy"}, "model": layers(ONE | {"activation": "sigmoid"})}
        )
        == {}
    )


def test_threshold_of_a_hinge_loss_and_percents_of_classes_are_named(http: httpx.Client) -> None:
    spec = document(model=layers(ONE | {"activation": "tanh"}), loss="hinge", metrics=["accuracy", "mse", "mape"])
    assert list(warnings(http, spec)) == ["/metrics/0", "/metrics/2"]
    assert list(warnings(http, document(model=layers(ONE), loss="mape", metrics=[]))) == ["/loss"]


@pytest.mark.parametrize("name", list(example_documents()))
def test_exercises_have_no_warning(http: httpx.Client, name: str) -> None:
    assert warnings(http, example_documents()[name]) == {}
