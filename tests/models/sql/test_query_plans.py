"""The statements of polls, submits and epochs find their rows by an index, however many there are."""

import re
from typing import Any

import pytest
from sqlalchemy.event import listen, remove

from models.sql import experiments, transitions
from models.sql.database import Database
from models.sql.epochs import BestEpoch, EpochRecord, mark_epochs
from models.sql.histories import find_changes, find_trial_history, last_epochs_at, list_positions, read_epochs
from models.sql.plans.rounds import list_due, list_rounds
from models.sql.quick_reads import rows_of
from models.sql.turns import find_next_cohorts
from models.sql.versions import find_version, find_versions
from tests.claims import LEASE, SWEEP
from tests.factories import store

LARGE = ("experiments", "cohorts", "trials", "epochs")
"""Tables that grow with use."""


@pytest.mark.stores
def test_no_statement_reads_a_whole_table(database: Database) -> None:
    statements: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:
        if not arguments[5]:  # one execution, not many
            statements.append(arguments[2:4])

    listen(database.engine, "before_cursor_execute", note)
    use(database)
    remove(database.engine, "before_cursor_execute", note)
    looked_up = [(sql, values) for sql, values in statements if sql.startswith(("SELECT", "UPDATE", "WITH"))]
    assert len(looked_up) > 15
    is_postgresql = database.engine.dialect.name == "postgresql"
    scan = re.compile(rf"{'Seq Scan on' if is_postgresql else 'SCAN'} ({'|'.join(LARGE)})\b")
    with database.engine.connect() as connection:
        if is_postgresql:  # it would read such small tables whole
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for sql, values in looked_up:
            explain = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
            rows = connection.exec_driver_sql(f"{explain} {sql}", values).all()
            plan = "\n".join(str(row[-1]) for row in rows)
            assert not scan.search(plan), f"{sql}\n{plan}"


def use(database: Database) -> None:
    """Submit, claim, train and read."""
    experiment_id, [cohort] = store(database, **SWEEP)
    with database.reading() as session:
        find_next_cohorts(session, [cohort.queue])
    with database.writing() as session:
        claim = transitions.mark_claimed(session, cohort.cohort_id, "wrk_a", LEASE, "tensorflow")
    assert claim is not None
    with database.reading() as session:
        trial_ids = [trial.id for trial in experiments.list_trials(session, experiment_id)]
    for epoch in (1, 2):
        with database.writing() as session:
            records = [EpochRecord(trial_id, epoch, 0.1, {"loss": 0.5}) for trial_id in trial_ids]
            mark_epochs(session, claim, records, {trial_ids[0]: BestEpoch(epoch, 0.5, {"loss": 0.5})}, LEASE)
    with database.reading() as session:
        find_versions(session, [experiment_id, *trial_ids])
        for resource_id in (experiment_id, trial_ids[0]):
            find_version(rows_of(session), resource_id)
        find_trial_history(rows_of(session), trial_ids[0])
        find_changes(rows_of(session), experiment_id, 2, max_trials=9, max_epochs=9)
        row = experiments.get_experiment(session, experiment_id)
        experiments.get_progress(session, [row])
        experiments.get_best_trial(session, row)
        experiments.list_cohorts(session, experiment_id)
        list_due(session, 5)
        list_rounds(session, experiment_id)
        experiments.list_unclaimed_queues(session, [experiment_id])
        list_positions(session, experiment_id, after_version=2)
        starts = last_epochs_at(session, trial_ids, 2)
        read_epochs(session, {trial_id: (start, 2) for trial_id, start in starts.items()})
