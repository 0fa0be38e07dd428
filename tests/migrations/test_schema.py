"""Migrations make exactly the tables of `models.tables`, and unmake them."""

from collections.abc import Iterator
from pathlib import Path

import alembic.command
import alembic.config
import pytest
from sqlalchemy import inspect

from models.database import MIGRATIONS_DIR, Database
from models.tables import Base
from tests.conftest import create_postgres_database, drop_postgres_database


@pytest.fixture
def empty(store: str, tmp_path: Path) -> Iterator[Database]:
    """A database with nothing in it."""
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


def test_empty_to_head_is_what_the_tables_say(empty: Database) -> None:
    empty.migrate()
    run(empty, "check")
    assert set(inspect(empty.engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}


def test_migrating_again_does_nothing(empty: Database) -> None:
    empty.migrate()
    empty.migrate()
    run(empty, "check")


def test_head_to_empty(empty: Database) -> None:
    empty.migrate()
    run(empty, "downgrade", "base")
    assert inspect(empty.engine).get_table_names() == ["alembic_version"]
