"""Download of trained networks and predictions: always the network of the best epoch."""

import itertools
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from fittingroom.cli.main import build
from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import TrialSpec
from tests.e2e.service import Service
from tests.factories import document, layers
from tests.serving import assert_problem
from tests.workers.engines.trials import arrays_of
from workers.datasets.sources import LOADERS

pytestmark = pytest.mark.e2e

HIDDEN = {"type": "dense", "units": 16, "activation": "relu"}
FEW = {"epochs": 12, "validation_split": 0.3}


def trained(service: Service, **changes: Any) -> dict[str, Any]:
    """Return the one trial of an experiment that has completed."""
    view = service.client.submit(document(**changes))
    assert service.client.wait(view.id, timeout=120).state == "completed"
    [trial] = service.client.list_trials(view.id)
    found: dict[str, Any] = service.http.get(f"/v1/trials/{trial.id}").json()
    return found


def downloaded(service: Service, trial: dict[str, Any], folder: Path) -> keras.Model:
    answer = service.http.get(f"/v1/trials/{trial['id']}/artifact")
    assert answer.status_code == 200, answer.text
    assert f'filename="{trial["id"]}.keras"' in answer.headers["content-disposition"]
    file = folder / "trial.keras"
    file.write_bytes(answer.content)
    return keras.saving.load_model(file, safe_mode=True)


def predict(service: Service, trial: dict[str, Any], rows: Any) -> Any:
    answer = service.http.post(f"/v1/trials/{trial['id']}/predict", json={"rows": rows})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_file_holds_the_best_epoch(service: Service, tmp_path: Path) -> None:
    """Measured again on the validation rows it gives the metrics that the history has there."""
    optimizer = {"name": "adam", "learning_rate": 0.05}  # fast enough to have its best epoch in the middle
    changes = {
        "dataset": {"name": "mnist-sample", "rows": 300},
        "model": layers(HIDDEN, {"type": "dense", "units": 10}),
    }
    trial = trained(
        service, optimizer=optimizer, loss={"name": "categorical_crossentropy", "from_logits": True}, fit=FEW, **changes
    )
    assert trial["weights_epoch"] == trial["best_epoch"]["epoch"] < 12
    model = downloaded(service, trial, tmp_path)
    arrays = arrays_of(TrialSpec.model_validate(trial["spec"]))
    model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    loss, accuracy = model.evaluate(arrays.x_validation, arrays.y_validation, verbose=0)
    best = trial["best_epoch"]["metrics"]
    assert loss == pytest.approx(best["val_loss"], rel=1e-5)
    assert accuracy == pytest.approx(best["val_accuracy"], rel=1e-6)
    said = predict(service, trial, arrays.x[:5].tolist())
    assert said["epoch"] == trial["weights_epoch"]
    expected = keras.ops.softmax(model(arrays.x[:5]))
    np.testing.assert_allclose(said["outputs"], expected, rtol=1e-5)
    assert said["predictions"] == [str(row.argmax()) for row in np.array(expected)]


def test_predict_takes_rows_in_the_scale_of_the_dataset(service: Service, tmp_path: Path) -> None:
    """Standardized in the file as well as by `predict`; and a missing number is what it was in training."""
    trial = trained(service, model=layers(HIDDEN, {"type": "dense", "units": 1, "activation": "sigmoid"}),
                    loss="binary_crossentropy", fit=FEW)  # fmt: skip
    x, survived = LOADERS["titanic"]()
    said = predict(service, trial, x.tolist())
    np.testing.assert_allclose(said["outputs"], downloaded(service, trial, tmp_path)(x), rtol=1e-4, atol=1e-6)
    right = np.array([name == "survived" for name in said["predictions"]]) == survived
    assert right.mean() > 0.7
    gap = [None, *x[0, 1:].tolist()]
    [one] = predict(service, trial, [gap])["outputs"]
    filled = [float(x[:623, 0].mean()), *x[0, 1:].tolist()]
    assert one == pytest.approx(predict(service, trial, [filled])["outputs"][0], rel=1e-5)


