"""Experiments over HTTP, without a worker: what is queued stays queued."""

import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from app.examples import example_documents
from app.services.served_queues import SERVED_QUEUES_SECONDS
from models.settings import Settings
from models.sql import worker_registry
from models.sql.database import Database, clock
from models.sql.tables import CohortTable, ExperimentTable, TrialTable
from tests.factories import SWEEP, document
from tests.serving import Clock, served, submit
from tests.training import train


@pytest.mark.parametrize("name", example_documents())
def test_every_exercise_is_accepted(shared_http: httpx.Client, name: str) -> None:
    answer = shared_http.post("/v1/experiments", json=example_documents()[name])
    assert answer.status_code == 202
    view = answer.json()
    assert answer.headers["location"] == f"/v1/experiments/{view['id']}"
    assert (view["state"], view["version"]) == ("queued", 1)
    again = shared_http.get(answer.headers["location"])
    assert again.json() == view
    assert again.headers["etag"] == answer.headers["etag"]


def test_plan_shows_trials_and_cohorts_and_stores_nothing(http: httpx.Client) -> None:
    plan = http.post("/v1/experiments/plan", json=example_documents()["wider_network"]).json()
    assert [trial["parameter_count"] for trial in plan["trials"]] == [242, 11_402]
    assert [cohort["trials"] for cohort in plan["cohorts"]] == [[1], [2]]
    assert plan["cohorts"][0]["engine"]["name"] == "fused"
    assert plan["cohorts"][0]["engine"]["reason"]
    assert http.get("/v1/experiments").json() == {"items": [], "next_cursor": None}


