"""Engines of SQLAlchemy for SQLite and PostgreSQL, with each one's settings."""

import json
import sqlite3
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import OperationalError
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

_WAIT_SECONDS = 30
"""Lock timeout of SQLite, in seconds."""
_SILENT_SECONDS = 60
"""Timeout, in seconds, after which PostgreSQL drops a silent writer and its locks. Its default keeps those of a machine
that is gone for two hours, during which nobody could take over its cohorts."""
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR}
_TOO_SILENT = "25P03"
"""SQLSTATE of that timeout."""


def _to_text(value: object) -> str:
    try:
        return to_json(value, inf_nan_mode="constants").decode()
    except ValueError:  # half a character, which Python's own writes as an escape
        return json.dumps(value)


def _from_text(text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return from_json(text)
    except ValueError:  # likewise
        return json.loads(text)


_JSON: Any = {"json_serializer": _to_text, "json_deserializer": _from_text}
"""Pydantic's JSON takes a fifth of the time of Python's own."""


def create_engine_at(location: str | Path) -> Engine:
    """Return an engine for SQLAlchemy's URL or SQLite's file; it connects when it is first used."""
    url = make_url(location) if isinstance(location, str) else URL.create("sqlite", database=str(location))
    return _sqlite_engine(url) if url.get_backend_name() == "sqlite" else _postgresql_engine(url)


def is_file_of_sqlite(url: URL) -> bool:
    """Return True if a database is a file of SQLite that is called by its name; not in memory, nor by SQLite's URI."""
    name = url.database or ":memory:"
    return url.get_backend_name() == "sqlite" and "uri" not in url.query and not name.startswith((":memory:", "file:"))


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, **_JSON, pool_size=10, max_overflow=20, connect_args={"timeout": _WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: DBAPIConnection, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        cursor = connection.cursor()
        _turn_to_wal(cursor)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "handle_error")
    def _on_error(context: ExceptionContext) -> None:
        """Begin anew with the file when it was found to be damaged: a connection keeps what it has read of it."""
        code = getattr(context.original_exception, "sqlite_errorcode", 0) & 0xFF
        context.is_disconnect = context.is_disconnect or code in _DAMAGED

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))

    return engine


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


@retry(
    retry=retry_if_exception(_is_busy), stop=stop_after_delay(_WAIT_SECONDS), wait=wait_random(0, 0.05), reraise=True
)
def _turn_to_wal(cursor: DBAPICursor) -> None:
    """Give the file a write-ahead log, which it then keeps.

    SQLite does not wait for a lock here: if several processes open a new file at once, some get an error.
    """
    cursor.execute("PRAGMA journal_mode=WAL")


def _postgresql_engine(url: URL) -> Engine:
    engine = create_engine(url, **_JSON, pool_size=10, max_overflow=20, pool_pre_ping=True, pool_timeout=10)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{_SILENT_SECONDS}s'")
        cursor.close()
        connection.commit()

    @event.listens_for(engine, "handle_error")
    def _on_error(context: ExceptionContext) -> None:
        """Raise what the driver calls an internal error as a lost connection, which it is."""
        error = context.original_exception
        if getattr(error, "sqlstate", None) == _TOO_SILENT:
            raise OperationalError(context.statement, {}, error) from error

    return engine
