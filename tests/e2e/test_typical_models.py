"""Typical models train through HTTP with the numbers of `keras.fit`, on both backends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from fittingroom.client.sync_client import Client
from tests.e2e.service import Service, until
from tests.e2e.test_backends import jax_worker
from tests.e2e.test_client_fit import url_of
from tests.typical_models import BATCH_SIZE, EPOCHS, MODELS, ROWS, TRAINING_ROWS, Typical, json_of

pytestmark = pytest.mark.e2e

FIT = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "validation_split": 1 - TRAINING_ROWS / ROWS, "shuffle": False}
History = dict[str, list[float]]


@pytest.fixture(scope="module")
def client(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Yield a client of a service to which the models' data was uploaded."""
    folder = tmp_path_factory.mktemp("arrays")
    with Client(url_of(service)) as client:
        known = {dataset.name for dataset in client.list_datasets()}
        for name, typical in MODELS.items():
            file = folder / f"{dataset_of(name)}.npz"
            np.savez(file, x=typical.x, y=typical.y)
            task = "classification" if typical.y.dtype.kind == "i" else "regression"
            if dataset_of(name) not in known:  # where tests of other modules came in between
                client.upload_dataset(file, dataset_of(name), task=task)
        yield client


def dataset_of(name: str) -> str:
    return name.replace(" ", "-").lower()


def spec_of(name: str, typical: Typical) -> dict[str, Any]:
    """Return the experiment that trains a model as the plain script does."""
    loss, metrics = typical.loss, typical.metrics
    if not typical.outputs:
        loss = loss if isinstance(loss, str) else {"name": loss.name, "from_logits": True}
        metrics = [metric if isinstance(metric, str) else metric.name for metric in metrics]
    return {
        "name": name,
        "dataset": dataset_of(name),
        "model": {"keras": json.loads(json_of(typical))},
        "optimizer": "adam",
        "loss": loss,
        "loss_weights": typical.loss_weights,
        "metrics": metrics,
        "fit": FIT,
    }


def trained_as_json(client: Client, backend: str) -> dict[str, History]:
    """Return the histories of all models, given as JSON."""
    submitted = {name: client.submit(spec_of(name, typical) | {"backend": backend}) for name, typical in MODELS.items()}
    histories = {}
    for name, experiment in submitted.items():
        ended = client.wait(experiment.id, timeout=900)
        [trial] = client.list_trials(experiment.id)
        assert ended.state.value == "completed", (name, trial.fault)
        found = client.get_trial_history(trial.id)
        histories[name] = {metric: values for metric, values in found.items() if metric != "epoch"}
    return histories


def assert_same(found: dict[str, History], expected: dict[str, History]) -> None:
    """Check that all models have the histories of the plain script."""
    for name, typical in MODELS.items():
        assert found[name].keys() == expected[name].keys(), name
        for metric, values in expected[name].items():
            assert found[name][metric] == pytest.approx(values, rel=typical.tolerance, abs=1e-7), (name, metric)


@pytest.mark.timeout(900)  # seventeen networks beside a plain script that trains them too
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_json_of_typical_models_gives_the_histories_of_fit(service: Service, client: Client, backend: str) -> None:
    script = [sys.executable, "-m", "tests.typical_models"]
    plain = subprocess.Popen(script, env=os.environ | {"KERAS_BACKEND": backend}, stdout=subprocess.PIPE)
    with jax_worker(service) if backend == "jax" else nullcontext():
        if backend == "jax":
            until(lambda: any(w["versions"]["backend"] == "jax" for w in workers(service)))
        found = trained_as_json(client, backend)
    assert_same(found, json.loads(plain.communicate()[0]))


def workers(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.http.get("/v1/workers").json()["items"]
    return found


def test_live_typical_models_give_the_histories_of_their_json(client: Client) -> None:
    expected = trained_as_json(client, "tensorflow")
    for name, typical in MODELS.items():
        model = typical.build()
        model.compile("adam", typical.loss, metrics=typical.metrics, loss_weights=typical.loss_weights)
        fitted = client.fit(model, dataset_of(name), backend="tensorflow", fit=FIT, timeout=300)
        if name != "normalized regression":  # which was never adapted, and whose JSON says to measure
            for metric, values in fitted.history.items():
                assert values == pytest.approx(expected[name][metric], rel=typical.tolerance), (name, metric)


def test_predictions_of_several_outputs_are_those_of_the_file(client: Client, tmp_path: Path) -> None:
    typical = MODELS["two outputs"]
    submitted = client.submit(spec_of("two outputs", typical) | {"backend": "tensorflow"})
    client.wait(submitted.id, timeout=300)
    [trial] = client.list_trials(submitted.id)
    answer = client.predict(trial.id, typical.x[:3].tolist())
    client.download(trial.id, tmp_path / "network.keras")
    price, kind = keras.models.load_model(tmp_path / "network.keras")(typical.x[:3])
    assert isinstance(answer.outputs, dict)
    np.testing.assert_allclose(np.array(answer.outputs["price"]), price, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.array(answer.outputs["kind"]), kind, rtol=1e-5, atol=1e-6)
    assert answer.predictions == {"price": answer.outputs["price"], "kind": np.argmax(kind, axis=1).tolist()}


@pytest.mark.parametrize("name", ["tags", "normalized regression", "wide and deep"])
def test_predictions_of_a_typical_model_are_those_of_its_file(client: Client, tmp_path: Path, name: str) -> None:
    typical = MODELS[name]
    submitted = client.submit(spec_of(name, typical) | {"backend": "tensorflow"})
    client.wait(submitted.id, timeout=300)
    [trial] = client.list_trials(submitted.id)
    answer = client.predict(trial.id, typical.x[:3].tolist())
    file = tmp_path / "network.keras"
    client.download(trial.id, file)
    outputs = np.asarray(keras.models.load_model(file)(typical.x[:3]))
    np.testing.assert_allclose(np.array(answer.outputs), outputs, rtol=1e-5, atol=1e-6)
    assert answer.class_names == []
    expected = answer.outputs if name == "tags" else [row[0] for row in answer.outputs]
    assert answer.predictions == expected
