"""Searches trained round by round: to their end, the same whatever dies."""

from collections.abc import Callable
from typing import Any

import keras
import pytest
from sqlalchemy import update

import workers.search_rounds
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.views.states import ExperimentState
from models.errors import DatabaseUnavailableError
from models.lifecycle import experiment_state
from models.messaging.queues import queues_of
from models.settings import Settings
from models.sql import experiments
from models.sql.database import Database
from models.sql.plans import rounds
from models.sql.tables import ExperimentTable
from tests.e2e.service import until
from tests.factories import store as store_experiment
from tests.workers.engines.trials import fused_engine
from workers.runner import Runner
from workers.search_rounds import draw_due_rounds

pytestmark = pytest.mark.stores

ENGINE = fused_engine()
QUEUES = queues_of(["any"], keras.backend.backend())
SEARCH: dict[str, Any] = {
    "optimizer": {"name": "sgd", "learning_rate": {"log_uniform": [0.001, 1.0]}},
    "fit": {"epochs": 2, "validation_split": 0.3},
    "sampler": {"name": "gp", "trials": 28, "round": 12},
}


def runner_on(settings: Settings, database: Database, name: str = "wrk_test") -> Runner:
    runner = Runner(settings, database, name, ["cpu:0"])
    runner.engines = dict.fromkeys(runner.engines, ENGINE)
    return runner


def found_in(database: Database, experiment_id: str) -> list[tuple[int, int, dict[str, Any], float | None]]:
    """Return round, number, values and best value of each trial."""
    with database.reading() as session:
        found = experiments.list_trials(session, experiment_id)
    return [(trial.round, trial.number, trial.hyperparameters, trial.best_value) for trial in found]


def experiment_of(database: Database, experiment_id: str) -> tuple[ExperimentState, ExperimentTable]:
    with database.reading() as session:
        row = experiments.get_experiment(session, experiment_id)
        return experiment_state(experiments.get_progress(session, [row])[experiment_id].counts), row


def give_leases_back(database: Database) -> None:
    """Let the leases on drawing expire."""
    with database.writing() as session:
        session.execute(update(ExperimentTable).values(drawing_expires_at=None))


@pytest.fixture
def undisturbed(settings: Settings, database: Database) -> list[tuple[int, int, dict[str, Any], float | None]]:
    """Return what a search finds that nothing disturbs."""
    experiment_id, _ = store_experiment(database, **SEARCH)
    announced: list[str] = []
    runner = runner_on(settings, database)
    runner.announce = lambda cohorts: announced.extend(cohort.cohort_id for cohort in cohorts)
    runner.train_waiting(QUEUES)
    with database.reading() as session:
        cohorts = experiments.list_cohorts(session, experiment_id)
    assert announced == [cohort.id for cohort in cohorts[1:]]
    assert experiment_of(database, experiment_id)[0] == ExperimentState.COMPLETED
    found = found_in(database, experiment_id)
    assert [number for number, *_ in found] == [1] * 12 + [2] * 12 + [3] * 4
    return found


def test_a_worker_that_dies_between_any_two_steps_leaves_the_same_rounds(
    settings: Settings, database: Database, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    deaths: list[tuple[Any, str]] = [
        (workers.search_rounds.rounds, "claim_drawing"),
        (workers.search_rounds, "plan_round"),
        (workers.search_rounds.rounds, "add_round"),
    ]
    for number, (module, name) in enumerate(deaths):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, die)
            with pytest.raises(KeyboardInterrupt):
                runner_on(settings, database, f"wrk_{number}").train_waiting(QUEUES)
        give_leases_back(database)
    runner_on(settings, database, "wrk_last").train_waiting(QUEUES)
    assert found_in(database, experiment_id) == undisturbed


def test_a_database_out_of_reach_while_drawing_costs_no_round(
    settings: Settings, database: Database, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    add_round: Callable[..., Any] = rounds.add_round

    def fail_after_writing(*given: Any) -> None:
        add_round(*given)
        raise DatabaseUnavailableError("connection cut")

    with monkeypatch.context() as patched:
        patched.setattr(rounds, "add_round", fail_after_writing)
        runner_on(settings, database).train_waiting(QUEUES)
    state, row = experiment_of(database, experiment_id)
    assert (state, row.undrawn_trials, row.warnings) == (ExperimentState.RUNNING, 16, None)
    give_leases_back(database)
    runner_on(settings, database).train_waiting(QUEUES)
    assert found_in(database, experiment_id) == undisturbed


def test_a_search_that_cannot_be_drawn_ends_and_says_why(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    other_id, _ = store_experiment(database)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("an inner secret")

    monkeypatch.setattr(workers.search_rounds, "plan_round", fail)
    short = settings.model_copy(update={"lease_seconds": 0.001})
    runner_on(settings, database).train_waiting(QUEUES)
    assert experiment_of(database, other_id)[0] == ExperimentState.COMPLETED
    assert experiment_of(database, experiment_id)[0] == ExperimentState.RUNNING
    give_leases_back(database)
    until(lambda: draw_due_rounds(database, short) or experiment_of(database, experiment_id)[0] != "running")
    state, row = experiment_of(database, experiment_id)
    assert state == ExperimentState.COMPLETED
    [warning] = row.warnings or []
    assert (warning["pointer"], "secret" in warning["detail"]) == ("/sampler", False)
    assert "the next round could not be drawn in 10 attempts" in warning["detail"]
    assert draw_due_rounds(database, short) == []


def test_a_search_without_its_dataset_ends_with_a_warning(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)

    def refuse(*_: object) -> None:
        raise InvalidSpec([Fault(pointer="/dataset", detail="no dataset is called so")])

    monkeypatch.setattr(workers.search_rounds, "plan_round", refuse)
    runner_on(settings, database).train_waiting(QUEUES)
    state, row = experiment_of(database, experiment_id)
    assert state == ExperimentState.COMPLETED
    [warning] = row.warnings or []
    assert warning["detail"] == "no further round can be drawn: no dataset is called so"


def test_the_best_candidates_are_confirmed_with_further_seeds(settings: Settings, database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH, confirm={"top": 2, "seeds": 3})
    runner_on(settings, database).train_waiting(QUEUES)
    state, row = experiment_of(database, experiment_id)
    assert (state, row.undrawn_trials) == (ExperimentState.COMPLETED, 0)
    with database.reading() as session:
        trials = experiments.list_trials(session, experiment_id)
    searched, confirming = [[one for one in trials if one.is_confirming == wanted] for wanted in (False, True)]
    assert (len(searched), [one.seed for one in confirming]) == (28, [1, 2, 3] * 2)
    best = sorted(searched, key=lambda one: one.best_value or 0.0)[:2]
    assert [one.hyperparameters for one in confirming[::3]] == [one.hyperparameters for one in best]


def test_pruned_trials_count_below_those_that_completed(settings: Settings, database: Database) -> None:
    experiment_id, _ = store_experiment(
        database, **(SEARCH | {"fit": {"epochs": 4, "validation_split": 0.3}}), pruner={"name": "top_k", "k": 3}
    )
    runner_on(settings, database).train_waiting(QUEUES)
    state, _ = experiment_of(database, experiment_id)
    assert state == ExperimentState.COMPLETED
    with database.reading() as session:
        trials = experiments.list_trials(session, experiment_id)
    by_round = [[trial.state for trial in trials if trial.round == number] for number in (1, 2, 3)]
    assert [states.count("completed") for states in by_round] == [3, 3, 3]
    assert [states.count("pruned") for states in by_round] == [9, 9, 1]
