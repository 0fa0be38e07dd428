"""Reads that take SQLite some microseconds, made where their rows are needed: handing them to a thread takes longer."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import Engine, PoolProxiedConnection, Select
from sqlalchemy.orm import Session

Statement = Select[*tuple[Any, ...]]


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
    """Statements on a connection of its own, for one thread; each sees the newest commit.

    A reader of SQLite's write-ahead log waits for no writer.
    """

    def __init__(self, engine: Engine) -> None:
        """Args: engine: of a SQLite file."""
        self._engine = engine
        self._connection: PoolProxiedConnection | None = None
        self._compiled: dict[Statement, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

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

    def _execute(self, sql: str, values: Sequence[str | int] = ()) -> Sequence[Sequence[Any]]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            cursor = self._connection.cursor()
            cursor.execute(sql, values)
            return cursor.fetchall()
        except sqlite3.Error as error:
            self.close()
            raise NotAtOnceError from error

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
        """Give the connection back; the next read opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _compile(self, statement: Statement) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        compiled = statement.compile(dialect=self._engine.dialect)
        found = compiled.string, tuple(compiled.positiontup or ()), dict(compiled.params)
        self._compiled[statement] = found
        return found

    def _connect(self) -> PoolProxiedConnection:
        connection = self._engine.raw_connection()
        connection.detach()  # the pool opens another for those who wait
        for pragma in ("busy_timeout=0", "query_only=ON"):
            connection.cursor().execute(f"PRAGMA {pragma}")
        return connection
