"""An experiment in the hands of other programs: each file is read by the one it is for, and MLflow is a real server."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fittingroom.cli.main import build
from models.sql.database import Database
from tests.e2e.service import free_port
from tests.factories import SWEEP
from tests.serving import other_server, submit
from tests.training import Writer, train


@pytest.fixture
def trained(http: httpx.Client, database: Database) -> str:
    experiment_id = submit(http, name="Which rate?", **SWEEP)
    train(database, experiment_id, {1: [0.7, 0.6, 0.65], 2: [0.9, "NaN"]})
    return experiment_id


def export(http: httpx.Client, experiment_id: str, kind: str, target: Path | str) -> str:
    found = CliRunner().invoke(
        build(), ["export", experiment_id, str(target), "--to", kind, "--url", str(http.base_url)]
    )
    assert found.exit_code == 0, found.output
    return found.stdout.strip()


def test_csv_and_parquet_hold_the_same(http: httpx.Client, trained: str, tmp_path: Path) -> None:
    export(http, trained, "csv", tmp_path / "h.csv")
    export(http, trained, "parquet", tmp_path / "h.parquet")
    from_csv, from_parquet = pd.read_csv(tmp_path / "h.csv"), pq.read_table(tmp_path / "h.parquet").to_pandas()
    pd.testing.assert_frame_equal(from_csv, from_parquet, check_dtype=False)
    assert from_parquet["loss"].tolist()[:4] == [0.7, 0.6, 0.65, 0.9]
    assert from_parquet["epoch"].tolist() == [1, 2, 3, 1, 2]


def test_parquet_before_the_first_epoch_has_the_metrics_that_will_be_recorded(
    http: httpx.Client, tmp_path: Path
) -> None:
    export(http, submit(http, **SWEEP), "parquet", tmp_path / "h.parquet")
    table = pq.read_table(tmp_path / "h.parquet")
    assert table.num_rows == 0
    assert table.column_names[:5] == ["trial_id", "trial", "label", "epoch", "loss"]
    assert "val_loss" in table.column_names


def test_a_file_that_cannot_be_written_is_not_blamed_on_mlflow(http: httpx.Client, trained: str) -> None:
    found = CliRunner().invoke(
        build(), ["export", trained, "nowhere/h.csv", "--to", "csv", "--url", str(http.base_url)]
    )
    assert found.exit_code == 2
    assert "nowhere/h.csv" in found.output
    assert "MLflow" not in found.output


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"experiment": {}}', "no 'experiment_id'"),
        (b'{"experiment": 7}', "no 'experiment_id'"),
        (b"[]", "no JSON object"),
        (b"<html>", "no JSON"),
    ],
    ids=["a key missing", "a number for an object", "an array", "HTML"],
)
def test_export_to_another_server_than_mlflow_is_refused(
    http: httpx.Client, trained: str, body: bytes, fault: str
) -> None:
    with other_server(body) as url:
        found = CliRunner().invoke(build(), ["export", trained, url, "--to", "mlflow", "--url", str(http.base_url)])
    assert found.exit_code == 2
    assert f"does not answer as an MLflow server does ({fault})" in " ".join(found.output.split())


def test_tensorboard_reads_the_export(http: httpx.Client, trained: str, tmp_path: Path) -> None:
    import tensorflow as tf  # noqa: PLC0415 - slow, and the other cases do without

    export(http, trained, "tensorboard", tmp_path / "runs")
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for file in sorted((tmp_path / "runs").rglob("events.out.*")):
        run = str(file.parent.relative_to(tmp_path / "runs"))
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                point = (event.step, round(value.simple_value, 4))
                found.setdefault(run, {}).setdefault(value.tag, []).append(point)
    assert found["0001 learning_rate=0.1/train"] == {"epoch_loss": [(0, 0.7), (1, 0.6), (2, 0.65)]}
    assert found["0001 learning_rate=0.1/validation"] == {"epoch_loss": [(0, 0.7), (1, 0.6), (2, 0.65)]}
    assert str(found["0002 learning_rate=0.01/train"]) == "{'epoch_loss': [(0, 0.9), (1, nan)]}"


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a real MLflow server, as `make check` installs it beside us."""
    command = os.environ.get("MLFLOW") or shutil.which("mlflow")
    assert command is not None, "MLFLOW must name the command `mlflow`: run this by `make check`"
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    arguments = [command, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    arguments += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            arguments, stdout=log, stderr=log, cwd=folder, env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 120
    while True:
        try:
            httpx.get(f"{url}/health").raise_for_status()
            break
        except httpx.HTTPError:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
    yield url
    process.terminate()
    process.wait(30)


@pytest.mark.mlflow
def test_mlflow_has_a_run_for_each_trial_and_none_twice(http: httpx.Client, trained: str, mlflow: str) -> None:
    for _ in range(2):
        shown = export(http, trained, "mlflow", mlflow)
    target = shown.rpartition("/")[2]
    api = f"{mlflow}/api/2.0/mlflow"
    runs = httpx.post(f"{api}/runs/search", json={"experiment_ids": [target]}).raise_for_status().json()["runs"]
    by_name = {run["info"]["run_name"]: run for run in runs}
    assert sorted(by_name) == ["learning_rate=0.01", "learning_rate=0.1"]
    first = by_name["learning_rate=0.1"]
    assert first["info"]["status"] == "FINISHED"
    parameters = {pair["key"]: pair["value"] for pair in first["data"]["params"]}
    assert parameters["optimizer.learning_rate"] == "0.1"
    assert parameters["seed"] == "0"
    for name, expected in (("learning_rate=0.1", [0.7, 0.6, 0.65]), ("learning_rate=0.01", [0.9, "NaN"])):
        query = {"run_id": by_name[name]["info"]["run_id"], "metric_key": "loss"}
        found = httpx.get(f"{api}/metrics/get-history", params=query).raise_for_status().json()["metrics"]
        assert [metric["value"] for metric in sorted(found, key=lambda metric: metric["step"])] == expected
        assert sorted(metric["step"] for metric in found) == list(range(1, len(expected) + 1))


@pytest.mark.mlflow
def test_mlflow_export_adds_trials_that_ended_since(http: httpx.Client, database: Database, mlflow: str) -> None:
    experiment_id = submit(http, name="still training", fit={"epochs": 9, "validation_split": 0.3})
    writer = Writer(database, experiment_id)
    writer.write(0)
    export(http, experiment_id, "mlflow", mlflow)
    writer.write(0)
    writer.end()
    shown = export(http, experiment_id, "mlflow", mlflow)
    api = f"{mlflow}/api/2.0/mlflow"
    [run] = httpx.post(f"{api}/runs/search", json={"experiment_ids": [shown.rpartition("/")[2]]}).json()["runs"]
    assert run["info"]["status"] == "FINISHED"
    query = {"run_id": run["info"]["run_id"], "metric_key": "loss"}
    found = httpx.get(f"{api}/metrics/get-history", params=query).raise_for_status().json()["metrics"]
    assert sorted(metric["step"] for metric in found) == [1, 2]


def test_a_server_that_is_not_there_is_said(http: httpx.Client, trained: str) -> None:
    arguments = ["export", trained, "http://127.0.0.1:1", "--to", "mlflow", "--url", str(http.base_url)]
    found = CliRunner().invoke(build(), arguments)
    assert found.exit_code == 2
    assert "127.0.0.1:1" in found.stderr
