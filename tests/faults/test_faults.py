"""What is broken, and what is kept: no accepted experiment lost, no epoch twice, no gap, a state that is true."""

import random
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest
from sqlalchemy import select, text, update

from models import transitions
from models.broker import TRAIN_COHORT, create_celery
from models.database import Database, clock
from models.settings import Settings
from models.tables import CohortTable, TrialTable
from tests.e2e.service import free_port, is_alive, until
from tests.faults.house import ROOT, SWEEP, House
from tests.specs import DENSE_2, document, layers

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
def test_sigkill(house: House, fault: str, faults: int) -> None:
    view = house.client.submit(SWEEP)
    worker = house.worker(fault)
    assert worker.wait(90) == -signal.SIGKILL
    with house.rescued():
        house.assert_kept(view.id, attempts=1 + faults, faults=faults)


def test_sigterm(house: House) -> None:
    view = house.client.submit(SWEEP)
    worker = house.worker()
    house.wait_for_epochs(view.id)
    assert house.end(worker) == 0
    assert {trial.state.value for trial in house.trials(view.id)} == {"queued"}
    assert house.storage.list_names(view.id)
    before = house.client.get_experiment(view.id).progress.epochs_completed
    with house.rescued():
        house.assert_kept(view.id, attempts=2, faults=0)
    # It went on where it was: of the second attempt there are only the epochs that the first had not written.
    sql = "SELECT count(*) FROM epochs WHERE experiment_id = :id AND attempt = 1"
    assert house.ask(sql, id=view.id) == before


def test_sigterm_within_an_epoch_that_outlasts_the_grace(house: House) -> None:
    view = house.client.submit(SWEEP)
    worker = house.worker("slow_epochs", FITTINGROOM_GRACE_SECONDS="1")
    house.wait_for_epochs(view.id, 1)
    began = time.monotonic()
    assert house.end(worker) == 0
    assert time.monotonic() - began < 8
    with house.rescued():
        house.assert_kept(view.id, attempts=2, faults=0)


def test_sigstop_for_longer_than_the_lease(house: House) -> None:
    view = house.client.submit(SWEEP)
    zombie = house.worker()
    house.wait_for_epochs(view.id)
    house.freeze(zombie)
    with house.rescued():
        house.assert_kept(view.id, attempts=2, faults=1)
        version = house.client.get_experiment(view.id).version
        zombie.send_signal(signal.SIGCONT)
        time.sleep(2)
        assert house.client.get_experiment(view.id).version == version
        assert is_alive(zombie.pid)
        house.assert_kept(view.id, attempts=2, faults=1)


def test_sigkill_of_the_api_between_commit_and_message(house: House) -> None:
    port = free_port()
    api = house.start("-m", "tests.faults.api", str(port))
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
    [found] = house.http.get("/v1/experiments", params={"name": "cut off"}).json()["items"]
    with house.rescued():
        house.assert_kept(found["id"], attempts=1, faults=0)
    house.client.delete(found["id"])


def test_broker_down_at_submit(house: House) -> None:
    if house.is_server:
        house.stop_redis()
        view = house.client.submit(SWEEP)
        time.sleep(1)  # it is rung for beside the answer
        house.start_redis()
    else:
        aside = house.queue.rename(house.queue.with_name("aside"))
        house.queue.write_text("no folder")
        view = house.client.submit(SWEEP)
        time.sleep(1)  # it is rung for beside the answer
        house.queue.unlink()
        aside.rename(house.queue)
    with house.rescued():
        house.assert_kept(view.id, attempts=1, faults=0)


def flush(house: House) -> None:
    if house.is_server:
        house.stop_redis()
        house.start_redis()
    else:
        for message in house.queue.glob("*.msg"):
            message.unlink()


def test_broker_flushed_with_work_queued(house: House) -> None:
    views = [house.client.submit(SWEEP) for _ in range(2)]
    time.sleep(1)  # they are rung for beside the answers
    flush(house)
    with house.rescued():
        for view in views:
            house.assert_kept(view.id, attempts=1, faults=0)


def test_broker_restarted_in_mid_training(house: House) -> None:
    first, second = house.client.submit(SWEEP), house.client.submit(SWEEP)
    worker = house.worker()
    house.wait_for_epochs(first.id)
    flush(house)
    for view in (first, second):
        house.assert_kept(view.id, attempts=1, faults=0)
    third = house.client.submit(SWEEP)
    house.assert_kept(third.id, attempts=1, faults=0)
    assert house.end(worker) == 0


def test_every_message_twice_and_late(house: House) -> None:
    environment = {key[12:].lower(): value for key, value in house.environment.items() if "FITTINGROOM_" in key}
    celery = create_celery(Settings(**environment))
    view = house.client.submit(SWEEP)
    cohort_id = house.ask("SELECT id FROM cohorts WHERE experiment_id = :id", id=view.id)

    def ring() -> None:
        celery.send_task(TRAIN_COHORT, args=[cohort_id], queue="any")

    ring()
    with house.rescued():
        house.wait_for_epochs(view.id)
        ring()
        house.assert_kept(view.id, attempts=1, faults=0)
        ring()
        time.sleep(1)
        house.assert_kept(view.id, attempts=1, faults=0)


