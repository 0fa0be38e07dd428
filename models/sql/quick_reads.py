"""Reads that take SQLite some microseconds, made where their rows are needed: handing them to a thread takes longer."""

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import quote

from sqlalchemy import Engine, Select
from sqlalchemy.orm import Session

Statement = Select[*tuple[Any, ...]]
_RETRY_SECONDS = 1.0
"""Time without another attempt after the file could not be opened, or not be read."""


class ReadRows(Protocol):
    """Returns the rows of a statement that is kept; its parameters by name."""

    def __call__(self, statement: Statement, /, **values: str | int) -> Sequence[Sequence[Any]]:
        """Read."""


def rows_of(session: Session) -> ReadRows:
    """Return reads in a session."""
    return lambda statement, /, **values: session.execute(statement, values).all()


class NotAtOnceError(Exception):
    """The rows cannot be read without waiting, or not at all: a session, in a thread, waits and explains."""


class QuickReads:
    """Statements on a connection of its own, for an event loop and no other thread; each sees the newest commit.

    A reader of SQLite's write-ahead log waits for no writer, and this one waits for nobody.
    """

    def __init__(self, engine: Engine) -> None:
        """Args: engine: of a SQLite file."""
        [file], _ = engine.dialect.create_connect_args(engine.url)
        # As a URI, by which none is made where there is none.
        self._address = f"file:///{quote(os.fsencode(file).lstrip(b'/'))}?mode=rw"
        self._dialect = engine.dialect
        self._connection: sqlite3.Connection | None = None
        self._compiled: dict[Statement, tuple[str, tuple[str, ...], dict[str, Any]]] = {}
        self._closed_until = 0.0

    def rows(self, statement: Statement, /, **values: str | int) -> Sequence[Sequence[Any]]:
        """Return the rows of a statement, whose columns are texts and whole numbers.

        Args:
            statement: one that is kept, as it is compiled once.
            values: of its parameters.

        Raises:
            NotAtOnceError: the database is locked, or cannot be read.
        """
        sql, names, defaults = self._compiled.get(statement) or self._compile(statement)
        given = defaults | values
        return self._execute(sql, [given[name] for name in names])

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let the reads of a block see one state of the database; NotAtOnceError."""
        self._execute("BEGIN")
        try:
            yield
        finally:
            if self._connection is not None:  # a read that failed has closed it
                self._execute("ROLLBACK")

    def close(self) -> None:
        """Read nothing any more."""
        self._disconnect(closed_until=float("inf"))

    def _execute(self, sql: str, values: Sequence[str | int] = ()) -> Sequence[Sequence[Any]]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            self._disconnect(closed_until=time.monotonic() + _RETRY_SECONDS)
            raise NotAtOnceError from error

    def _compile(self, statement: Statement) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        compiled = statement.compile(dialect=self._dialect)
        found = compiled.string, tuple(compiled.positiontup or ()), dict(compiled.params)
        self._compiled[statement] = found
        return found

    def _connect(self) -> sqlite3.Connection:
        if time.monotonic() < self._closed_until:
            raise NotAtOnceError
        # None of the pool's: it would wait for one, and with it for locks.
        connection = sqlite3.connect(self._address, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only=ON")
        return connection

    def _disconnect(self, closed_until: float) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._closed_until = None, closed_until
