"""Reads without a thread: the rows that a session reads, or none at all."""

import contextlib
from pathlib import Path

import pytest
from sqlalchemy import select, text

from models.sql.database import Database
from models.sql.experiments import get_experiment
from models.sql.histories import FoundHistory, find_trial_history
from models.sql.quick_reads import NotAtOnceError, QuickReads, rows_of
from models.sql.tables import ExperimentTable
from models.sql.versions import find_version_at_once, find_versions
from tests.claims import claim_one, record

EXPERIMENTS = select(ExperimentTable.id)


@pytest.fixture
def quick(database: Database) -> QuickReads:
    found = database.quick_reads()
    assert found is not None
    return found


def found_in_session(database: Database, trial_id: str, after: int = 0) -> FoundHistory | None:
    with database.reading() as session:
        return find_trial_history(rows_of(session), trial_id, after)


def test_rows_are_those_of_the_newest_commit(database: Database, quick: QuickReads) -> None:
    claim, [trial, other] = claim_one(database)
    for epoch in range(1, 4):
        record(database, claim, trial, epoch, loss=1 / epoch)
        for trial_id in (trial, other):
            for after in (0, 2, 5):
                found = find_trial_history(quick.rows, trial_id, after)
                assert found == found_in_session(database, trial_id, after)
        assert found_in_session(database, trial) is not None
        for resource_id in (claim.experiment_id, trial, f"trl_{0:032x}", "exp", ""):
            with database.reading() as session:
                expected = find_versions(session, [resource_id]).get(resource_id)
            assert find_version_at_once(quick, resource_id) == expected


def test_number_of_epochs_is_limited(database: Database, quick: QuickReads) -> None:
    claim, [trial, _] = claim_one(database)
    for epoch in range(1, 4):
        record(database, claim, trial, epoch)
    for after, max_epochs, count in ((0, 3, 3), (0, 2, None), (1, 2, 2), (3, 0, 0)):
        found = find_trial_history(quick.rows, trial, after, max_epochs)
        assert found is not None
        assert found.position.epochs_completed == 3
        assert (None if found.epochs is None else len(found.epochs)) == count


def test_writer_keeps_no_reader_waiting(database: Database, quick: QuickReads) -> None:
    claim, _ = claim_one(database)
    with database.writing() as session:
        session.execute(text("UPDATE experiments SET name = 'other'"))
        found = find_version_at_once(quick, claim.experiment_id)
        assert found is not None
        assert found.version == get_experiment(session, claim.experiment_id).version


def test_unreadable_rows_are_left_to_a_session(tmp_path: Path) -> None:
    file = tmp_path / "database.db"
    file.write_bytes(b"no database" * 1_000)
    with contextlib.closing(Database(file)) as database:
        quick = database.quick_reads()
        assert quick is not None
        with pytest.raises(NotAtOnceError):
            quick.rows(EXPERIMENTS)
        file.unlink()
        database.migrate()
        assert list(quick.rows(EXPERIMENTS)) == []


def test_nothing_is_written(database: Database, quick: QuickReads) -> None:
    claim_one(database)
    with pytest.raises(NotAtOnceError):
        quick.rows(text("DELETE FROM trials").columns())  # type: ignore[arg-type]
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM trials")).scalar() == 2
