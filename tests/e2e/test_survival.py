"""Accepted experiments end, whatever process dies."""

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import redis

from tests.e2e.service import Service, is_alive, until
from tests.factories import DENSE_2, document, layers

pytestmark = pytest.mark.e2e

SWEEP = document(
    optimizer={"name": "adam", "learning_rate": {"choice": [0.01, 0.001]}},
    fit={"epochs": 2000, "batch_size": 8, "validation_split": 0.3},
)
"""Two trials that train for some seconds, also with a known program: whoever disturbs them comes in time."""


def histories(service: Service, experiment_id: str) -> list[dict[str, Any]]:
    return [trial.history for trial in service.client.get_experiment_history(experiment_id).trials]


def wait_for_epochs(service: Service, experiment_id: str, count: int) -> None:
    while service.client.get_experiment(experiment_id).progress.epochs_completed < count:
        time.sleep(0.05)


def wait_until_gone(processes: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(map(is_alive, processes)):
        assert time.monotonic() < deadline, [process for process in processes if is_alive(process)]
        time.sleep(0.05)


def test_a_killed_workers_trials_go_on_and_equal_an_undisturbed_run(start: Callable[..., Service]) -> None:
    service = start(FITTINGROOM_LEASE_SECONDS="2")
    service.wait_until_ready()
    undisturbed = service.client.submit(SWEEP)
    service.client.wait(undisturbed.id, timeout=60)
    killed = service.client.submit(SWEEP)
    wait_for_epochs(service, killed.id, 50)
    [worker] = service.worker_processes()
    os.kill(worker, signal.SIGKILL)
    ended = service.client.wait(killed.id, timeout=90)
    assert ended.state.value == "completed"
    trials = service.client.list_trials(killed.id)
    assert max(trial.attempt for trial in trials) == 2
    assert histories(service, killed.id) == histories(service, undisturbed.id)
    assert service.worker_processes() != [worker]


def test_ctrl_c_leaves_no_process_and_no_work_behind(start: Callable[..., Service]) -> None:
    service = start()
    service.wait_until_ready()
    running, queued = service.client.submit(SWEEP), service.client.submit(document())
    wait_for_epochs(service, running.id, 5)
    workers = service.worker_processes()
    assert service.interrupt() < 15
    wait_until_gone(workers, 1)
    with pytest.raises(httpx.TransportError):
        service.http.get("/livez")
    again = start()
    again.wait_until_ready()
    for view in (running, queued):
        assert again.client.wait(view.id, timeout=90).state.value == "completed"
    assert [trial["epoch"] for trial in histories(again, running.id)] == [list(range(1, 2001))] * 2


def test_processes_end_with_a_killed_supervisor(start: Callable[..., Service]) -> None:
    service = start()
    service.wait_until_ready()
    workers = service.worker_processes()
    service.process.kill()
    service.process.wait()
    wait_until_gone(workers, 15)
    with pytest.raises(httpx.TransportError):
        service.http.get("/livez")


@pytest.mark.stores
def test_a_lost_queue_costs_nothing_but_time(start: Callable[..., Service]) -> None:
    service = start("--workers", "0", FITTINGROOM_RESEND_SECONDS="1")
    service.wait_until_ready(workers=0)
    views = [service.client.submit(document()) for _ in range(3)]
    broker = service.environment.get("FITTINGROOM_BROKER_URL")
    time.sleep(1)  # they are rung for beside the answers
    if broker is None:
        messages = list((service.folder / "data" / "queue").glob("*.msg"))
        assert len(messages) == 1, "they say that there is work, and no worker is there yet"
        for message in messages:
            message.unlink()
    else:
        with redis.Redis.from_url(broker) as queue:
            assert queue.llen("any") == 1
            queue.delete("any")
    worker = service.start_worker()
    try:
        for view in views:
            assert service.client.wait(view.id, timeout=60).state.value == "completed"
    finally:
        worker.terminate()
        worker.wait(30)


def test_a_worker_begins_anew_after_so_many_programs_and_loses_nothing(start: Callable[..., Service]) -> None:
    service = start(FITTINGROOM_MAX_PROGRAMS="1")
    service.wait_until_ready()
    [process] = service.worker_processes()
    first = service.http.get("/v1/workers").json()["items"][0]["id"]
    shapes = [layers({"type": "dense", "units": units}, DENSE_2) for units in (3, 4, 5)]
    experiments = [service.client.submit(document(model=model)) for model in shapes]
    for experiment in experiments:
        assert service.client.wait(experiment.id, timeout=90).state.value == "completed"

    def is_another() -> bool:
        workers = service.http.get("/v1/workers").json()["items"]
        return [worker["process_id"] for worker in workers] == [process] and workers[0]["id"] != first

    until(is_another)  # the last one begins anew after the answer: for a moment nobody is there


def test_a_worker_started_on_the_same_machine_takes_over_without_waiting_for_the_lease(
    start: Callable[..., Service],
) -> None:
    """Restarted containers and systemd services get no exit code of their predecessor."""
    service = start("--workers", "0", FITTINGROOM_LEASE_SECONDS="3600")
    service.wait_until_ready(workers=0)
    killed = service.start_worker()
    view = service.client.submit(SWEEP)
    wait_for_epochs(service, view.id, 50)
    killed.kill()
    killed.wait()
    again = service.start_worker()
    try:
        assert service.client.wait(view.id, timeout=90).state.value == "completed"
        trials = service.client.list_trials(view.id)
        assert max(trial.attempt for trial in trials) == 2
    finally:
        again.terminate()
        again.wait(30)


def test_a_worker_that_cannot_register_ends(start: Callable[..., Service]) -> None:
    """Celery would go on, with a worker that trains but has no heartbeat."""
    service = start("--workers", "0")
    service.wait_until_ready(workers=0)
    with contextlib.closing(sqlite3.connect(service.folder / "data" / "fittingroom.db")) as connection:
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON workers BEGIN SELECT RAISE(ABORT, 'no workers'); END")
    worker = service.start_worker()
    assert worker.wait(90) == 1
    assert "worker_not_registered" in (service.folder / "worker.log").read_text()