def test_many_trials_of_one_cohort_have_each_their_own(service: Service) -> None:
    rates = {"choice": [0.001, 0.01, 0.1]}
    view = service.client.submit(
        document(optimizer={"name": "sgd", "learning_rate": rates}, fit=FEW | {"epochs": {"choice": [3, 12]}})
    )
    assert service.client.wait(view.id, timeout=120).state == "completed"
    trials = [service.http.get(f"/v1/trials/{trial.id}").json() for trial in service.client.list_trials(view.id)]
    row = LOADERS["titanic"]()[0][0].tolist()
    outputs = {tuple(predict(service, trial, [row])["outputs"][0]) for trial in trials}
    assert len(outputs) == len(trials) == 6


def test_restore_best_weights_is_kept_as_keras_would(service: Service) -> None:
    """Early stopping may monitor another metric than the objective."""
    trial = trained(
        service,
        optimizer={"name": "adam", "learning_rate": 0.05},
        early_stopping={"monitor": "loss", "patience": 20, "restore_best_weights": True},
        objective={"metric": "val_loss"},
        fit=FEW,
    )
    history = service.http.get(f"/v1/trials/{trial['id']}/history").json()["history"]
    assert trial["weights_epoch"] == 1 + int(np.argmin(history["loss"])) != trial["best_epoch"]["epoch"]


def test_artifact_of_a_trial_without_weights_is_409(service: Service) -> None:
    diverged = trained(service, optimizer={"name": "sgd", "learning_rate": 1e6}, loss="mse",
                       dataset={"name": "titanic"}, model=layers({"type": "dense", "units": 2}))  # fmt: skip
    assert (diverged["stop_reason"], diverged["weights_epoch"]) == ("diverged", None)
    waiting = service.http.post("/v1/experiments", json=document(device="gpu")).json()["id"]
    [queued] = service.client.list_trials(waiting)
    for trial_id, word in ((diverged["id"], "objective"), (queued.id, "queued")):
        for answer in (
            service.http.get(f"/v1/trials/{trial_id}/artifact"),
            service.http.post(f"/v1/trials/{trial_id}/predict", json={"rows": [[1.0]]}),
        ):
            assert_problem(answer, 409)
            assert word in answer.json()["detail"]
    assert_problem(service.http.get(f"/v1/trials/{queued.id}/summary"), 409)
    assert "dense" in service.http.get(f"/v1/trials/{diverged['id']}/summary").text
    service.client.cancel(waiting)


def test_rows_of_another_shape_are_refused(service: Service) -> None:
    trial = trained(service)
    path = f"/v1/trials/{trial['id']}/predict"
    cases: list[tuple[Any, str]] = [
        ({}, "/rows"),
        ({"rows": []}, "/rows"),
        ({"rows": [[]]}, "/rows/0"),
        ({"rows": [[1.0] * 9]}, "/rows/0"),
        ({"rows": [[1.0] * 10, [1.0] * 11]}, "/rows/1"),
        ({"rows": [["1"] * 10]}, "/rows/0/0"),
        ({"rows": [[True] * 10]}, "/rows/0/0"),
        ({"rows": [1.0] * 10}, "/rows/0"),
        ({"rows": [[1.0] * 10, [*[1.0] * 9, 1e39]]}, "/rows/1/9"),
        ({"rows": [{"age": 22}]}, "/rows/0"),
        ({"rows": [{"age": [22]}]}, "/rows/0/age"),
        ({"rows": [{}]}, "/rows/0"),
        ({"rows": [{"age": 22}, [1.0] * 10]}, "/rows"),
        ({"rows": [[1.0] * 10], "epoch": 3}, "/epoch"),
        ({"rows": [[1.0] * 10] * 10_001}, "/rows"),
    ]
    for body, pointer in cases:
        answer = service.http.post(path, json=body)
        assert_problem(answer, 422)
        assert answer.json()["errors"][0]["pointer"] == pointer, body if len(str(body)) < 200 else pointer
    endless = b'{"rows": [[' + b"1," * 9_000_000
    huge = service.http.post(path, content=endless, headers={"Content-Type": "application/json"})
    assert_problem(huge, 413)
    enormous = predict(service, trial, [[3e37] * 10])
    assert len(enormous["outputs"][0]) == 2


