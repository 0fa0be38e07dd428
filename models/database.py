"""The database: engine, sessions, and a clock that is the database's own. SQLite or PostgreSQL, by URL.

May import: sqlalchemy, alembic. Knows no table: `models.tables` has them, `migrations/` makes them.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    Engine,
    Float,
    FunctionElement,
    TypeDecorator,
    create_engine,
    event,
    literal,
    text,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.sql.compiler import SQLCompiler

from models.errors import NotMigratedError

MIGRATIONS_DIR = Path(__file__).parents[1] / "migrations"


class UtcDateTime(TypeDecorator[dt.datetime]):
    """A time in UTC, aware; SQLite, which knows no zones, stores it without."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """To the database."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """From the database."""
        del dialect
        return None if value is None else value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value


class clock(FunctionElement[dt.datetime]):  # noqa: N801 - reads as an SQL function
    """The database's time now, plus so many seconds. Workers' clocks may differ; this one is the same for all."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, plus_seconds: float = 0.0) -> None:
        super().__init__(literal(float(plus_seconds), Float()))


@compiles(clock, "sqlite")
def _sqlite_clock(element: clock, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    seconds = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {seconds} || ' seconds')"


@compiles(clock, "postgresql")
def _postgresql_clock(element: clock, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    return f"(clock_timestamp() + make_interval(secs => {compiler.process(element.clauses, **kw)}))"


class Database:
    """One engine and the two ways to use it: reading, and writing in one transaction."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet.

        Args:
            url: SQLAlchemy's URL, `sqlite:///…` or `postgresql+psycopg://…`.
        """
        self.engine = _create_engine(url)
        # Several queries of one answer must see the same state; SQLite's transactions always do.
        options = {} if url.startswith("sqlite") else {"isolation_level": "REPEATABLE READ"}
        self._reading = sessionmaker(self.engine.execution_options(**options), expire_on_commit=False)
        # A write takes SQLite's lock at its start: one that reads first and writes later can be refused half-way.
        self._writing = sessionmaker(
            self.engine.execution_options(sqlite_begin="BEGIN IMMEDIATE"), expire_on_commit=False
        )

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing."""
        with self._explained(), self._reading() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back if it raises."""
        with self._explained(), self._writing.begin() as session:
            yield session

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Tell tables that are missing from a database that does not answer."""
        try:
            yield
        except (OperationalError, ProgrammingError) as error:
            if "no such table" in str(error.orig) or "does not exist" in str(error.orig):
                raise NotMigratedError from error
            raise

    def ping(self) -> None:
        """Ask for an answer.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: none came.
        """
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def migrate(self) -> None:
        """Bring the tables to the newest version; does nothing where they are."""
        # Only who migrates needs Alembic; the API starts without it.
        import alembic.command  # noqa: PLC0415
        import alembic.config  # noqa: PLC0415

        config = alembic.config.Config()
        config.set_main_option("script_location", str(MIGRATIONS_DIR))
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def _create_engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=10, max_overflow=20, pool_pre_ping=True, pool_timeout=10)
    engine = create_engine(url, pool_size=10, max_overflow=20, connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: DBAPIConnection, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=30000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine
