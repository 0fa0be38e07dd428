"""The schema shows an example of every answer, and each is one that the service has given."""

import json
import tempfile
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from app.api.openapi import ANSWERS_FILE
from app.main import create_app
from models.settings import Settings
from tests.e2e.service import Service
from tests.factories import WEBHOOK_SECRET as SECRET
from tests.factories import document

pytestmark = pytest.mark.e2e

TABLE = "size,town,high\n0.7,Ulm,yes\n,Bonn,no\n0.2,Ulm,no\n0.9,Bonn,yes\n"
PASSENGER = [3, 22, 1, 0, 7.25, 1, 0, 0, 0, 1]


def answers(service: Service) -> dict[str, Any]:
    """One answer of each operation that answers JSON, by the operation's id."""
    http = service.http
    spec = document(
        name="Titanic: which learning rate?",
        optimizer={"name": "sgd", "learning_rate": {"choice": [0.01, 0.1]}},
        webhook={"url": "https://example.org/hook", "secret": SECRET},
    )
    submitted = http.post("/v1/experiments", json=spec).json()
    path = f"/v1/experiments/{submitted['id']}"
    service.client.wait(submitted["id"], timeout=120)
    waiting = http.post("/v1/experiments", json=document(device="gpu")).json()["id"]
    trials = http.get(f"{path}/trials").json()
    trial = f"/v1/trials/{trials['items'][0]['id']}"
    upload = http.post(
        "/v1/datasets", params={"name": "towns", "target": "high"}, content=TABLE, headers={"Content-Type": "text/csv"}
    ).json()
    datasets, workers = http.get("/v1/datasets").json(), http.get("/v1/workers").json()
    return {
        "live": http.get("/livez").json(),
        "ready": http.get("/readyz").json(),
        "list_datasets": datasets | {"items": [item for item in datasets["items"] if item["name"] == "titanic"]},
        "upload_dataset": upload,
        "get_dataset": http.get("/v1/datasets/titanic").json(),
        "submit_experiment": submitted,
        "plan_experiment": http.post("/v1/experiments/plan", json=spec).json(),
        "submit_batch": http.post("/v1/experiments/batch", json=[document(device="gpu"), {"name": "x"}]).json(),
        "list_experiments": http.get("/v1/experiments", params={"limit": 1, "state": "completed"}).json(),
        "get_experiment": http.get(path).json(),
        "get_experiment_history": http.get(f"{path}/history").json(),
        "compare_experiment": http.get(f"{path}/comparison").json(),
        "get_webhook": http.get(f"{path}/webhook").json(),
        "list_trials": trials,
        "get_trial": http.get(trial).json(),
        "get_trial_history": http.get(f"{trial}/history").json(),
        "extend_experiment": http.post(f"{path}/extend", json={"epochs": 9, "top": 1}).json(),
        "evaluate": http.post(f"{trial}/evaluate", json={"dataset": "titanic"}).json(),
        "predict": http.post(f"{trial}/predict", json={"rows": [PASSENGER]}).json(),
        "list_workers": workers | {"items": [item | {"host": "worker-1"} for item in workers["items"]]},
        "get_usage": http.get("/v1/usage").json(),
        "cancel_trial": http.post(f"{trial}/cancel").json(),
        "pause_experiment": http.post(f"/v1/experiments/{waiting}/pause").json(),
        "resume_experiment": http.post(f"/v1/experiments/{waiting}/resume").json(),
        "cancel_experiment": http.post(f"/v1/experiments/{waiting}/cancel").json(),
    }


def test_every_answer_has_an_example_that_is_one(settings: Settings) -> None:
    schema = json.loads(json.dumps(create_app(settings).openapi()))
    found = set()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                for media_type, content in answer.get("content", {}).items():
                    if media_type in {"application/json", "application/problem+json"}:
                        whole = content["schema"] | {"components": schema["components"]}
                        assert content["example"], (method, path, status)
                        jsonschema_rs.validate(whole, content["example"])
                        found |= {operation["operationId"]} if media_type == "application/json" else set()
    assert found == json.loads(ANSWERS_FILE.read_text(encoding="utf-8")).keys()


@pytest.mark.parametrize("name", ["get_trial", "get_dataset", "predict", "submit_batch", "get_experiment_history"])
def test_examples_have_the_keys_of_answers(service: Service, name: str) -> None:
    """`python -m tests.e2e.test_answer_examples` writes them anew."""
    written = json.loads(ANSWERS_FILE.read_text(encoding="utf-8"))[name]
    assert _keys(answers(service)[name]) == _keys(written)


def _keys(node: Any) -> Any:
    if isinstance(node, dict):
        open_ended = {"spec", "environment", "program"}
        return {key: None if key in open_ended else _keys(value) for key, value in node.items()}
    return [_keys(node[0])] if isinstance(node, list) and node else None


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), {}) as running:
        running.wait_until_ready()
        text = json.dumps(answers(running), indent=1, ensure_ascii=False)
        ANSWERS_FILE.write_text(text + "\n", encoding="utf-8")
