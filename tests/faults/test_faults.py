"""Fault injection: no accepted experiment lost, no epoch duplicated or missing, states correct."""

import json
import random
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest
from redis import Redis
from sqlalchemy import select, text, update

from models.messaging.broker import TRAIN, create_celery
from models.settings import Settings
from models.sql import transitions
from models.sql.database import Database, clock
from models.sql.tables import CohortTable, TrialTable
from tests.e2e.service import free_port, is_alive, until
from tests.factories import DENSE_2, document, layers
from tests.faults.cluster import ROOT, SWEEP, Cluster

pytestmark = pytest.mark.faults

KILLS = {
    "killed_before_the_claim": 0,
    "killed_after_the_claim": 1,
    "killed_within_an_epoch": 1,
    "killed_before_the_write": 1,
    "killed_before_the_mark": 1,
    "killed_within_a_checkpoint": 1,
    "killed_after_a_checkpoint": 1,
    "killed_after_an_artifact": 1,
}


@pytest.mark.parametrize(("fault", "faults"), KILLS.items(), ids=KILLS)
def test_sigkill(cluster: Cluster, fault: str, faults: int) -> None:
    view = cluster.client.submit(SWEEP)
    worker = cluster.worker(fault)
    assert worker.wait(90) == -signal.SIGKILL
    with cluster.rescued():
        cluster.assert_kept(view.id, attempts=1 + faults, faults=faults)


def test_sigterm(cluster: Cluster) -> None:
    view = cluster.client.submit(SWEEP)
    worker = cluster.worker()
    cluster.wait_for_epochs(view.id)
    assert cluster.end(worker) == 0
    assert {trial.state.value for trial in cluster.trials(view.id)} == {"queued"}
    assert cluster.storage.list_names(view.id)
    before = cluster.client.get_experiment(view.id).progress.epochs_completed
    with cluster.rescued():
        cluster.assert_kept(view.id, attempts=2, faults=0)
    # It went on where it was: of the second attempt there are only the epochs that the first had not written.
    sql = "SELECT count(*) FROM epochs WHERE experiment_id = :id AND attempt = 1"
    assert cluster.ask(sql, id=view.id) == before


def test_sigterm_within_an_epoch_that_outlasts_the_grace(cluster: Cluster) -> None:
    view = cluster.client.submit(SWEEP)
    worker = cluster.worker("slow_epochs", FITTINGROOM_GRACE_SECONDS="1")
    cluster.wait_for_epochs(view.id, 1)
    began = time.monotonic()
    assert cluster.end(worker) == 0
    assert time.monotonic() - began < 8
    with cluster.rescued():
        cluster.assert_kept(view.id, attempts=2, faults=0)


def test_sigstop_for_longer_than_the_lease(cluster: Cluster) -> None:
    view = cluster.client.submit(SWEEP)
    zombie = cluster.worker()
    cluster.wait_for_epochs(view.id)
    cluster.freeze(zombie)
    with cluster.rescued():
        cluster.assert_kept(view.id, attempts=2, faults=1)
        version = cluster.client.get_experiment(view.id).version
        zombie.send_signal(signal.SIGCONT)
        time.sleep(2)
        assert cluster.client.get_experiment(view.id).version == version
        assert is_alive(zombie.pid)
        cluster.assert_kept(view.id, attempts=2, faults=1)


def test_sigkill_of_the_api_between_commit_and_message(cluster: Cluster) -> None:
    port = free_port()
    api = cluster.start("-m", "tests.faults.api", str(port))
    url = f"http://127.0.0.1:{port}"

    def dies() -> bool:
        try:
            httpx.post(f"{url}/v1/experiments", json=SWEEP | {"name": "cut off"})
        except httpx.ConnectError:
            return api.poll() is not None
        except httpx.TransportError:
            return True
        return False

    until(dies)
    assert api.wait(10) == -signal.SIGKILL
    [found] = cluster.http.get("/v1/experiments", params={"name": "cut off"}).json()["items"]
    with cluster.rescued():
        cluster.assert_kept(found["id"], attempts=1, faults=0)
    cluster.client.delete(found["id"])


def test_broker_down_at_submit(cluster: Cluster) -> None:
    if cluster.is_server:
        cluster.stop_redis()
        view = cluster.client.submit(SWEEP)
        time.sleep(1)  # workers are notified beside the answer
        cluster.start_redis()
    else:
        aside = cluster.queue.rename(cluster.queue.with_name("aside"))
        cluster.queue.write_text("no folder")
        view = cluster.client.submit(SWEEP)
        time.sleep(1)  # workers are notified beside the answer
        cluster.queue.unlink()
        aside.rename(cluster.queue)
    with cluster.rescued():
        cluster.assert_kept(view.id, attempts=1, faults=0)


