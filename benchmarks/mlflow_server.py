"""MLflow's tracking server doing the same: one metric of one run read back, one metric after the other written.

`make bench-api` runs it beside the API if the command `mlflow` is installed.
"""

import itertools
import os
import shutil
import time
from collections.abc import Iterator

import httpx

from benchmarks.api import EPOCHS, Row, load_median, shown
from benchmarks.connections import request
from benchmarks.served_experiments import Server

_WORKERS = 4
_WRITTEN = 400
_API = "/api/2.0/mlflow"


def measured(folder: str) -> Iterator[Row]:
    """Yield the rows of the table; none where MLflow is not installed."""
    command = os.environ.get("MLFLOW", shutil.which("mlflow"))
    if command is None:
        return
    store = f"sqlite:///{folder}/mlflow.db"
    arguments = ["server", "--backend-store-uri", store, "--artifacts-destination", folder]
    arguments += ["--workers", str(_WORKERS), "--port", "{port}"]
    with Server(arguments, {"MLFLOW_DISABLE_TELEMETRY": "true"}, command=command, alive="/health") as server:
        client = server.client
        experiment = client.post(f"{_API}/experiments/create", json={"name": "bench"}).raise_for_status().json()
        created = client.post(f"{_API}/runs/create", json={"experiment_id": experiment["experiment_id"]})
        run = created.raise_for_status().json()["run"]["info"]["run_id"]
        yield f"MLflow's server, {_WORKERS} workers: epochs of one metric, written", _writes(client, run), ""
        path = f"{_API}/metrics/get-history?run_id={run}&metric_key=loss&max_results={EPOCHS}"
        found = load_median(server, itertools.repeat(request("GET", path)), 2_400, 200)
        yield f"the same server: {EPOCHS} epochs of one metric, read", shown(found), ""


def _writes(client: httpx.Client, run: str) -> str:
    started = time.perf_counter()
    for step in range(_WRITTEN):
        body = {"run_id": run, "key": "loss", "value": 0.5, "timestamp": int(time.time() * 1e3), "step": step}
        client.post(f"{_API}/runs/log-metric", json=body).raise_for_status()
    return f"{_WRITTEN / (time.perf_counter() - started):,.0f} rows/s"