@pytest.mark.stores
def test_a_queued_experiment_says_that_no_worker_is_alive(
    http: httpx.Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("app.services.served_queues.time", clock)
    anywhere, on_gpu = submit(http), submit(http, device="gpu")
    assert "no worker is alive" in http.get(f"/v1/experiments/{anywhere}").json()["waiting_for"]
    with database.writing() as session:
        worker_registry.add_worker(
            session, "wrk_1", host="h", process_id=1, queues=["any", "cpu"], devices=["cpu:0"], versions={}
        )
    clock.advance(SERVED_QUEUES_SECONDS)  # so long it is believed that nobody is there
    assert http.get(f"/v1/experiments/{anywhere}").json()["waiting_for"] is None
    assert "serves the device gpu" in http.get(f"/v1/experiments/{on_gpu}").json()["waiting_for"]
    assert http.get("/v1/workers").json()["items"][0]["devices"] == ["cpu:0"]


def test_a_search_is_planned_and_stored_with_its_first_round(shared_http: httpx.Client) -> None:
    rate = {"name": "sgd", "learning_rate": {"log_uniform": [0.001, 1.0]}}
    search = document(optimizer=rate, sampler={"name": "gp", "trials": 30, "round": 12})
    plan = shared_http.post("/v1/experiments/plan", json=search).json()
    assert (len(plan["trials"]), plan["undrawn_trials"]) == (12, 18)
    answer = shared_http.post("/v1/experiments", json=search)
    view = answer.json()
    assert (view["undrawn_trials"], view["progress"]["trials"]) == (18, {"queued": 30})
    assert view["progress"]["epochs_planned"] == 60
    assert [(one["number"], one["trials"]) for one in view["rounds"]] == [(1, 12)]
    assert {*view["rounds"][0]["versions"]} == {"cmaes", "numpy", "scipy"}
    assert shared_http.get(answer.headers["location"]).json() == view
    trials = shared_http.get(f"{answer.headers['location']}/trials").json()["items"]
    assert [trial["round"] for trial in trials] == [1] * 12


@pytest.mark.stores
def test_a_search_between_rounds_says_that_no_worker_is_alive(http: httpx.Client, database: Database) -> None:
    rate = {"name": "sgd", "learning_rate": {"log_uniform": [0.001, 1.0]}}
    experiment_id = submit(http, optimizer=rate, sampler={"name": "gp", "trials": 30, "round": 12})
    with database.writing() as session:
        session.execute(update(TrialTable).values(state="completed", finished_at=clock()))
        session.execute(update(CohortTable).values(finished_at=clock()))
        session.execute(update(ExperimentTable).values(version=2))
    view = http.get(f"/v1/experiments/{experiment_id}").json()
    assert (view["state"], view["finished_at"]) == ("running", None)
    assert "no worker is alive" in view["waiting_for"]
    [listed] = http.get("/v1/experiments").json()["items"]
    assert listed["waiting_for"] == view["waiting_for"]


def test_the_backend_of_a_spec_is_planned_and_waited_for(shared_http: httpx.Client) -> None:
    planned = shared_http.post("/v1/experiments/plan", json=document(backend="jax", device="cpu")).json()
    assert [cohort["queue"] for cohort in planned["cohorts"]] == ["cpu.jax"]
    view = shared_http.get(f"/v1/experiments/{submit(shared_http, backend='jax')}").json()
    assert view["waiting_for"] == (
        "no worker is alive that trains with jax; start one with `FITTINGROOM_KERAS_BACKEND=jax fittingroom worker`"
    )


@pytest.mark.stores
def test_list_pages_and_filters(http: httpx.Client) -> None:
    ids = [submit(http, name=f"試験 🙂 {number}", tags=["odd"] if number % 2 else ["even"]) for number in range(5)]
    page = http.get("/v1/experiments", params={"limit": 2}).json()
    assert [item["id"] for item in page["items"]] == [ids[4], ids[3]]
    rest = http.get("/v1/experiments", params={"limit": 3, "cursor": page["next_cursor"]}).json()
    assert [item["id"] for item in rest["items"]] == ids[2::-1]
    assert rest["next_cursor"] is None
    for params, expected in (({"tag": "odd"}, [3, 1]), ({"name": "試験 🙂 2"}, [2]), ({"state": "running"}, [])):
        items = http.get("/v1/experiments", params=params).json()["items"]
        assert [item["id"] for item in items] == [ids[number] for number in expected]


@pytest.mark.stores
def test_trials_and_histories(http: httpx.Client, database: Database) -> None:
    experiment_id = submit(http, **SWEEP)
    train(database, experiment_id, {1: [0.5, 0.4, 0.45], 2: [0.9, "NaN"]})
    view = http.get(f"/v1/experiments/{experiment_id}").json()
    assert view["state"] == "completed"
    assert (view["best_trial"]["number"], view["best_trial"]["epoch"]) == (1, 2)
    first, second = http.get(f"/v1/experiments/{experiment_id}/trials").json()["items"]
    assert first["hyperparameters"] == {"optimizer.learning_rate": 0.1}
    assert (first["best_epoch"]["epoch"], first["stop_reason"]) == (2, "epochs")
    history = http.get(f"/v1/experiments/{experiment_id}/history").json()
    assert history["trials"][0]["history"] == {
        "epoch": [1, 2, 3], "loss": [0.5, 0.4, 0.45], "val_loss": [0.5, 0.4, 0.45],
    }  # fmt: skip
    assert history["trials"][1]["history"]["loss"] == [0.9, "NaN"]
    of_trial = http.get(f"/v1/trials/{second['id']}/history").json()
    assert of_trial == history["trials"][1]
    detail = http.get(f"/v1/trials/{first['id']}").json()
    assert detail["spec"]["optimizer"]["learning_rate"] == 0.1


@pytest.mark.stores
def test_histories_from_a_point_on(http: httpx.Client, database: Database) -> None:
    experiment_id = submit(http)
    before = http.get(f"/v1/experiments/{experiment_id}").json()["version"]
    train(database, experiment_id, {1: [0.3, 0.2, 0.1]})
    path = f"/v1/experiments/{experiment_id}/history"
    assert http.get(path, params={"after": before}).json()["trials"][0]["history"]["epoch"] == [1, 2, 3]
    now = http.get(path).json()["version"]
    assert http.get(path, params={"after": now}).json()["trials"] == []
    trial_id = http.get(path).json()["trials"][0]["trial_id"]
    later = http.get(f"/v1/trials/{trial_id}/history", params={"after": 2}).json()
    assert later["history"] == {"epoch": [3], "loss": [0.1], "val_loss": [0.1]}
    assert later["epochs_completed"] == 3


@pytest.mark.stores
def test_histories_as_csv(http: httpx.Client, database: Database) -> None:
    experiment_id = submit(http, **SWEEP)
    train(database, experiment_id, {1: [0.5], 2: [0.25, "NaN"]})
    answer = http.get(f"/v1/experiments/{experiment_id}/history", headers={"accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    ids = [item["id"] for item in http.get(f"/v1/experiments/{experiment_id}/trials").json()["items"]]
    assert answer.text.splitlines() == [
        "trial_id,trial,label,epoch,loss,val_loss",
        f"{ids[0]},1,learning_rate=0.1,1,0.5,0.5",
        f"{ids[1]},2,learning_rate=0.01,1,0.25,0.25",
        f"{ids[1]},2,learning_rate=0.01,2,NaN,NaN",
    ]


@pytest.mark.stores
def test_an_unchanged_resource_answers_304(http: httpx.Client, database: Database) -> None:
    experiment_id = submit(http)
    trial_id = http.get(f"/v1/experiments/{experiment_id}/trials").json()["items"][0]["id"]
    paths = [f"/v1/experiments/{experiment_id}{rest}" for rest in ("", "/trials", "/history", "/plot.svg")]
    paths.append(f"/v1/trials/{trial_id}/history")
    tags = [http.get(path).headers["etag"] for path in paths]
    for path, tag in zip(paths, tags, strict=True):
        unchanged = http.get(path, headers={"if-none-match": f'"other", {tag}'})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
    train(database, experiment_id, {1: [0.5]})
    for path, tag in zip(paths, tags, strict=True):
        assert http.get(path, headers={"if-none-match": tag}).status_code == 200


@pytest.mark.stores
def test_cancel_is_idempotent(http: httpx.Client) -> None:
    experiment_id = submit(http, **SWEEP)
    trial_id = http.get(f"/v1/experiments/{experiment_id}/trials").json()["items"][0]["id"]
    assert http.post(f"/v1/trials/{trial_id}/cancel").json()["trials_cancelled"] == 1
    assert http.post(f"/v1/experiments/{experiment_id}/cancel").json()["trials_cancelled"] == 1
    again = http.post(f"/v1/experiments/{experiment_id}/cancel")
    assert (again.status_code, again.json()["trials_cancelled"]) == (202, 0)
    assert http.get(f"/v1/experiments/{experiment_id}").json()["state"] == "cancelled"


def assert_svg(answer: httpx.Response) -> None:
    """Check that an answer is an SVG picture."""
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/svg+xml"
    assert ET.fromstring(answer.content).tag.endswith("svg")  # noqa: S314 - our own answer


def test_plot_before_and_after_training_is_a_picture(shared_http: httpx.Client, shared_database: Database) -> None:
    experiment_id = submit(shared_http, **SWEEP)
    empty = shared_http.get(f"/v1/experiments/{experiment_id}/plot.svg")
    train(shared_database, experiment_id, {1: [15_000.0, 0.7, 0.67], 2: [0.6, "NaN"]})
    drawn = shared_http.get(f"/v1/experiments/{experiment_id}/plot.svg", params={"metric": "loss"})
    assert_svg(empty)
    assert_svg(drawn)
    assert len(drawn.content) > len(empty.content)


@pytest.mark.parametrize("name", ["$x_1$ and $", "Prüfung 試験 🙂", "<script>&amp;"])
def test_plot_of_any_name_is_a_picture(shared_http: httpx.Client, shared_database: Database, name: str) -> None:
    experiment_id = submit(shared_http, name=name)
    train(shared_database, experiment_id, {1: [0.7, "NaN"]})
    assert_svg(shared_http.get(f"/v1/experiments/{experiment_id}/plot.svg", params={"metric": "loss"}))


def test_a_plot_of_a_metric_that_is_not_recorded_is_refused(shared_http: httpx.Client) -> None:
    answer = shared_http.get(f"/v1/experiments/{submit(shared_http)}/plot.svg", params={"metric": "auc"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "metric"


def test_submit_is_accepted_while_the_broker_is_down(tmp_path: Path, database_url: str) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url, broker_url="redis://127.0.0.1:1/0")
    with served(settings) as http:
        assert http.get(f"/v1/experiments/{submit(http)}").json()["state"] == "queued"
        assert http.get("/readyz").json()["broker"] == "unreachable"


def test_submit_is_accepted_while_the_queues_folder_is_gone(tmp_path: Path, database_url: str) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url)
    with served(settings) as http:
        shutil.rmtree(settings.queue_dir)
        assert http.get(f"/v1/experiments/{submit(http)}").json()["state"] == "queued"


@pytest.mark.stores
def test_a_thousand_trials_are_planned_and_stored(http: httpx.Client) -> None:
    rates = {"choice": [index / 1000 for index in range(1, 1001)]}
    view = http.get(f"/v1/experiments/{submit(http, optimizer={'name': 'sgd', 'learning_rate': rates})}").json()
    assert view["progress"]["trials"] == {"queued": 1000}


def test_plot_of_the_best_value_so_far(shared_http: httpx.Client, shared_database: Database) -> None:
    experiment_id = submit(shared_http, **SWEEP)
    train(shared_database, experiment_id, {1: [0.6, 0.5], 2: [0.4]})
    path = f"/v1/experiments/{experiment_id}/plot.svg"
    for effort in ("trial", "epochs", "seconds"):
        assert_svg(shared_http.get(path, params={"x": effort}))
    refused = shared_http.get(path, params={"x": "effort"})
    assert refused.status_code == 422
    assert (
        "known: epoch, trial, epochs, seconds, hyperparameters, optimizer.learning_rate"
        in refused.json()["errors"][0]["detail"]
    )


def test_comparison_of_many_candidates_has_importances(shared_http: httpx.Client, shared_database: Database) -> None:
    rates = {"name": "sgd", "learning_rate": {"log_uniform": [0.001, 1.0]}, "momentum": {"uniform": [0.0, 0.9]}}
    experiment_id = submit(shared_http, optimizer=rates, sampler={"name": "quasi_random", "trials": 24})
    path = f"/v1/experiments/{experiment_id}/comparison"
    assert shared_http.get(path).json()["importances"] == []
    train(shared_database, experiment_id, {number: [number / 10] for number in range(1, 25)})
    found = shared_http.get(path).json()["importances"]
    assert len(found) == 2
    assert {one["hyperparameter"] for one in found} == {"optimizer.learning_rate", "optimizer.momentum"}
    assert sum(one["importance"] for one in found) in (0, pytest.approx(1))


def test_a_rate_that_is_lowered_can_be_drawn_and_another_cannot(shared_http: httpx.Client) -> None:
    for changes, status in (({"reduce_lr_on_plateau": {}}, 200), ({}, 422)):
        path = f"/v1/experiments/{submit(shared_http, **changes)}/plot.svg"
        assert shared_http.get(path, params={"metric": "learning_rate"}).status_code == status


@pytest.mark.stores
def test_pause_is_idempotent_and_409_after_the_end(http: httpx.Client) -> None:
    made = http.post("/v1/experiments", json=document()).json()
    place = f"/v1/experiments/{made['id']}"
    first, again = http.post(f"{place}/pause"), http.post(f"{place}/pause")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["paused_at"] == again.json()["paused_at"] is not None
    assert f"{place}/resume" in http.get(place).json()["waiting_for"]
    resumed = http.post(f"{place}/resume").json()
    assert resumed["paused_at"] is None
    assert resumed["version"] > first.json()["version"] > made["version"]
    http.post(f"{place}/cancel")
    refused = http.post(f"{place}/pause")
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    assert "has ended" in refused.json()["detail"]
    for verb in ("pause", "resume"):
        assert http.post(f"/v1/experiments/exp_00000000000070008000000000000000/{verb}").status_code == 404


@pytest.mark.stores
def test_delete(http: httpx.Client) -> None:
    made = http.post("/v1/experiments", json=document()).json()
    [trial] = http.get(f"/v1/experiments/{made['id']}/trials").json()["items"]
    deleted = http.delete(f"/v1/experiments/{made['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    for place in (f"/v1/experiments/{made['id']}", f"/v1/trials/{trial['id']}"):
        assert http.get(place).status_code == 404
    assert http.delete(f"/v1/experiments/{made['id']}").status_code == 404
    assert http.get("/v1/experiments").json()["items"] == []


def test_search_begins_with_the_results_of_another(shared_http: httpx.Client, shared_database: Database) -> None:
    space = {"name": "sgd", "learning_rate": {"log_uniform": [0.001, 1.0]}}
    earlier = submit(shared_http, optimizer=space, sampler={"name": "random", "trials": 12})
    train(shared_database, earlier, {number: [number / 10] for number in range(1, 13)})
    sampler = {"name": "tpe", "trials": 8, "round": 5, "prior": [earlier]}
    given = document(optimizer=space, sampler=sampler)
    plan = shared_http.post("/v1/experiments/plan", json=given).json()
    assert [len(plan["trials"]), plan["undrawn_trials"]] == [5, 3]
    assert plan["warnings"][0]["detail"] == "the search begins with 12 candidates of earlier experiments"
    answer = shared_http.post("/v1/experiments", json=given)
    assert answer.status_code == 202
    assert answer.json()["undrawn_trials"] == 3
    trials = shared_http.get(f"/v1/experiments/{answer.json()['id']}/trials").json()["items"]
    assert [one["hyperparameters"] for one in trials] == [one["hyperparameters"] for one in plan["trials"]]
    keyed = {"Idempotency-Key": "search-after-search"}
    first = shared_http.post("/v1/experiments", json=given, headers=keyed)
    assert first.is_success
    bad = {
        "/sampler/prior/0": ["exp_" + "0" * 32],
        "/sampler/prior/1": [earlier, "exp_1"],
        "/sampler/prior": [earlier] * 2,
    }
    for pointer, prior in bad.items():
        refused = shared_http.post("/v1/experiments", json=given | {"sampler": sampler | {"prior": prior}})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == pointer
    assert shared_http.delete(f"/v1/experiments/{earlier}").is_success
    again = shared_http.post("/v1/experiments", json=given, headers=keyed)
    assert again.is_success
    assert again.json()["id"] == first.json()["id"], "as before"
    assert shared_http.post("/v1/experiments", json=given).json()["errors"][0]["pointer"] == "/sampler/prior/0"