def test_evaluate_measures_the_test_rows_and_other_datasets(service: Service, tmp_path: Path) -> None:
    fit = FEW | {"test_split": 0.2, "split": "stratified"}
    trial = trained(service, dataset={"name": "mnist-sample", "rows": 400}, fit=fit, model=layers(
        HIDDEN, {"type": "dense", "units": 10, "activation": "softmax"}))  # fmt: skip
    x, y = LOADERS["mnist-sample"]()
    chosen = np.random.Generator(np.random.Philox(key=0)).permutation(len(x))[:400]
    spec = TrialSpec.model_validate(trial["spec"])
    fitted = {row.tobytes() for part in (arrays_of(spec).x, arrays_of(spec).x_validation) for row in part}
    tests = [place for place in chosen if x[place].tobytes() not in fitted]
    assert len(tests) == 80
    model = downloaded(service, trial, tmp_path)
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    found = service.client.evaluate(trial["id"])
    assert (found.dataset, found.rows, found.epoch) == ("mnist-sample", 80, trial["weights_epoch"])
    expected = model.evaluate(x[tests], y[tests], verbose=0, return_dict=True)
    assert found.metrics == pytest.approx(expected, rel=1e-5)
    again = downloaded(service, trial, tmp_path)
    assert not getattr(again, "compiled", False), "measuring leaves the network as it was"
    whole = service.client.evaluate(trial["id"], "mnist-sample")
    assert (whole.rows, whole.metrics) == (
        5000, pytest.approx(model.evaluate(x, y, verbose=0, return_dict=True), rel=1e-5)
    )  # fmt: skip


def test_commands_measure_ask_and_fetch_a_network(service: Service, tmp_path: Path) -> None:
    def run(*arguments: str, given: str | None = None) -> Any:
        return CliRunner().invoke(build(), [*arguments, "--url", str(service.http.base_url)], input=given)

    trial = trained(service, fit=FEW | {"test_split": 0.2})
    measured = run("evaluate", trial["id"])
    expected = service.client.evaluate(trial["id"])
    assert measured.exit_code == 0, measured.output
    assert measured.stdout.startswith(f"titanic, {expected.rows} rows, weights of epoch {expected.epoch}: accuracy 0.")
    other = run("evaluate", trial["id"], "--dataset", "titanic", "--json")
    assert json.loads(other.stdout)["rows"] == 891
    rows = [[3.0, 22.0, 1.0, 0.0, 7.25, 1.0, 0.0, 0.0, 0.0, 1.0], [1.0, 38.0, 1.0, 0.0, 71.3, 0.0, 0.0, 1.0, 0.0, 0.0]]
    found = run("predict", trial["id"], "-", given=json.dumps(rows))
    assert found.stdout.split() == predict(service, trial, rows)["predictions"]
    table = tmp_path / "passengers.csv"
    names = BUILT_IN_DATASETS["titanic"].feature_names
    table.write_text("\n".join([",".join(names), "", *(",".join(map(str, row)) for row in rows)]))
    assert run("predict", trial["id"], str(table)).stdout == found.stdout
    refused = run("predict", trial["id"], "-", given='{"rows": []}')
    assert (refused.exit_code, refused.stderr.strip()) == (2, "-: expected a JSON array of rows, found dict")
    assert run("predict", trial["id"], str(tmp_path / "none.json")).exit_code == 2
    assert run("download", trial["id"], "-o", str(tmp_path / "network.h5")).exit_code == 2
    file = tmp_path / "network.keras"
    assert run("download", trial["id"], "-o", str(file)).exit_code == 0
    outputs = keras.saving.load_model(file, safe_mode=True).predict(np.array(rows, np.float32), verbose=0)
    np.testing.assert_allclose(outputs, predict(service, trial, rows)["outputs"], rtol=1e-5)


