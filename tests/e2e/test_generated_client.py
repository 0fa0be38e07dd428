"""A client that was generated from the schema alone runs the six exercises."""

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from app.examples import example_documents
from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

ENDED = {"completed", "failed", "cancelled"}


@pytest.fixture(scope="module")
def generated(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("generated")
    schema = folder / "openapi.json"
    schema.write_text(service.http.get("/openapi.json").text)
    tools = Path(sys.executable).parent
    made = subprocess.run(
        [tools / "openapi-python-client", "generate", "--path", schema, "--meta", "none",
         "--output-path", folder / "fittingroom_client"],
        capture_output=True, text=True, check=False, cwd=folder,
        env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert made.returncode == 0, made.stdout
    assert "will not be generated" not in made.stdout
    sys.path.insert(0, str(folder))
    yield importlib.import_module("fittingroom_client")
    sys.path.remove(str(folder))


def test_a_generated_client_runs_the_six_exercises(generated: Any, service: Service) -> None:
    api = importlib.import_module("fittingroom_client.api.experiments")
    models = importlib.import_module("fittingroom_client.models")
    submit, get, read = (
        importlib.import_module(f"{api.__name__}.{name}")
        for name in ("submit_experiment", "get_experiment", "get_experiment_history")
    )
    with generated.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=60) as client:
        ids = []
        for document in example_documents().values():
            spec = models.ExperimentSpec.from_dict(document)
            view = submit.sync(client=client, body=spec)
            assert isinstance(view, models.ExperimentView), view
            assert view.spec.to_dict()["name"] == document["name"]
            ids.append(view.id)
        deadline = time.monotonic() + 240
        for experiment_id in ids:
            view = get.sync(experiment_id, client=client)
            while view.state not in ENDED:
                assert time.monotonic() < deadline
                view = get.sync(experiment_id, client=client, wait=20.0, version=view.version)
            assert view.state == "completed"
            history = read.sync(experiment_id, client=client)
            assert view.best_trial.metrics.to_dict()
            epochs = [epoch for trial in history.trials for epoch in trial.history.to_dict()["epoch"]]
            assert len(epochs) == view.progress.epochs_completed > 0
