"""The queries, on every kind of database."""

import datetime as dt
import itertools
from typing import Any

import pytest
from sqlalchemy import update

from fittingroom.views.states import ExperimentState, TrialState
from models.errors import NotFoundError
from models.identifiers import new_id
from models.lifecycle import experiment_state
from models.sql import experiments, worker_registry
from models.sql.database import Database
from models.sql.experiment_list import SORTS, Filters, Sort, list_experiments, position_of
from models.sql.tables import TrialTable, WorkerTable
from tests.factories import DENSE_2, layers
from tests.factories import store as store_experiment

pytestmark = pytest.mark.stores

SWEEP = {"optimizer": {"name": "sgd", "learning_rate": {"choice": [0.1, 0.01]}}}


def set_states(database: Database, experiment_id: str, states: list[TrialState]) -> None:
    with database.writing() as session:
        for number, state in enumerate(states, start=1):
            session.execute(
                update(TrialTable)
                .where(TrialTable.experiment_id == experiment_id, TrialTable.number == number)
                .values(state=state)
            )


def test_an_experiment_is_stored_whole(database: Database) -> None:
    networks = {"a": layers(DENSE_2), "b": layers({"type": "dense", "units": 7}, DENSE_2)}
    experiment_id, messages = store_experiment(database, model=None, models=networks, seeds=[4, 5], tags=["x", "y"])
    with database.reading() as session:
        experiment = experiments.get_experiment(session, experiment_id)
        trials = experiments.list_trials(session, experiment_id)
        cohorts = experiments.list_cohorts(session, experiment_id)
    assert (experiment.version, experiment.objective_metric) == (1, "val_loss")
    assert experiment.created_at.tzinfo is not None
    assert [(t.number, t.model_name, t.seed, t.state) for t in trials] == [
        (1, "a", 4, "queued"), (2, "a", 5, "queued"), (3, "b", 4, "queued"), (4, "b", 5, "queued"),
    ]  # fmt: skip
    assert [message.cohort_id for message in messages] == [cohort.id for cohort in cohorts]
    assert len(cohorts) == 2


def test_get_of_an_unknown_id_raises_not_found(database: Database) -> None:
    with database.reading() as session:
        for get, kind in (
            (experiments.get_experiment, "experiment"),
            (experiments.get_trial, "trial"),
            (experiments.get_cohort, "cohort"),
        ):
            with pytest.raises(NotFoundError, match=kind):
                get(session, "nothing")


def test_list_is_newest_first_and_pages_do_not_overlap(database: Database) -> None:
    ids = [store_experiment(database, name=f"number {number}")[0] for number in range(5)]
    with database.reading() as session:
        page = list_experiments(session, Filters(), limit=3)
        store_experiment(database, name="arrived in between")
        after = position_of(page[-1], "-created_at")
        rest = list_experiments(session, Filters(), limit=3, after=after)
    assert [row.id for row in [*page, *rest]] == ids[::-1]


@pytest.mark.parametrize("sort", SORTS)
def test_pages_of_every_order_miss_none_and_repeat_none(database: Database, sort: Sort) -> None:
    names = ["b", "a", "c", "a", "b"]
    ids = [store_experiment(database, name=name)[0] for name in names]
    seen: list[str] = []
    after = None
    for _ in range(len(ids)):
        with database.reading() as session:
            [row] = list_experiments(session, Filters(), limit=1, sort=sort, after=after)
        seen.append(row.id)
        after = position_of(row, sort)
    by_name = [id_ for _, id_ in sorted(zip(names, ids, strict=True))]
    expected = by_name if "name" in sort else ids
    assert seen == (expected[::-1] if sort.startswith("-") else expected)


def test_list_filters(database: Database) -> None:
    one, _ = store_experiment(database, name="one", tags=["red", "small"])
    two, _ = store_experiment(database, name="two", tags=["red"])
    set_states(database, two, [TrialState.COMPLETED])

    def found(**filters: Any) -> list[str]:
        with database.reading() as session:
            return [row.id for row in list_experiments(session, Filters(**filters), limit=10)]

    assert found(tag="red") == [two, one]
    assert found(tag="small") == found(name="one") == found(state=ExperimentState.QUEUED) == [one]
    assert found(tag="red", state=ExperimentState.COMPLETED) == [two]
    assert found(name="On") == []
    assert found(dataset="titanic") == [two, one]
    assert found(dataset="mnist") == found(project="another") == []
    with database.reading() as session:
        created = experiments.get_experiment(session, one).created_at
    assert found(created_after=created) == [two]
    assert found(created_before=created + dt.timedelta(microseconds=1)) == [one]


def test_derived_state_in_sql_is_that_of_the_law(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SWEEP)
    for pair in itertools.product(TrialState, repeat=2):
        set_states(database, experiment_id, list(pair))
        with database.reading() as session:
            in_sql = [state for state in ExperimentState if list_experiments(session, Filters(state=state), limit=1)]
            row = experiments.get_experiment(session, experiment_id)
            progress = experiments.get_progress(session, [row])[experiment_id]
        assert in_sql == [experiment_state(progress.counts)], pair


def test_the_best_trial_follows_the_direction(database: Database) -> None:
    for direction, expected in (("minimize", 2), ("maximize", 1)):
        objective = {"metric": "val_accuracy", "direction": direction}
        experiment_id, _ = store_experiment(database, **SWEEP, objective=objective)
        with database.reading() as session:
            experiment = experiments.get_experiment(session, experiment_id)
            assert experiments.get_best_trial(session, experiment) is None
        with database.writing() as session:
            for number, value in ((1, 0.9), (2, 0.3)):
                session.execute(
                    update(TrialTable)
                    .where(TrialTable.experiment_id == experiment_id, TrialTable.number == number)
                    .values(best_epoch=1, best_value=value)
                )
        with database.reading() as session:
            best = experiments.get_best_trial(session, experiment)
        assert best is not None
        assert best.number == expected


def test_workers_are_listed_until_their_heartbeats_stop(database: Database) -> None:
    worker_id = new_id("wrk")
    with database.writing() as session:
        worker_registry.add_worker(
            session, worker_id, host="here", process_id=1, queues=["any"], devices=["cpu:0"], versions={"keras": "3"}
        )
    with database.reading() as session:
        assert [worker.id for worker in worker_registry.list_workers(session, seen_within_seconds=60)] == [worker_id]
        assert worker_registry.list_workers(session, seen_within_seconds=-1) == []
    with database.writing() as session:
        assert worker_registry.mark_stopped(session, worker_id)
        assert not worker_registry.mark_stopped(session, worker_id)
    with database.reading() as session:
        assert worker_registry.list_workers(session, seen_within_seconds=60) == []


def test_worker_is_not_known_by_its_host_and_process(database: Database) -> None:
    """Containers may share both."""
    with database.writing() as session:
        for instance in ("one", "two", None):
            worker_registry.add_worker(
                session, new_id("wrk"), host="worker", process_id=1, instance=instance, queues=["any"], devices=[],
                versions={},
            )  # fmt: skip
    with database.reading() as session:
        [found] = worker_registry.list_of_instance(session, "one")
        assert session.get_one(WorkerTable, found).instance == "one"
        assert worker_registry.list_of_instance(session, "three") == []
