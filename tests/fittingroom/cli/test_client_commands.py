"""The commands that speak to a service, against a real one."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from app.examples import example_documents
from fittingroom.cli.main import build
from fittingroom.cli.tables import sparkline
from models.sql.database import Database
from tests.e2e.service import until
from tests.factories import SWEEP, document
from tests.serving import later, other_server, submit
from tests.training import train

Run = Callable[..., Any]


def run_against(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command against a service."""
    monkeypatch.setenv("FITTINGROOM_URL", str(http.base_url))

    def runs(*arguments: str, given: str | None = None) -> Any:
        found = CliRunner().invoke(build(), list(arguments), input=given)
        assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
        return found

    return runs


@pytest.fixture
def run(shared_http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the module's service."""
    return run_against(shared_http, monkeypatch)


@pytest.fixture
def run_alone(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against an empty service."""
    return run_against(http, monkeypatch)


def train_sweep(http: httpx.Client, database: Database) -> str:
    """Submit a sweep with three seeds and write its epochs."""
    experiment_id = submit(http, name="Which rate?", seeds=[0, 1, 2], **SWEEP)
    values = {1: 0.5, 2: 0.52, 3: 0.51, 4: 0.6, 5: 0.64, 6: 0.61}
    train(database, experiment_id, {number: [value + 0.1, value] for number, value in values.items()})
    return experiment_id


@pytest.fixture(scope="module")
def trained(shared_http: httpx.Client, shared_database: Database) -> str:
    """Return a sweep that has ended."""
    return train_sweep(shared_http, shared_database)


def test_specs_are_submitted_from_json_yaml_and_standard_input(
    run_alone: Run, tmp_path: Path, http: httpx.Client
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(document(name="from JSON")))
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(document(name="from YAML")))
    found = run_alone(
        "submit", str(tmp_path / "a.json"), str(tmp_path / "b.yaml"), "-", given=json.dumps(document(name="in"))
    )
    assert found.exit_code == 0, found.output
    names = {item["id"]: item["name"] for item in http.get("/v1/experiments").json()["items"]}
    assert sorted(names.values()) == ["from JSON", "from YAML", "in"]
    assert [line.split()[0] for line in found.stdout.splitlines()] == list(names)[::-1]


def test_submit_reports_refused_files_and_submits_the_others(
    run: Run, tmp_path: Path, shared_http: httpx.Client
) -> None:
    (tmp_path / "bad.json").write_text(json.dumps(document(loss="hinge", optimizer={"name": "sgd", "learn_rate": 1})))
    (tmp_path / "good.json").write_text(json.dumps(document()))
    found = run("submit", str(tmp_path / "bad.json"), str(tmp_path / "good.json"), "--json")
    assert found.exit_code == 2
    assert "bad.json: refused" in found.stderr
    assert "learning_rate" in found.stderr
    assert json.loads(found.stdout)["id"] == shared_http.get("/v1/experiments").json()["items"][0]["id"]


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "neither JSON nor YAML"), ("- 1\n- 2\n", "expected a spec, found list"), ("", "found NoneType")],
)
def test_submit_of_a_file_that_is_no_spec_sends_nothing(run: Run, content: str, says: str) -> None:
    found = run("submit", "-", given=content)
    assert found.exit_code == 2
    assert says in found.stderr


def test_numbers_are_numbers_in_yaml_and_in_json_without_a_name(run: Run, shared_http: httpx.Client) -> None:
    """PyYAML takes 1e-6, which YAML 1.2 and JSON call a number, for a text."""
    optimizer = {"name": "sgd", "learning_rate": {"choice": [1e-6, 0.01]}}
    as_yaml = (
        yaml.safe_dump(document(optimizer=None)) + "optimizer: {name: sgd, learning_rate: {choice: [1e-6, .01]}}\n"
    )
    for given in (json.dumps(document(optimizer=optimizer)), as_yaml):
        assert run("submit", "-", given=given).exit_code == 0
        newest = shared_http.get("/v1/experiments", params={"limit": 1}).json()["items"][0]["id"]
        assert shared_http.get(f"/v1/experiments/{newest}").json()["spec"]["optimizer"] == optimizer


def test_yaml_that_could_be_no_json_is_refused(run: Run) -> None:
    for given in (
        "name: 2026-01-01\n",
        "name: .nan\n",
        "? [1]\n: 2\n",
        "name: !!python/object/apply:os.system ['true']\n",
    ):
        found = run("submit", "-", given=given)
        assert found.exit_code == 2
        assert "neither JSON nor YAML" in found.stderr


def test_an_unreadable_file_stops_none_of_the_others(run: Run, tmp_path: Path, shared_http: httpx.Client) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "good.json").write_text(json.dumps(document()))
    found = run("submit", str(tmp_path / "broken.json"), str(tmp_path / "good.json"), str(tmp_path / "none.json"))
    assert found.exit_code == 2
    assert found.stdout.split()[0] == shared_http.get("/v1/experiments").json()["items"][0]["id"]


def test_unexpected_server_is_reported() -> None:
    with other_server(b"<html>") as url:
        found = CliRunner().invoke(build(), ["list", "--url", url])
        assert (found.exit_code, "not a Fitting Room server" in found.stderr) == (3, True), found.output
        found = CliRunner().invoke(build(), ["list", "--url", url, "--key", "fr_…"])
    assert found.exit_code == 2
    assert "key" in found.stderr


def test_a_file_that_cannot_be_written_is_said(run: Run, trained: str, tmp_path: Path) -> None:
    found = run("plot", trained, "-o", str(tmp_path / "nowhere" / "x.svg"))
    assert found.exit_code == 2
    assert "nowhere" in found.stderr


def test_broken_pipe_on_standard_output_is_silent(shared_http: httpx.Client, trained: str) -> None:
    command = [sys.executable, "-m", "fittingroom", "history", trained, "--csv", "--url", str(shared_http.base_url)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""


def test_a_file_that_is_not_there(run: Run) -> None:
    found = run("submit", "nowhere.json")
    assert found.exit_code == 2
    assert "nowhere.json" in found.stderr


def test_a_service_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fittingroom.client.retries.MAX_WAIT_SECONDS", 0.0)
    found = CliRunner().invoke(build(), ["list", "--url", "http://127.0.0.1:1"])
    assert found.exit_code == 3
    assert "fittingroom serve" in found.stderr


def test_a_plan_is_shown(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(example_documents()["wider_network"]))
    shown = run("plan", str(file)).stdout
    assert "11,402" in shown
    assert "fused" in shown
    assert len(json.loads(run("plan", str(file), "--json").stdout)["trials"]) == 2


def test_a_plan_of_a_search_says_how_many_trials_come_later(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    rate = {"name": "sgd", "learning_rate": {"log_uniform": [0.001, 1.0]}}
    file.write_text(json.dumps(document(optimizer=rate, sampler={"name": "gp", "trials": 30, "round": 12})))
    assert "and 18 more in later rounds" in run("plan", str(file)).stdout


def test_lists_and_one_experiment(run_alone: Run, http: httpx.Client, database: Database) -> None:
    trained = train_sweep(http, database)
    assert trained in run_alone("list").stdout
    assert [json.loads(line)["id"] for line in run_alone("list", "--json").stdout.splitlines()] == [trained]
    assert trained not in run_alone("list", "--state", "queued").stdout
    shown = run_alone("show", trained)
    assert "learning_rate=0.01" in shown.stdout
    assert len(json.loads(run_alone("show", trained, "--json").stdout)["trials"]) == 6
    missing = run_alone("show", f"exp_{'0' * 32}")
    assert missing.exit_code == 2
    assert "there is no experiment" in missing.stderr


def test_history_as_csv_json_and_sparklines(run: Run, trained: str) -> None:
    lines = run("history", trained, "--csv").stdout.splitlines()
    assert lines[0] == "trial_id,trial,label,epoch,loss,val_loss"
    assert len(lines) == 13
    assert len(json.loads(run("history", trained, "--json").stdout)["trials"]) == 6
    assert "█▁" in run("history", trained).stdout


def test_usage_is_a_sentence(run: Run, trained: str) -> None:
    del trained  # it is something to count
    assert "default keeps 0.0 of 100,000 MB" in run("usage").stdout
    assert json.loads(run("usage", "--json").stdout)["max_stored_bytes"] == 100 * 10**9


def test_a_comparison_is_a_sentence_and_a_table(run: Run, trained: str) -> None:
    shown = run("compare", trained).stdout
    assert "beats learning_rate" in shown
    assert "3/3" in shown
    assert json.loads(run("compare", trained, "--json").stdout)["candidates"][0]["rank"] == 1


def test_plots_are_written(run: Run, trained: str, tmp_path: Path) -> None:
    for name in ("curves.svg", "curves.png"):
        found = run("plot", trained, "-o", str(tmp_path / name), "--metric", "loss,val_loss", "--seeds", "band")
        assert found.exit_code == 0, found.stderr
        assert (tmp_path / name).stat().st_size > 1_000
    assert run("plot", trained, "-o", str(tmp_path / "curves.gif")).exit_code == 2
    assert run("plot", trained, "-o", str(tmp_path / "x.svg"), "--metric", "auc").exit_code == 2


def test_watching_ends_with_the_experiment(run: Run, shared_http: httpx.Client, shared_database: Database) -> None:
    experiment_id = submit(shared_http, **SWEEP)
    with later(0.5, lambda: train(shared_database, experiment_id, {1: [0.7, 0.6], 2: [0.9, 0.8]})):
        found = run("watch", experiment_id)
    assert found.exit_code == 0, found.output
    assert "completed" in found.stdout
    assert "2/2" in found.stdout
    lines = [json.loads(line) for line in run("watch", experiment_id, "--json").stdout.splitlines()]
    assert lines[-1]["state"] == "completed"


def test_experiment_is_paused_resumed_and_deleted(run: Run, shared_http: httpx.Client) -> None:
    experiment_id = submit(shared_http)
    assert json.loads(run("pause", experiment_id, "--json").stdout)["paused_at"] is not None
    assert "is queued" in run("resume", experiment_id).stdout
    assert run("delete", experiment_id).exit_code == 1, "nobody confirms here"
    assert shared_http.get(f"/v1/experiments/{experiment_id}").json()["paused_at"] is None
    assert json.loads(run("delete", experiment_id, "--yes", "--json").stdout) == {"deleted": experiment_id}
    assert shared_http.get(f"/v1/experiments/{experiment_id}").status_code == 404
    assert run("pause", experiment_id).exit_code == 2


def test_ended_experiment_is_extended(run: Run, shared_http: httpx.Client, shared_database: Database) -> None:
    experiment_id = submit(shared_http, **SWEEP)
    refused = run("extend", experiment_id, "--epochs", "6")
    assert (refused.exit_code, "has not ended" in refused.output) == (2, True)
    train(shared_database, experiment_id, {1: [0.7, 0.6], 2: [0.9, 0.8]})
    longer = json.loads(run("extend", experiment_id, "--epochs", "6", "--top", "1", "--name", "on", "--json").stdout)
    assert (longer["name"], longer["progress"]["epochs_planned"]) == ("on", 6)
    assert longer["spec"]["sampler"] == {"name": "leaders", "experiment": experiment_id, "top": 1}
    refused = run("extend", experiment_id, "--trials", "3")
    assert (refused.exit_code, "trained all combinations" in refused.output) == (2, True)

    def train_next() -> None:
        following = until(lambda: (found := newest(shared_http)) != longer["id"] and found)
        train(shared_database, str(following), {1: [0.7, 0.6, 0.5], 2: [0.9, 0.8, 0.7]})

    with later(0.0, train_next):
        assert run("extend", experiment_id, "--epochs", "3", "--watch").exit_code == 0


def newest(http: httpx.Client) -> str:
    [item] = http.get("/v1/experiments", params={"limit": 1}).json()["items"]
    return str(item["id"])


def test_watch_of_a_cancelled_experiment_exits_with_1(run: Run, shared_http: httpx.Client, tmp_path: Path) -> None:
    experiment_id = submit(shared_http)
    assert json.loads(run("cancel", experiment_id, "--json").stdout) == {"trials_cancelled": 1}
    assert run("watch", experiment_id).exit_code == 1
    assert "0 trials" in run("cancel", experiment_id).stdout
    (tmp_path / "spec.json").write_text(json.dumps(document()))

    def cancel_next() -> None:
        following = until(lambda: (found := newest(shared_http)) != experiment_id and found)
        shared_http.post(f"/v1/experiments/{following}/cancel")

    with later(0.0, cancel_next):
        assert run("submit", str(tmp_path / "spec.json"), "--watch").exit_code == 1


def test_datasets_come_and_go(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "homes.csv"
    table.write_text("size,price\n0.7,2.4\n0.2,1.4\n0.9,1.8\n0.4,1.5\n")
    found = run("datasets", "upload", str(table), "--name", "homes", "--target", "price", "--task", "regression")
    assert found.exit_code == 0, found.stderr
    assert "homes: 4 rows of 1 features, for regression\n  size: number\n" in found.stdout
    table.write_bytes(";größe;preis;ort\n0;1.000,5;7,5;-\n1;2,5;NA;None\n2;3;8,5;Köln\n3;4;9;Ulm\n".encode("cp1252"))
    options = ["--decimal", ",", "--thousands", ".", "--charset", "cp1252", "--missing", "-", "--drop-missing-target"]
    found = run("datasets", "upload", str(table), "--name", "german", "--target", "preis", *options)
    assert found.stdout.splitlines() == [
        "german: 3 rows of 4 features, for regression",
        "  größe: number",
        "  ort: category, missing in 1 rows",
        "  left out as a pandas index: Unnamed: 0",
        "  1 rows without a target are left out",
        "  columns are separated by ';'",
    ]
    assert "homes" in run("datasets", "list").stdout
    assert run("datasets", "delete", "homes").exit_code == 0
    assert "homes" not in run("datasets", "list", "--json").stdout
    assert run("datasets", "delete", "titanic").exit_code == 2


def test_sparklines() -> None:
    assert sparkline([1, 2, 3]) == "▁▅█"
    assert sparkline([1, float("nan"), 3]) == "▁ █"
    assert sparkline([2, 2]) == "▁▁"
    assert sparkline([float("inf")]) == ""
    assert len(sparkline(list(range(100)))) == 24
