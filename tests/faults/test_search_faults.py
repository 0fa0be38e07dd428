"""Fault injection between and within the rounds of a search: the same rounds and histories, whatever dies."""

import signal
from typing import Any

import pytest

from fittingroom.views.resources import ExperimentView
from tests.e2e.service import until
from tests.factories import DENSE_2, document, layers
from tests.faults.cluster import Cluster

pytestmark = pytest.mark.faults

SEARCH = document(
    name="a search to be disturbed",
    model=layers({"type": "dense", "units": {"choice": [3, 5]}}, DENSE_2),
    optimizer={"name": "adam", "learning_rate": {"log_uniform": [0.001, 0.1]}},
    fit={"epochs": 30, "validation_split": 0.3},
    sampler={"name": "gp", "trials": 30, "round": 12},
)

Found = list[tuple[int, int, dict[str, Any], dict[str, Any]]]
"""Round, number, hyperparameters and history of each trial."""


def found_in(cluster: Cluster, view: ExperimentView) -> Found:
    histories = cluster.histories(view)
    trials = cluster.trials(view.id)
    return [
        (trial.round, trial.number, trial.hyperparameters, history)
        for trial, history in zip(trials, histories, strict=True)
    ]


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster) -> Found:
    with cluster.rescued():
        view = cluster.client.wait(cluster.client.submit(SEARCH).id, timeout=300)
    found = found_in(cluster, view)
    assert [number for number, *_ in found] == [1] * 12 + [2] * 12 + [3] * 6
    return found


def assert_found(cluster: Cluster, experiment_id: str, undisturbed: Found) -> None:
    """Check that a search ends with the rounds and histories of an undisturbed one."""
    view = cluster.client.wait(experiment_id, timeout=300)
    assert (view.state.value, view.warnings) == ("completed", [])
    assert [(one.number, one.trials) for one in view.rounds] == [(1, 12), (2, 12), (3, 6)]
    assert found_in(cluster, view) == undisturbed


@pytest.mark.parametrize(
    "fault", ["killed_while_a_round_is_drawn", "killed_before_a_round_is_stored", "killed_after_a_round_is_stored"]
)
def test_sigkill_between_rounds(cluster: Cluster, undisturbed: Found, fault: str) -> None:
    view = cluster.client.submit(SEARCH)
    worker = cluster.worker(fault)
    assert worker.wait(90) == -signal.SIGKILL
    states = {trial.state.value for trial in cluster.trials(view.id)}
    assert states == ({"completed", "queued"} if fault == "killed_after_a_round_is_stored" else {"completed"})
    assert cluster.client.get_experiment(view.id).state.value == "running"
    with cluster.rescued():
        assert_found(cluster, view.id, undisturbed)


def kill_five_times(cluster: Cluster) -> None:
    for fault in (
        "killed_while_a_round_is_drawn", "killed_after_a_round_is_stored", "killed_before_a_round_is_stored",
        "killed_after_the_claim", "killed_before_the_mark",
    ):  # fmt: skip
        assert cluster.worker(fault).wait(180) == -signal.SIGKILL


def test_killed_five_times(cluster: Cluster, undisturbed: Found) -> None:
    view = cluster.client.submit(SEARCH)
    kill_five_times(cluster)
    with cluster.rescued():
        assert_found(cluster, view.id, undisturbed)


def test_killed_between_the_stages_of_further_seeds(cluster: Cluster) -> None:
    rates = {"name": "sgd", "learning_rate": {"choice": [0.1, 0.08, 1e-6]}, "momentum": 0.9}
    spec = SEARCH | {
        "model": layers(DENSE_2),
        "dataset": {"name": "titanic", "standardize": True},
        "optimizer": rates,
        "sampler": {"name": "grid"},
        "confirm": {"top": 3, "seeds": 12, "stages": 2},
    }
    with cluster.rescued():
        view = cluster.client.wait(cluster.client.submit(spec).id, timeout=300)
    assert [one.trials for one in view.rounds] == [3, 18, 12], "the worst has no seed of the second stage"
    disturbed = cluster.client.submit(spec)
    for fault in (
        "killed_while_a_round_is_drawn", "killed_after_a_round_is_stored", "killed_before_a_round_is_stored",
    ):  # fmt: skip
        assert cluster.worker(fault).wait(180) == -signal.SIGKILL
    with cluster.rescued():
        ended = cluster.client.wait(disturbed.id, timeout=300)
    assert (ended.state.value, ended.warnings) == ("completed", view.warnings)
    assert found_in(cluster, ended) == found_in(cluster, view)


