"""Migrations make exactly the tables of `models.sql.tables`, and unmake them."""

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import alembic.command
import alembic.config
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, inspect, text

from models.errors import TooNewError
from models.sql.database import MIGRATIONS_DIR, Database, known_versions
from models.sql.tables import Base
from tests.conftest import create_postgres_database, drop_postgres_database
from tests.factories import document

pytestmark = pytest.mark.stores


@pytest.fixture
def empty(store: str, tmp_path: Path) -> Iterator[Database]:
    """Yield a database with nothing in it."""
    url = f"sqlite:///{tmp_path / 'empty.db'}" if store == "sqlite" else create_postgres_database()
    database = Database(url)
    yield database
    database.close()
    if store == "postgresql":
        drop_postgres_database(url)


def run(database: Database, command: str, *arguments: str) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        getattr(alembic.command, command)(config, *arguments)


def test_empty_to_head_equals_the_tables(empty: Database) -> None:
    empty.migrate()
    run(empty, "check")
    assert set(inspect(empty.engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}


def test_migrating_again_does_nothing(empty: Database) -> None:
    empty.migrate()
    empty.migrate()
    run(empty, "check")


def test_processes_that_migrate_at_once_all_succeed(empty: Database) -> None:
    """Each has a connection of its own, as several processes have."""
    url = empty.engine.url.render_as_string(hide_password=False)

    def migrate(_: int) -> None:
        with contextlib.closing(Database(url)) as database:
            database.migrate()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, range(4)))
    run(empty, "check")


def test_tables_of_a_later_version_are_left_alone(empty: Database) -> None:
    empty.migrate()
    with empty.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for use in (empty.migrate, empty.refuse_other_version):
        with pytest.raises(TooNewError, match="9999"):
            use()
    with empty.reading() as session:
        assert session.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"


def test_known_versions_are_those_of_the_scripts() -> None:
    """The names of the files say what Alembic reads in them."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    scripts = ScriptDirectory.from_config(config)
    assert [one.revision for one in scripts.walk_revisions()][::-1] == known_versions()


def test_head_to_empty(empty: Database) -> None:
    empty.migrate()
    run(empty, "downgrade", "base")
    assert inspect(empty.engine).get_table_names() == ["alembic_version"]


def test_migrated_experiment_that_has_begun_stays_with_tensorflow(empty: Database) -> None:
    """There was no other backend before 0006; cohorts that had not begun may go to any."""
    run(empty, "upgrade", "0005")
    experiment = (
        "INSERT INTO experiments (id, project, name, dataset, spec, objective_metric, objective_direction, version, "
        "created_at) VALUES (:id, 'default', 'n', 'd', '{}', 'loss', 'minimize', 1, '2026-01-01 00:00:00')"
    )
    cohort = (
        "INSERT INTO cohorts (id, experiment_id, number, queue, engine, engine_reason, created_at, attempt, faults) "
        "VALUES (:id, :experiment, :number, :queue, 'fused', 'r', '2026-01-01 00:00:00', :attempt, 0)"
    )
    with empty.engine.begin() as connection:
        for name in ("begun", "waiting"):
            connection.execute(text(experiment), {"id": name})
        for number, (name, attempt) in enumerate([("begun", 1), ("begun", 0), ("waiting", 0)]):
            row = {"id": f"c{number}", "experiment": name, "number": number, "queue": "any", "attempt": attempt}
            connection.execute(text(cohort), row)
    run(empty, "upgrade", "head")
    with empty.engine.begin() as connection:
        found = list(connection.execute(text("SELECT queue FROM cohorts ORDER BY id")).scalars())
    assert found == ["any.tensorflow", "any.tensorflow", "any"]
    with pytest.raises(RuntimeError, match="3 cohorts have not ended"):
        run(empty, "downgrade", "0005")
    trial = (
        "INSERT INTO trials (id, experiment_id, cohort_id, number, label, seed, hyperparameters, spec, "
        "parameter_count, version, state, created_at, attempt, epochs_planned, epochs_completed, training_seconds) "
        "VALUES ('t', 'begun', 'c0', 0, 'l', 0, '{}', :spec, 1, 1, 'completed', '2026-01-01 00:00:00', 1, 1, 1, 0.1)"
    )
    with empty.engine.begin() as connection:
        connection.execute(text(trial), {"spec": '{"precision": "float32", "seed": 1}'})
        connection.execute(text("UPDATE cohorts SET finished_at = '2026-01-02 00:00:00'"))
    run(empty, "downgrade", "0005")
    with empty.engine.begin() as connection:
        assert set(connection.execute(text("SELECT queue FROM cohorts")).scalars()) == {"any"}
        assert json.loads(connection.execute(text("SELECT CAST(spec AS text) FROM trials")).scalar_one()) == {"seed": 1}


def test_size_of_datasets_follows_from_rows_and_features(empty: Database) -> None:
    run(empty, "upgrade", "0006")
    add = text(
        "INSERT INTO datasets (id, project, name, sha256, document, created_at) "
        "VALUES ('d', 'p', 'n', 'h', :document, '2026-11-26 00:00:00')"
    )
    with empty.writing() as session:
        session.execute(add, {"document": json.dumps({"rows": 891, "features": 10})})
    empty.migrate()
    with empty.reading() as session:
        assert session.execute(text("SELECT stored_bytes FROM datasets")).scalar_one() == 891 * 48


_DOCUMENT = document(rows=1, features=1)
"""A value for each column of JSON: a spec, and what a dataset has."""
_VALUES = {object: _DOCUMENT, dict: _DOCUMENT, str: "x", int: 1, float: 1.0, bool: True}


def fill(database: Database) -> set[str]:
    """Put one row into each table, with a value in each column; all keys are the same, so each row refers to others."""
    tables = MetaData()
    tables.reflect(database.engine)
    now = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - as SQLite has it
    with database.engine.begin() as connection:
        for table in tables.sorted_tables:
            if table.name != "alembic_version":
                values = {
                    column.name: now if column.type.python_type is dt.datetime else _VALUES[column.type.python_type]
                    for column in table.columns
                }
                connection.execute(table.insert().values(values))
    return {table.name for table in tables.sorted_tables} - {"alembic_version"}


@pytest.mark.parametrize("version", known_versions())
def test_rows_outlast_an_upgrade_and_a_downgrade(empty: Database, version: str) -> None:
    """SQLite refuses to make a table anew to which rows refer; an empty one it does not."""
    run(empty, "upgrade", version)
    names = fill(empty)

    def counts() -> set[int]:
        with empty.engine.connect() as connection:
            return {connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in names}  # noqa: S608

    empty.migrate()
    assert counts() == {1}
    run(empty, "downgrade", version)
    assert counts() == {1}