def test_groups_stay_whole_in_folds_and_test_rows(service: Service, tmp_path: Path) -> None:
    """Each loss is the mean over four whole groups: which ones, the losses of the trained network by group say."""
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(60, 3)).astype(np.float32), np.repeat(np.arange(12), 5)
    y = x.sum(axis=1) + rng.normal(size=60).astype(np.float32)
    rows = [f"patient {g},{a},{b},{c},{t}" for g, (a, b, c), t in zip(groups, x.tolist(), y.tolist(), strict=True)]
    table = tmp_path / "visits.csv"
    table.write_text("\n".join(["patient,a,b,c,t", *rng.permutation(rows)]))
    schema = service.client.upload_dataset(table, "visits", target="t", group="patient")
    assert (schema.group, schema.groups, schema.features) == ("patient", 12, 3)
    fit = {"epochs": 2, "folds": 3, "test_split": 0.25, "split": "group"}
    network = layers({"type": "dense", "units": 1})
    view = service.client.submit(document(dataset={"name": "visits"}, loss="mse", metrics=[], model=network, fit=fit))
    assert service.client.wait(view.id, timeout=120).state == "completed"
    tests, validations = set(), set()
    for trial in service.client.list_trials(view.id):
        found = service.http.get(f"/v1/trials/{trial.id}").json()
        predicted = downloaded(service, found, tmp_path).predict(x, verbose=0)[:, 0]
        losses = ((predicted - y) ** 2).reshape(12, 5).mean(axis=1)
        test = service.client.evaluate(trial.id)
        assert test.rows == 15
        tests.add(groups_of_loss(losses, 3, test.metrics["loss"]))
        validations.add(groups_of_loss(losses, 3, found["best_epoch"]["metrics"]["val_loss"]))
    assert len(tests) == 1, "the same rows, whatever is validated on"
    assert sorted(group for chosen in tests | validations for group in chosen) == list(range(12))


def groups_of_loss(losses: np.ndarray, count: int, loss: float) -> tuple[int, ...]:
    """Return the groups over which a loss is the mean."""
    [found] = [
        chosen
        for chosen in itertools.combinations(range(len(losses)), count)
        if losses[list(chosen)].mean() == pytest.approx(loss, rel=1e-5)
    ]
    return found


def test_evaluate_refuses_rows_that_are_not_there_or_do_not_fit(service: Service) -> None:
    trial = trained(service, fit={"epochs": 1})
    place = f"/v1/trials/{trial['id']}/evaluate"
    for body, said in (
        ({}, "set no rows aside"),
        ({"dataset": "mnist-sample"}, "class '0' of mnist-sample is missing"),
        ({"dataset": "unknown"}, "there is no such dataset"),
        ({"dataset": {"name": "titanic", "sha256": "0" * 64}}, "has not this content"),
    ):
        refused = service.http.post(place, json=body)
        assert refused.status_code == 422, refused.text
        assert refused.json()["errors"][0]["pointer"].startswith("/dataset")
        assert said in refused.text
    assert service.http.post("/v1/trials/trl_1/evaluate", json={}).status_code == 404


def test_the_process_that_predicts_is_started_again(service: Service) -> None:
    trial = trained(service)
    row = LOADERS["titanic"]()[0][0].tolist()
    before = predict(service, trial, [row])
    [predictor] = [
        int(status.parent.name)
        for status in Path("/proc").glob("[0-9]*/cmdline")
        if b"workers.predictor" in status.read_bytes() and _ancestor(int(status.parent.name), service.process.pid)
    ]
    os.kill(predictor, signal.SIGKILL)
    time.sleep(0.2)
    assert predict(service, trial, [row]) == before


def _ancestor(process_id: int, of: int) -> bool:
    while process_id > 1:
        if process_id == of:
            return True
        process_id = int(Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[1])
    return False