def flush(cluster: Cluster) -> None:
    if cluster.is_server:
        cluster.stop_redis()
        cluster.start_redis()
    else:
        for message in cluster.queue.glob("*.msg"):
            message.unlink()


def test_broker_flushed_with_work_queued(cluster: Cluster) -> None:
    views = [cluster.client.submit(SWEEP) for _ in range(2)]
    time.sleep(1)  # workers are notified beside the answers
    flush(cluster)
    with cluster.rescued():
        for view in views:
            cluster.assert_kept(view.id, attempts=1, faults=0)


def test_broker_restarted_in_mid_training(cluster: Cluster) -> None:
    first, second = cluster.client.submit(SWEEP), cluster.client.submit(SWEEP)
    worker = cluster.worker()
    cluster.wait_for_epochs(first.id)
    flush(cluster)
    for view in (first, second):
        cluster.assert_kept(view.id, attempts=1, faults=0)
    third = cluster.client.submit(SWEEP)
    cluster.assert_kept(third.id, attempts=1, faults=0)
    assert cluster.end(worker) == 0


def test_every_message_twice_and_late(cluster: Cluster) -> None:
    environment = {key[12:].lower(): value for key, value in cluster.environment.items() if "FITTINGROOM_" in key}
    celery = create_celery(Settings(**environment))
    view = cluster.client.submit(SWEEP)
    cohort_id = cluster.ask("SELECT id FROM cohorts WHERE experiment_id = :id", id=view.id)

    def publish() -> None:
        celery.send_task(TRAIN, args=[cohort_id], queue="any")  # as the versions before did

    publish()
    with cluster.rescued():
        cluster.wait_for_epochs(view.id)
        publish()
        cluster.assert_kept(view.id, attempts=1, faults=0)
        publish()
        time.sleep(1)
        cluster.assert_kept(view.id, attempts=1, faults=0)


def test_garbage_in_the_queue(cluster: Cluster) -> None:
    """Whatever lies there: the worker drops it, and trains what there is to train."""
    whole = json.dumps({"body": "W10=", "headers": {}, "properties": {}, "content-type": "application/json"})
    garbage = [b"", b"\x80\x04\x95", b"{", b"null", b"[]", b"7", b'"text"', b"{}", b'{"body": 7}', whole.encode()]
    tagged = {"delivery_tag": "x", "delivery_info": {"exchange": "", "routing_key": "any"}, "body_encoding": "base64"}
    for headers in ({}, {"task": "os.system"}, {"task": TRAIN}, {"task": []}):
        for body in ("!", "W10=", ""):
            message = {"body": body, "headers": headers, "properties": tagged, "content-type": "application/json",
                       "content-encoding": "utf-8"}  # fmt: skip
            garbage += [
                json.dumps(message | {"content-type": kind}).encode() for kind in ("application/json", "pickle")
            ]
    worker = cluster.worker()
    until(lambda: any(each["process_id"] == worker.pid for each in cluster.workers()))
    for number, piece in enumerate(garbage):
        if cluster.is_server:
            with Redis(port=cluster.redis_port) as redis:
                redis.lpush("any", piece)
        else:
            (cluster.queue / f"{number:020d}_x.any.msg").write_bytes(piece)
    view = cluster.client.submit(SWEEP)
    cluster.assert_kept(view.id, attempts=1, faults=0)
    assert worker.poll() is None
    if not cluster.is_server:
        until(lambda: not list(cluster.queue.glob("*_x.any.msg")))
    assert worker.poll() is None


