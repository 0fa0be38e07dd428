"""Typical models train through HTTP with the numbers of `keras.fit`, on both backends."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, Any]]:
    """Return the histories of the plain script, by backend and model."""
    scripts = {
        backend: subprocess.Popen(
            [sys.executable, "-m", "tests.typical_models"],
            env=os.environ | {"KERAS_BACKEND": backend},
            stdout=subprocess.PIPE,
        )
        for backend in ("tensorflow", "jax")
    }
    return {backend: json.loads(script.communicate()[0]) for backend, script in scripts.items()}


@pytest.fixture(scope="module")
def client(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Yield a client of a service with a worker of each backend, to which the models' data was uploaded."""
    folder = tmp_path_factory.mktemp("arrays")
    with jax_worker(service), Client(url_of(service)) as client:
        until(lambda: len(service.worker_processes()) == 2)
        for name, typical in MODELS.items():
            file = folder / f"{dataset_of(name)}.npz"
            np.savez(file, x=typical.x, y=typical.y)
            task = "classification" if typical.y.dtype.kind == "i" else "regression"
            client.upload_dataset(file, dataset_of(name), task=task)
        yield client


def dataset_of(name: str) -> str:
    return name.replace(" ", "-").lower()


def spec_of(name: str, typical: Typical) -> dict[str, Any]:
    """Return the experiment that trains a model as the plain script does."""
    loss = typical.loss if isinstance(typical.loss, str) else {"name": typical.loss.name, "from_logits": True}
    return {
        "name": name,
        "dataset": dataset_of(name),
        "model": {"keras": json.loads(json_of(typical))},
        "optimizer": "adam",
        "loss": loss,
        "metrics": [metric if isinstance(metric, str) else metric.name for metric in typical.metrics],
        "fit": FIT,
    }


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
@pytest.mark.parametrize("name", MODELS)
def test_json_of_a_typical_model_gives_the_history_of_fit(
    client: Client, expected: dict[str, dict[str, Any]], name: str, backend: str
) -> None:
    typical = MODELS[name]
    submitted = client.submit(spec_of(name, typical) | {"backend": backend})
    ended = client.wait(submitted.id, timeout=300)
    [trial] = client.list_trials(submitted.id)
    assert ended.state.value == "completed", trial.fault
    found = client.get_trial_history(trial.id)
    theirs = expected[backend][name]
    assert {metric for metric in found if metric != "epoch"} == theirs.keys()
    for metric, values in theirs.items():
        assert found[metric] == pytest.approx(values, rel=typical.tolerance, abs=1e-7), metric


@pytest.mark.parametrize("name", MODELS)
def test_live_typical_model_gives_the_history_of_its_json(client: Client, name: str) -> None:
    typical = MODELS[name]
    model = typical.build()
    model.compile("adam", typical.loss, metrics=typical.metrics)
    fitted = client.fit(model, dataset_of(name), backend="tensorflow", fit=FIT, timeout=300)
    same = client.wait(client.submit(spec_of(name, typical) | {"backend": "tensorflow"}).id, timeout=300)
    [trial] = client.list_trials(same.id)
    theirs = client.get_trial_history(trial.id)
    if name != "normalized regression":  # which was never adapted, and whose JSON says that it is to be
        for metric, values in fitted.history.items():
            assert values == pytest.approx(theirs[metric], rel=typical.tolerance), metric


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
