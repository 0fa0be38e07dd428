"""Differences between the two databases."""

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from models.errors import DatabaseUnavailableError
from models.sql import connections as module
from models.sql.database import Database
from models.sql.experiments import get_experiment
from models.sql.leases import lock_experiment, set_version
from tests.conftest import create_postgres_database, drop_postgres_database
from tests.factories import store


@pytest.mark.servers
def test_silent_writer_loses_its_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENT_SECONDS", 1)
    url = create_postgres_database()
    frozen, other = Database(url), Database(url)
    other.migrate()
    experiment_id, _ = store(other)

    def others_write() -> None:
        with other.writing() as session:
            session.execute(text("SET LOCAL lock_timeout = '10s'"))
            assert lock_experiment(session, experiment_id) == 2

    def is_frozen_within_a_write() -> None:
        with frozen.writing() as session:
            lock_experiment(session, experiment_id)
            others_write()
            set_version(session, experiment_id, 9)

    with pytest.raises(DatabaseUnavailableError) as raised:
        is_frozen_within_a_write()
    assert "idle-in-transaction" in raised.value.reason
    with frozen.reading() as session:  # it has found another connection
        assert get_experiment(session, experiment_id).version == 1
    frozen.close()
    other.close()
    drop_postgres_database(url)


def test_concurrent_openers_of_a_new_file_can_write(tmp_path: Path) -> None:
    """SQLite refuses without waiting to turn a file to WAL that another connection has begun to write."""

    def create_table(file: Path) -> None:
        with contextlib.closing(Database(file)) as database, database.writing() as session:
            session.execute(text("CREATE TABLE IF NOT EXISTS numbers (number INTEGER)"))

    with ThreadPoolExecutor(6) as pool:
        for number in range(50):
            list(pool.map(create_table, [tmp_path / f"{number}.db"] * 6))


def test_file_that_was_damaged_and_mended_is_read_again(tmp_path: Path) -> None:
    """Without a restart: SQLite's connections keep what they have read of a damaged file."""
    file = tmp_path / "database.db"
    with contextlib.closing(Database(file)) as database:
        database.migrate()
        experiment_id, _ = store(database)

        def read_name() -> str:
            with database.reading() as session:
                return get_experiment(session, experiment_id).name

        assert read_name() == "a test"
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole = file.read_bytes()
        with file.open("r+b") as opened:
            opened.write(bytes(len(whole)))
        for _ in range(2):
            with pytest.raises(DatabaseUnavailableError):
                read_name()
        with file.open("r+b") as opened:
            opened.write(whole)
        assert read_name() == "a test"
