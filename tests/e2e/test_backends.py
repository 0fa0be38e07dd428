"""Workers of both of Keras's backends over one database: each experiment trains with one of them, whatever dies."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.service import Service, until
from tests.factories import DENSE_2, document, layers

pytestmark = pytest.mark.e2e

SWEEP = document(
    optimizer={"name": "adam", "learning_rate": {"choice": [0.01, 0.001]}},
    fit={"epochs": 6000, "validation_split": 0.3},
    backend="jax",
)


@contextmanager
def jax_worker(service: Service) -> Iterator[Any]:
    process = service.start_worker(FITTINGROOM_KERAS_BACKEND="jax")
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def backends(service: Service, experiment_id: str) -> list[str]:
    """Return the backend that each trial records."""
    ids = [trial.id for trial in service.client.list_trials(experiment_id)]
    return [service.http.get(f"/v1/trials/{trial_id}").json()["environment"]["backend"] for trial_id in ids]


@pytest.fixture(scope="module")
def mixed(service: Service) -> Iterator[Service]:
    """Start a worker on JAX beside the service's worker on TensorFlow."""
    with jax_worker(service):
        until(lambda: len(service.worker_processes()) == 2)
        yield service


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_spec_may_choose(backend: str, mixed: Service) -> None:
    view = mixed.client.submit(document(backend=backend, seeds=[0, 1]))
    assert mixed.client.wait(view.id, timeout=60).state.value == "completed"
    assert backends(mixed, view.id) == [backend] * 2


@pytest.mark.nightly
def test_an_experiment_of_many_cohorts_stays_with_one(mixed: Service) -> None:
    networks = {
        f"of_{units}": layers({"type": "dense", "units": units, "activation": "relu"}, DENSE_2) for units in range(2, 8)
    }
    views = [mixed.client.submit(document(model=None, models=networks)) for _ in range(3)]
    for view in views:
        assert mixed.client.wait(view.id, timeout=120).state.value == "completed"
        assert len(set(backends(mixed, view.id))) == 1


@pytest.mark.nightly
@pytest.mark.parametrize(("precision", "rounding"), [("float32", 1e-5), ("mixed_bfloat16", 0.01)])
def test_predict_of_a_jax_trial_works(precision: str, rounding: float, mixed: Service) -> None:
    view = mixed.client.submit(document(backend="jax", precision=precision))
    mixed.client.wait(view.id, timeout=60)
    [trial] = mixed.client.list_trials(view.id)
    answer = mixed.http.post(f"/v1/trials/{trial.id}/predict", json={"rows": [[0.0] * 10]})
    assert answer.status_code == 200, answer.text
    assert abs(sum(answer.json()["outputs"][0]) - 1) < rounding


@pytest.mark.nightly
def test_a_killed_workers_trials_wait_for_their_backend_and_go_on_bit_for_bit(start: Callable[..., Service]) -> None:
    service = start(FITTINGROOM_LEASE_SECONDS="2", FITTINGROOM_CHECKPOINT_SECONDS="0.2")
    service.wait_until_ready()
    with jax_worker(service) as worker:
        until(lambda: len(service.worker_processes()) == 2)
        undisturbed = service.client.submit(SWEEP)
        service.client.wait(undisturbed.id, timeout=120)
        killed = service.client.submit(SWEEP)
        while service.client.get_experiment(killed.id).progress.epochs_completed < 500:
            time.sleep(0.02)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    waiting = until(lambda: service.client.get_experiment(killed.id).waiting_for)
    assert "that trains with jax" in waiting
    assert "FITTINGROOM_KERAS_BACKEND=jax fittingroom worker" in waiting
    with jax_worker(service):
        ended = service.client.wait(killed.id, timeout=120)
    assert ended.state.value == "completed"
    assert {trial.attempt for trial in service.client.list_trials(killed.id)} == {2}
    assert set(backends(service, killed.id)) == {"jax"}
    histories = [
        [trial.history for trial in service.client.get_experiment_history(view.id).trials]
        for view in (killed, undisturbed)
    ]
    assert histories[0] == histories[1]


@pytest.mark.nightly
def test_a_service_of_jax_alone(start: Callable[..., Service]) -> None:
    service = start(FITTINGROOM_KERAS_BACKEND="jax")
    service.wait_until_ready()
    view = service.client.submit(document())
    assert service.client.wait(view.id, timeout=60).state.value == "completed"
    assert backends(service, view.id) == ["jax"]
    [worker] = service.http.get("/v1/workers").json()["items"]
    assert worker["versions"]["backend"] == "jax"
    assert worker["queues"] == ["any", "any.jax", "cpu", "cpu.jax"]
