"""The database: engine, sessions, and a clock that is the database's own. SQLite or PostgreSQL, by URL.

`models.sql.tables` has the tables, `migrations/` creates and changes them.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, DateTime, Dialect, Float, FunctionElement, TypeDecorator, inspect, literal, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.sql.compiler import SQLCompiler
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from models.errors import DatabaseUnavailableError, NotMigratedError, TooNewError
from models.sql.connections import create_engine_at, is_file_of_sqlite
from models.sql.driver_errors import translated
from models.sql.quick_reads import QuickReads

if TYPE_CHECKING:
    from alembic.config import Config

_Result = TypeVar("_Result")

__all__ = ["Database", "Session", "UtcDateTime", "clock"]

MIGRATIONS_DIR = Path(__file__).parents[2] / "migrations"
_MIGRATION_LOCK = 0x66697474
"""A number of our own among PostgreSQL's advisory locks."""


class UtcDateTime(TypeDecorator[dt.datetime]):
    """A time in UTC, aware; SQLite, which knows no zones, stores it without."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Convert for the database."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Convert from the database."""
        del dialect
        return None if value is None else value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value


class clock(FunctionElement[dt.datetime]):  # noqa: N801 - reads as an SQL function
    """The database's time now, plus so many seconds. Workers' clocks may differ; this one is the same for all."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, plus_seconds: float = 0.0) -> None:
        # Without a parameter where none is needed: one would be bound for each of many rows.
        super().__init__(*([literal(float(plus_seconds), Float())] if plus_seconds else []))


@compiles(clock, "sqlite")
def _sqlite_clock(element: clock, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    seconds = compiler.process(element.clauses, **kw)
    shift = f", {seconds} || ' seconds'" if seconds else ""
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now'{shift})"


@compiles(clock, "postgresql")
def _postgresql_clock(element: clock, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    seconds = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))" if seconds else "clock_timestamp()"


class Database:
    """One engine and the ways to use it: reading, writing in one transaction, and quick reads.

    Attributes:
        quick: reads that need no thread; None for PostgreSQL, which is asked over a network, and SQLite's URIs.
    """

    def __init__(self, location: str | Path) -> None:
        """Set up without connecting.

        Args:
            location: SQLAlchemy's URL, `sqlite:///…` or `postgresql+psycopg://…`; or SQLite's file, whatever its name.
        """
        self.engine = create_engine_at(location)
        # Several queries of one answer must see the same state; SQLite's transactions always do.
        options = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        self._reading = sessionmaker(self.engine.execution_options(**options), expire_on_commit=False)
        self.quick = QuickReads(self.engine) if is_file_of_sqlite(self.engine.url) else None
        # A write takes SQLite's lock at its start: one that reads first and writes later can be refused half-way.
        self._writing = sessionmaker(
            self.engine.execution_options(sqlite_begin="BEGIN IMMEDIATE"), expire_on_commit=False
        )

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session that sees one state of the database and changes nothing."""
        with self._explained(), self._reading() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back if it raises."""
        with self._explained(), self._writing.begin() as session:
            yield session

    def write(self, work: Callable[[Session], _Result], patience_seconds: float) -> _Result:
        """Run a function in a writing session; retry it where the database is out of reach, locked or full.

        Args:
            work: must lead to the same when it is called twice: a connection may be cut after its commit.
            patience_seconds: for how long to try.

        Raises:
            DatabaseUnavailableError: the database did not answer in all that time.
        """
        for attempt in Retrying(
            retry=retry_if_exception_type(DatabaseUnavailableError),
            stop=stop_after_delay(patience_seconds),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            reraise=True,
        ):
            with attempt, self.writing() as session:
                result = work(session)
        return result

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Translate SQLAlchemy's exceptions: no other module needs to know them."""
        try:
            yield
        except SQLAlchemyError as error:
            ours = translated(error)
            if ours is None:
                raise
            raise ours from error

    def migrate(self) -> None:
        """Bring the tables to the newest version, one process at a time; does nothing where they are.

        Raises:
            TooNewError: the tables are of a version that this code does not know.
            DatabaseUnavailableError: the database does not answer.
        """
        # Only who migrates or asks for the version needs Alembic; the API's modules load without it.
        import alembic.command  # noqa: PLC0415

        config = _alembic_config()
        with self._explained(), self.engine.execution_options(sqlite_begin="BEGIN IMMEDIATE").begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            self._compare_versions(connection, refuse_older=False)
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")

    def refuse_other_version(self) -> None:
        """Compare the versions of the tables and of the code.

        Raises:
            NotMigratedError: the tables are older, or not there.
            TooNewError: the tables are of a version that this code does not know.
            DatabaseUnavailableError: the database does not answer.
        """
        with self._explained(), self.engine.connect() as connection:
            self._compare_versions(connection, refuse_older=True)

    def try_write(self) -> None:
        """Write what is there already.

        Raises:
            DatabaseUnavailableError: it cannot be written.
        """
        with self.writing() as session:
            session.execute(text("UPDATE alembic_version SET version_num = version_num"))

    @staticmethod
    def _compare_versions(connection: Connection, *, refuse_older: bool) -> None:
        known, found = known_versions(), None
        if inspect(connection).has_table("alembic_version"):
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found is not None and found not in known:
            raise TooNewError(str(found), known[-1])
        if refuse_older and found != known[-1]:
            raise NotMigratedError

    def close(self) -> None:
        """Give the connections back."""
        if self.quick is not None:
            self.quick.close()
        self.engine.dispose()


def known_versions() -> list[str]:
    """All versions of the tables, oldest first.

    From the names of Alembic's scripts: Alembic itself takes as long to load as many a command takes altogether.
    """
    return sorted(file.name.partition("_")[0] for file in (MIGRATIONS_DIR / "versions").glob("[0-9]*_*.py"))


def _alembic_config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    return config