def test_database_cut_off_or_locked_while_epochs_are_written(cluster: Cluster) -> None:
    view = cluster.client.submit(SWEEP)
    worker = cluster.worker(FITTINGROOM_LEASE_SECONDS="20")
    cluster.wait_for_epochs(view.id)
    if cluster.is_server:
        for _ in range(20):  # epochs and heartbeats alike
            cluster.tell(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            time.sleep(0.05)
    else:
        with cluster.database.engine.connect().execution_options(sqlite_begin="BEGIN IMMEDIATE") as writer:
            writer.execute(text("SELECT 1"))
            time.sleep(4)
            writer.rollback()
    cluster.assert_kept(view.id, attempts=1, faults=0)
    assert worker.poll() is None


def test_connection_cut_during_the_claim(cluster: Cluster) -> None:
    view = cluster.client.submit(SWEEP)
    cluster.worker("claim_lost_on_the_way")
    cluster.assert_kept(view.id, attempts=2, faults=0)


def test_disk_full_on_checkpoint(cluster: Cluster) -> None:
    view = cluster.client.submit(SWEEP)
    cluster.worker("disk_full_on_checkpoint")
    cluster.assert_kept(view.id, attempts=1, faults=0)


def test_disk_full_on_artifact(cluster: Cluster) -> None:
    """The history is kept, and the trials say that there are no weights."""
    view = cluster.client.submit(SWEEP)
    cluster.worker("disk_full_on_artifact")
    cluster.assert_kept(view.id, attempts=1, faults=0, weights=False)
    answer = cluster.http.get(f"/v1/trials/{cluster.trials(view.id)[0].id}/artifact")
    assert answer.status_code == 409
    assert "could not be written: OSError" in answer.json()["detail"]
    assert "No space left" in cluster.http.get(f"/v1/trials/{cluster.trials(view.id)[0].id}").json()["weights_fault"]


def test_disk_full_for_a_while_on_artifact(cluster: Cluster) -> None:
    """Writing is retried, and nothing is lost."""
    view = cluster.client.submit(SWEEP)
    cluster.worker("disk_full_for_a_while")
    cluster.assert_kept(view.id, attempts=1, faults=0)


@pytest.mark.parametrize("kept", [0, 300], ids=["empty", "truncated"])
def test_spoilt_checkpoints(cluster: Cluster, kept: int) -> None:
    view = cluster.client.submit(SWEEP)
    assert cluster.worker("killed_after_a_checkpoint").wait(90) == -signal.SIGKILL
    files = [cluster.folder / "data" / "storage" / name for name in cluster.storage.list_names(view.id)]
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:kept])
    with cluster.rescued():
        cluster.assert_kept(view.id, attempts=2, faults=1)


@pytest.mark.parametrize("kept", [0, 300], ids=["empty", "truncated"])
def test_spoilt_programs(cluster: Cluster, kept: int) -> None:
    files = [file for file in (cluster.folder / "data" / "programs").rglob("*") if file.is_file()]
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:kept])
    view = cluster.client.submit(SWEEP)
    cluster.worker()
    cluster.assert_kept(view.id, attempts=1, faults=0)


RACE = """
import sys, threading
from models.sql import transitions
from models.sql.database import Database, clock
database, cohort_id, number = Database(sys.argv[1]), sys.argv[2], sys.argv[3]
barrier, won = threading.Barrier(25), []
def race(thread):
    barrier.wait()
    def claim(session):
        return transitions.mark_claimed(session, cohort_id, f"wrk_{number}_{thread}", 60, "tensorflow")
    if database.write(claim, 30) is not None:
        won.append(thread)
threads = [threading.Thread(target=race, args=(thread,)) for thread in range(25)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(won))
"""


def test_a_hundred_workers_race_for_one_cohort_and_reapers_for_its_lease(cluster: Cluster) -> None:
    view = cluster.client.submit(SWEEP)
    cohort_id = cluster.ask("SELECT id FROM cohorts WHERE experiment_id = :id", id=view.id)
    url = cluster.database.engine.url.render_as_string(hide_password=False)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, url, cohort_id, str(number)], stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        for number in range(4)
    ]
    assert sum(int(racer.communicate(timeout=300)[0]) for racer in racers) == 1
    # Nobody beats for this claim: the API's reaper and eight more find it expired at once.
    with cluster.database.writing() as session:
        session.execute(update(CohortTable).where(CohortTable.id == cohort_id).values(lease_expires_at=clock(-1.0)))
    barrier, taken = threading.Barrier(8), []

    def reap() -> None:
        database = Database(url)
        barrier.wait()
        for _ in range(20):
            taken.extend(database.write(lambda session: transitions.mark_leases_lost(session, 3), 30))
            time.sleep(0.05)
        database.close()

    reapers = [threading.Thread(target=reap) for _ in range(8)]
    for reaper in reapers:
        reaper.start()
    for reaper in reapers:
        reaper.join()
    assert len(taken) <= 1
    with cluster.rescued():
        cluster.assert_kept(view.id, attempts=2, faults=1)