def test_database_cut_off_or_locked_while_epochs_are_written(house: House) -> None:
    view = house.client.submit(SWEEP)
    worker = house.worker(FITTINGROOM_LEASE_SECONDS="20")
    house.wait_for_epochs(view.id)
    if house.is_server:
        for _ in range(20):  # epochs and heartbeats alike
            house.tell(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            time.sleep(0.05)
    else:
        with house.database.engine.connect().execution_options(sqlite_begin="BEGIN IMMEDIATE") as writer:
            writer.execute(text("SELECT 1"))
            time.sleep(4)
            writer.rollback()
    house.assert_kept(view.id, attempts=1, faults=0)
    assert worker.poll() is None


def test_connection_cut_during_the_claim(house: House) -> None:
    view = house.client.submit(SWEEP)
    house.worker("claim_lost_on_the_way")
    house.assert_kept(view.id, attempts=2, faults=0)


def test_disk_full_on_checkpoint(house: House) -> None:
    view = house.client.submit(SWEEP)
    house.worker("disk_full_on_checkpoint")
    house.assert_kept(view.id, attempts=1, faults=0)


def test_disk_full_on_artifact(house: House) -> None:
    """The history is kept, and the trials say that there are no weights."""
    view = house.client.submit(SWEEP)
    house.worker("disk_full_on_artifact")
    house.assert_kept(view.id, attempts=1, faults=0, weights=False)
    answer = house.http.get(f"/v1/trials/{house.trials(view.id)[0].id}/artifact")
    assert answer.status_code == 409
    assert "no room" in answer.json()["detail"]


@pytest.mark.parametrize("kept", [0, 300], ids=["empty", "truncated"])
def test_spoilt_checkpoints(house: House, kept: int) -> None:
    view = house.client.submit(SWEEP)
    assert house.worker("killed_after_a_checkpoint").wait(90) == -signal.SIGKILL
    files = [house.folder / "data" / "storage" / name for name in house.storage.list_names(view.id)]
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[:kept])
    with house.rescued():
        house.assert_kept(view.id, attempts=2, faults=1)


