"""Reads without a thread: the rows that a session reads, or none at all."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import make_url, select, text

from models.sql import quick_reads as module
from models.sql.connections import is_file_of_sqlite
from models.sql.database import Database
from models.sql.histories import FoundHistory, find_trial_history
from models.sql.quick_reads import NotAtOnceError, QuickReads, rows_of
from models.sql.tables import ExperimentTable
from models.sql.versions import find_version, find_versions
from tests.claims import claim_one, record
from tests.factories import store
from tests.serving import Clock

NAMES = select(ExperimentTable.name)


@pytest.fixture
def quick(database: Database) -> QuickReads:
    found = database.quick
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
            assert find_version(quick.rows, resource_id) == expected


def test_number_of_epochs_is_limited(database: Database, quick: QuickReads) -> None:
    claim, [trial, _] = claim_one(database)
    for epoch in range(1, 4):
        record(database, claim, trial, epoch)
    for after, max_epochs, count in ((0, 3, 3), (0, 2, None), (1, 2, 2), (3, 0, 0)):
        found = find_trial_history(quick.rows, trial, after, max_epochs)
        assert (None if found is None else len(found.epochs)) == count


def test_writer_keeps_no_reader_waiting(database: Database, quick: QuickReads) -> None:
    claim_one(database)
    with database.writing() as session:
        session.execute(text("UPDATE experiments SET name = 'other'"))
        assert [row[0] for row in quick.rows(NAMES)] == ["a test"]
    assert [row[0] for row in quick.rows(NAMES)] == ["other"]


def test_snapshot_sees_one_state(database: Database, quick: QuickReads) -> None:
    claim_one(database)
    with quick.snapshot():
        before = quick.rows(NAMES)
        with database.writing() as session:
            session.execute(text("UPDATE experiments SET name = 'other'"))
        assert quick.rows(NAMES) == before
    assert [row[0] for row in quick.rows(NAMES)] == ["other"]


def test_full_pool_keeps_no_reader_waiting(database: Database, quick: QuickReads) -> None:
    claim_one(database)
    with contextlib.ExitStack() as stack:
        for _ in range(30):  # all that the pool has
            stack.enter_context(database.engine.connect())
        assert len(quick.rows(NAMES)) == 1


def test_locked_file_is_left_to_a_session(
    database: Database, quick: QuickReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.0)
    database.engine.dispose()
    file = str(database.engine.url.database)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(NotAtOnceError):
            quick.rows(NAMES)
    assert list(quick.rows(NAMES)) == []


def test_unreadable_rows_are_left_to_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "database.db"
    with contextlib.closing(Database(file)) as database:
        quick = database.quick
        assert quick is not None
        with pytest.raises(NotAtOnceError):
            quick.rows(NAMES)
        assert not file.exists()
        database.migrate()
        with pytest.raises(NotAtOnceError):  # not tried again so soon
            quick.rows(NAMES)
        monkeypatch.setattr(module, "time", later := Clock())
        later.advance(2.0)
        assert list(quick.rows(NAMES)) == []
    with pytest.raises(NotAtOnceError):
        quick.rows(NAMES)


@pytest.mark.parametrize("name", ["a b.db", "ü?#%41&.db", "link/../other.db", "odd\udcff.db", "five slashes.db"])
def test_file_is_that_of_the_sessions(tmp_path: Path, name: str) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
    with contextlib.closing(Database(tmp_path / "real" / "other.db")) as other:
        other.migrate()
        store(other, name="another file's")
    location = f"sqlite:////{tmp_path}/{name}" if name.startswith("five") else tmp_path / name
    with contextlib.closing(Database(location)) as database:
        database.migrate()
        store(database)
        assert database.quick is not None
        with database.reading() as session:
            assert list(map(list, database.quick.rows(NAMES))) == [list(row) for row in session.execute(NAMES)]


@pytest.mark.parametrize("location", ["sqlite:///file:x.db?uri=true", "sqlite:///:memory:", "sqlite://"])
def test_other_kinds_of_sqlite_are_read_in_sessions_alone(location: str) -> None:
    assert not is_file_of_sqlite(make_url(location))


def test_nothing_is_written(database: Database, quick: QuickReads) -> None:
    claim_one(database)
    with pytest.raises(NotAtOnceError):
        quick.rows(text("DELETE FROM trials").columns())  # type: ignore[arg-type]
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM trials")).scalar() == 2