def test_cancel_racing_with_claim_completion_and_requeue(cluster: Cluster) -> None:
    chance = random.Random(7)  # noqa: S311 - the same delays each time
    spec = document(fit={"epochs": 60, "validation_split": 0.3}, seeds=[0, 1])
    with cluster.rescued():
        views = []
        for _ in range(12):
            view = cluster.client.submit(spec)
            time.sleep(chance.uniform(0, 0.4))
            cluster.client.cancel(view.id)
            views.append(view)
        for view in views:
            ended = cluster.client.wait(view.id, timeout=180)
            assert ended.state.value in ("completed", "cancelled")
            for trial in cluster.client.get_experiment_history(view.id).trials:
                assert trial.history["epoch"] == list(range(1, trial.epochs_completed + 1))
                assert trial.state.value != "completed" or trial.epochs_completed == 60
    view = cluster.client.submit(SWEEP)  # and one that is put back when it is asked to stop
    worker = cluster.worker()
    cluster.wait_for_epochs(view.id)
    worker.kill()
    assert cluster.client.cancel(view.id) == 2
    assert cluster.client.wait(view.id, timeout=180).state.value == "cancelled"


def test_pause_and_resume(cluster: Cluster) -> None:
    view = cluster.client.submit(SWEEP)
    worker = cluster.worker()
    cluster.wait_for_epochs(view.id)
    assert cluster.client.pause(view.id).paused_at is not None
    until(lambda: {trial.state.value for trial in cluster.trials(view.id)} == {"queued"})
    paused = cluster.client.get_experiment(view.id)
    time.sleep(2.5)
    assert cluster.client.get_experiment(view.id).version == paused.version
    assert "it is paused" in (paused.waiting_for or "")
    assert cluster.client.resume(view.id).paused_at is None
    cluster.assert_kept(view.id, attempts=2, faults=0)
    assert cluster.http.post(f"/v1/experiments/{view.id}/pause").status_code == 409
    assert cluster.end(worker) == 0


def test_a_workers_clock_is_an_hour_off(cluster: Cluster) -> None:
    view = cluster.client.submit(SWEEP)
    cluster.worker("clock_an_hour_ahead")
    cluster.assert_kept(view.id, attempts=1, faults=0)


def test_a_loss_that_is_no_number(cluster: Cluster) -> None:
    view = cluster.client.submit(
        document(
            model=layers({"type": "dense", "units": 2, "activation": "linear"}),
            loss="mse",
            dataset={"name": "titanic"},
            optimizer={"name": "sgd", "learning_rate": 1000.0},
            fit={"epochs": 50, "validation_split": 0.3},
        )
    )
    with cluster.rescued():
        cluster.client.wait(view.id, timeout=180)
    [trial] = cluster.trials(view.id)
    assert (trial.state.value, trial.stop_reason) == ("completed", "diverged")


POISONOUS = document(model=layers({"type": "dense", "units": 7}, DENSE_2))


def test_poison_fails_with_its_last_fault_and_others_complete(cluster: Cluster) -> None:
    poisonous, healthy = cluster.client.submit(POISONOUS), cluster.client.submit(SWEEP)
    supervisor = cluster.start("-m", "tests.faults.supervised", "poison", FITTINGROOM_LEASE_SECONDS="60")
    assert cluster.client.wait(poisonous.id, timeout=300).state.value == "failed"
    [trial] = cluster.trials(poisonous.id)
    assert trial.fault is not None
    assert "given up after 3 faults" in trial.fault.message
    assert "was killed by SIGSEGV, a crash in native code" in trial.fault.message
    cluster.assert_kept(healthy.id)
    assert cluster.end(supervisor) == 0


def test_memory_that_runs_out(cluster: Cluster) -> None:
    poisonous, healthy = cluster.client.submit(POISONOUS), cluster.client.submit(SWEEP)
    cluster.worker("out_of_memory")
    assert cluster.client.wait(poisonous.id, timeout=300).state.value == "failed"
    [trial] = cluster.trials(poisonous.id)
    assert trial.fault is not None
    assert "ran out of memory" in trial.fault.message
    cluster.assert_kept(healthy.id, attempts=1)


def test_an_epoch_that_never_ends(cluster: Cluster) -> None:
    fit = {"epochs": 9, "validation_split": 0.3, "time_limit_seconds": 15}
    view = cluster.client.submit(document(fit=fit))
    worker = cluster.worker("endless_epoch")
    assert cluster.client.wait(view.id, timeout=180).state.value == "failed"
    [trial] = cluster.trials(view.id)
    assert trial.fault is not None
    assert "time_limit_seconds allows 15" in trial.fault.message
    until(lambda: any(each["process_id"] == worker.pid for each in cluster.workers()))
    assert worker.poll() is None