@pytest.mark.nightly
def test_thousand_trials_killed_five_times(cluster: Cluster) -> None:
    """A search with options: the optimizers have hyperparameters of their own."""
    rate = {"log_uniform": [0.001, 0.1]}
    sgd = {"name": "sgd", "learning_rate": rate, "momentum": {"uniform": [0.1, 0.9]}}
    search = SEARCH | {
        "optimizer": {"choice": [{"name": "adam", "learning_rate": rate}, sgd]},
        "sampler": {"name": "tpe", "trials": 1_000, "round": 100},
        "fit": {"epochs": 5, "validation_split": 0.3},
    }
    with cluster.rescued():
        view = cluster.client.wait(cluster.client.submit(search).id, timeout=600)
    expected = found_in(cluster, view)
    assert [one.trials for one in view.rounds] == [100] * 10
    disturbed = cluster.client.submit(search)
    kill_five_times(cluster)
    with cluster.rescued():
        ended = cluster.client.wait(disturbed.id, timeout=600)
    assert ended.state.value == "completed"
    assert [one.trials for one in ended.rounds] == [100] * 10
    assert found_in(cluster, ended) == expected


def test_two_workers_draw_one_round(cluster: Cluster, undisturbed: Found) -> None:
    view = cluster.client.submit(SEARCH)
    cluster.worker()
    with cluster.rescued():
        assert_found(cluster, view.id, undisturbed)


def test_pause_and_resume_between_rounds(cluster: Cluster, undisturbed: Found) -> None:
    view = cluster.client.submit(SEARCH)
    assert cluster.worker("killed_while_a_round_is_drawn").wait(90) == -signal.SIGKILL
    cluster.client.pause(view.id)
    worker = cluster.worker()
    until(lambda: any(one["process_id"] == worker.pid for one in cluster.workers()))
    assert cluster.end(worker) == 0
    paused = cluster.client.get_experiment(view.id)
    assert (paused.state.value, paused.undrawn_trials) == ("running", 18)
    cluster.client.resume(view.id)
    with cluster.rescued():
        assert_found(cluster, view.id, undisturbed)


def test_cancel_between_rounds(cluster: Cluster) -> None:
    view = cluster.client.submit(SEARCH)
    assert cluster.worker("killed_while_a_round_is_drawn").wait(90) == -signal.SIGKILL
    cluster.client.cancel(view.id)
    ended = cluster.client.get_experiment(view.id)
    assert (ended.state.value, ended.undrawn_trials) == ("cancelled", 0)
    assert ended.progress.trials == {"completed": 12, "cancelled": 18}
    with cluster.rescued():
        later = cluster.client.submit(SEARCH | {"name": "another", "sampler": {"name": "gp", "trials": 2}})
        cluster.client.wait(later.id, timeout=300)
    assert cluster.client.get_experiment(view.id).version == ended.version


def test_diverged_trials_do_not_end_a_search(cluster: Cluster) -> None:
    optimizer = {"name": "sgd", "learning_rate": {"log_uniform": [1e4, 1e6]}}
    linear = layers({"type": "dense", "units": {"choice": [3, 5]}}, {"type": "dense", "units": 2})
    spec = SEARCH | {"optimizer": optimizer, "model": linear, "loss": "mse"}
    with cluster.rescued():
        view = cluster.client.wait(cluster.client.submit(spec).id, timeout=300)
    assert view.state.value == "completed"
    assert len(view.rounds) == 3
    assert {str(trial.stop_reason) for trial in cluster.trials(view.id)} == {"diverged"}