RACE = """
import sys, threading
from models import transitions
from models.database import Database, clock
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


def test_a_hundred_workers_race_for_one_cohort_and_reapers_for_its_lease(house: House) -> None:
    view = house.client.submit(SWEEP)
    cohort_id = house.ask("SELECT id FROM cohorts WHERE experiment_id = :id", id=view.id)
    url = house.database.engine.url.render_as_string(hide_password=False)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, url, cohort_id, str(number)], stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        for number in range(4)
    ]
    assert sum(int(racer.communicate(timeout=90)[0]) for racer in racers) == 1
    # Nobody beats for this claim: the API's reaper and eight more find it expired at once.
    with house.database.writing() as session:
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
    with house.rescued():
        house.assert_kept(view.id, attempts=2, faults=1)


def test_cancel_racing_with_claim_completion_and_requeue(house: House) -> None:
    chance = random.Random(7)  # noqa: S311 - the same delays each time
    spec = document(fit={"epochs": 60, "validation_split": 0.3}, seeds=[0, 1])
    with house.rescued():
        views = []
        for _ in range(12):
            view = house.client.submit(spec)
            time.sleep(chance.uniform(0, 0.4))
            house.client.cancel(view.id)
            views.append(view)
        for view in views:
            ended = house.client.wait(view.id, timeout=60)
            assert ended.state.value in ("completed", "cancelled")
            for trial in house.client.get_history(view.id).trials:
                assert trial.history["epoch"] == list(range(1, trial.epochs_completed + 1))
                assert trial.state.value != "completed" or trial.epochs_completed == 60
    view = house.client.submit(SWEEP)  # and one that is put back when it is asked to stop
    worker = house.worker()
    house.wait_for_epochs(view.id)
    worker.kill()
    assert house.client.cancel(view.id) == 2
    assert house.client.wait(view.id, timeout=30).state.value == "cancelled"


def test_pause_and_resume(house: House) -> None:
    view = house.client.submit(SWEEP)
    worker = house.worker()
    house.wait_for_epochs(view.id)
    assert house.client.pause(view.id).paused_at is not None
    until(lambda: {trial.state.value for trial in house.trials(view.id)} == {"queued"}, 5)
    paused = house.client.get_experiment(view.id)
    time.sleep(2.5)
    assert house.client.get_experiment(view.id).version == paused.version
    assert "it is paused" in (paused.waiting_for or "")
    assert house.client.resume(view.id).paused_at is None
    house.assert_kept(view.id, attempts=2, faults=0)
    assert house.http.post(f"/v1/experiments/{view.id}/pause").status_code == 409
    assert house.end(worker) == 0


def test_a_workers_clock_is_an_hour_off(house: House) -> None:
    view = house.client.submit(SWEEP)
    house.worker("clock_an_hour_ahead")
    house.assert_kept(view.id, attempts=1, faults=0)


def test_a_loss_that_is_no_number(house: House) -> None:
    view = house.client.submit(
        document(
            model=layers({"type": "dense", "units": 2, "activation": "linear"}),
            loss="mse",
            dataset={"name": "titanic"},
            optimizer={"name": "sgd", "learning_rate": 1000.0},
            fit={"epochs": 50, "validation_split": 0.3},
        )
    )
    with house.rescued():
        house.client.wait(view.id, timeout=60)
    [trial] = house.trials(view.id)
    assert (trial.state.value, trial.stop_reason) == ("completed", "diverged")


POISONOUS = document(model=layers({"type": "dense", "units": 7}, DENSE_2))


def test_poison_fails_with_what_is_known_and_others_go_on(house: House) -> None:
    poisonous, healthy = house.client.submit(POISONOUS), house.client.submit(SWEEP)
    supervisor = house.start("-m", "tests.faults.supervised", "poison", FITTINGROOM_LEASE_SECONDS="60")
    assert house.client.wait(poisonous.id, timeout=150).state.value == "failed"
    [trial] = house.trials(poisonous.id)
    assert trial.fault is not None
    assert "given up after 3 faults" in trial.fault.message
    assert "was killed by SIGSEGV, a crash in native code" in trial.fault.message
    house.assert_kept(healthy.id)
    assert house.end(supervisor) == 0


def test_memory_that_runs_out(house: House) -> None:
    poisonous, healthy = house.client.submit(POISONOUS), house.client.submit(SWEEP)
    house.worker("out_of_memory")
    assert house.client.wait(poisonous.id, timeout=90).state.value == "failed"
    [trial] = house.trials(poisonous.id)
    assert trial.fault is not None
    assert "ran out of memory" in trial.fault.message
    house.assert_kept(healthy.id, attempts=1)


def test_an_epoch_that_never_ends(house: House) -> None:
    fit = {"epochs": 9, "validation_split": 0.3, "time_limit_seconds": 5}
    view = house.client.submit(document(fit=fit))
    worker = house.worker("endless_epoch")
    assert house.client.wait(view.id, timeout=60).state.value == "failed"
    [trial] = house.trials(view.id)
    assert trial.fault is not None
    assert "time_limit_seconds allows 5" in trial.fault.message
    until(lambda: any(each["process_id"] == worker.pid for each in house.workers()))
    assert worker.poll() is None


def test_a_deleted_experiment_whose_worker_still_runs(house: House) -> None:
    doomed, other = house.client.submit(SWEEP), house.client.submit(SWEEP)
    worker = house.worker()
    until(lambda: house.storage.list_names(doomed.id))
    house.client.delete(doomed.id)
    assert house.http.get(f"/v1/experiments/{doomed.id}").status_code == 404
    house.assert_kept(other.id, attempts=1, faults=0)
    assert house.storage.list_names(doomed.id) == []
    assert house.ask("SELECT count(*) FROM epochs WHERE experiment_id = :id", id=doomed.id) == 0
    assert worker.poll() is None


def test_a_migration_with_trials_running(house: House) -> None:
    view = house.client.submit(SWEEP)
    house.worker()
    house.wait_for_epochs(view.id)
    assert house.run("-m", "app", "migrate").returncode == 0
    house.assert_kept(view.id, attempts=1, faults=0)


def test_a_worker_of_an_older_version_leaves_the_work_alone(house: House) -> None:
    view = house.client.submit(SWEEP)
    known = house.ask("SELECT version_num FROM alembic_version")
    house.tell("UPDATE alembic_version SET version_num = '9999'")
    try:
        older = house.run("-m", "workers")
    finally:
        house.tell(f"UPDATE alembic_version SET version_num = '{known}'")
    assert older.returncode == 1
    assert "has tables of version 9999" in older.stderr
    assert {trial.state.value for trial in house.trials(view.id)} == {"queued"}
    with house.rescued():
        house.assert_kept(view.id, attempts=1, faults=0)


def test_nothing_was_left_behind(house: House) -> None:
    """After all of the above, and after the checkpoints were swept of cohorts that ended while nobody held them."""
    examined = house.run("-m", "app", "doctor", "--mend")
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert house.ask("SELECT count(*) FROM cohorts WHERE finished_at IS NULL") == 0
    assert house.ask("SELECT count(*) FROM trials WHERE state IN ('queued', 'running')") == 0
    gaps = (
        "SELECT count(*) FROM trials WHERE epochs_completed <> "
        "(SELECT count(*) FROM epochs WHERE epochs.trial_id = trials.id)"
    )
    assert house.ask(gaps) == 0
    # What is kept are the weights, each file whole. One that was written by a worker that died before it could say
    # so, goes with its experiment.
    names = house.storage.list_names()
    assert [name for name in names if name.split("/")[1] != "artifacts" or not name.endswith(".npz")] == []
    with house.database.reading() as session:
        kept = {name for name in session.scalars(select(TrialTable.artifact)) if name is not None}
    assert kept
    assert kept <= set(names)