@pytest.mark.parametrize("request_", ["cancel", "pause", "delete", "limit"])
def test_a_compilation_that_never_ends_is_stopped(cluster: Cluster, request_: str) -> None:
    """Whatever a client asks for, or the limit on the first epoch, and the worker is there for the next experiment."""
    limit = "15" if request_ == "limit" else "600"
    view = cluster.client.submit(SWEEP)
    cluster.worker("endless_compilation", FITTINGROOM_GRACE_SECONDS="1", FITTINGROOM_EPOCH_TIMEOUT_SECONDS=limit)
    compiling = cluster.folder / "is_compiling"
    until(compiling.exists)
    compiling.unlink()
    other = cluster.client.submit(SWEEP)
    if request_ == "delete":
        cluster.client.delete(view.id)
    elif request_ != "limit":
        cluster.http.post(f"/v1/experiments/{view.id}/{request_}").raise_for_status()
    cluster.assert_kept(other.id, attempts=1, faults=0)
    if request_ == "cancel":
        assert {trial.state.value for trial in cluster.trials(view.id)} == {"cancelled"}
    elif request_ == "pause":
        assert {trial.state.value for trial in cluster.trials(view.id)} == {"queued"}
        cluster.client.cancel(view.id)
    elif request_ == "limit":
        [fault, _] = [trial.fault for trial in cluster.trials(view.id)]
        assert fault is not None
        assert "FITTINGROOM_EPOCH_TIMEOUT_SECONDS allows 15" in fault.message


@pytest.mark.parametrize("fault", ["hangs_while_loading", "hangs_while_saving", "hangs_within_an_epoch"])
def test_a_worker_that_hangs_gives_its_cohort_back(cluster: Cluster, fault: str) -> None:
    view = cluster.client.submit(SWEEP)
    cluster.worker(fault)
    cluster.assert_kept(view.id, attempts=2, faults=1)


def test_delete_of_an_experiment_with_a_running_worker(cluster: Cluster) -> None:
    doomed, other = cluster.client.submit(SWEEP), cluster.client.submit(SWEEP)
    worker = cluster.worker()
    until(lambda: cluster.storage.list_names(doomed.id))
    cluster.client.delete(doomed.id)
    assert cluster.http.get(f"/v1/experiments/{doomed.id}").status_code == 404
    cluster.assert_kept(other.id, attempts=1, faults=0)
    assert cluster.storage.list_names(doomed.id) == []
    assert cluster.ask("SELECT count(*) FROM epochs WHERE experiment_id = :id", id=doomed.id) == 0
    assert worker.poll() is None


def test_a_migration_with_trials_running(cluster: Cluster) -> None:
    view = cluster.client.submit(SWEEP)
    cluster.worker()
    cluster.wait_for_epochs(view.id)
    assert cluster.run("-m", "fittingroom", "migrate").returncode == 0
    cluster.assert_kept(view.id, attempts=1, faults=0)


def test_a_worker_of_an_older_version_leaves_the_work_alone(cluster: Cluster) -> None:
    view = cluster.client.submit(SWEEP)
    known = cluster.ask("SELECT version_num FROM alembic_version")
    cluster.tell("UPDATE alembic_version SET version_num = '9999'")
    try:
        older = cluster.run("-m", "workers")
    finally:
        cluster.tell(f"UPDATE alembic_version SET version_num = '{known}'")
    assert older.returncode == 1
    assert "has tables of version 9999" in older.stderr
    assert {trial.state.value for trial in cluster.trials(view.id)} == {"queued"}
    with cluster.rescued():
        cluster.assert_kept(view.id, attempts=1, faults=0)


def test_nothing_was_left_behind(cluster: Cluster) -> None:
    """Last test: nothing is left once checkpoints of ended cohorts are swept."""
    examined = cluster.run("-m", "fittingroom", "doctor", "--fix")
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert cluster.ask("SELECT count(*) FROM cohorts WHERE finished_at IS NULL") == 0
    assert cluster.ask("SELECT count(*) FROM trials WHERE state IN ('queued', 'running')") == 0
    gaps = (
        "SELECT count(*) FROM trials WHERE epochs_completed <> "
        "(SELECT count(*) FROM epochs WHERE epochs.trial_id = trials.id)"
    )
    assert cluster.ask(gaps) == 0
    # What is kept are the weights, each file whole. One that was written by a worker that died before it could say
    # so, goes with its experiment.
    names = cluster.storage.list_names()
    assert [name for name in names if name.split("/")[1] != "artifacts" or not name.endswith(".npz")] == []
    with cluster.database.reading() as session:
        kept = {name for name in session.scalars(select(TrialTable.artifact)) if name is not None}
    assert kept
    assert kept <= set(names)
