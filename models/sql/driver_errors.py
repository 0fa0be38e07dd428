"""Translation of SQLAlchemy's and the drivers' exceptions into errors of the service."""

from sqlalchemy.exc import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from models.errors import (
    DatabaseFullError,
    DatabaseUnavailableError,
    DuplicateRowError,
    FittingRoomError,
    NotMigratedError,
)

_FULL = ("disk is full", "readonly database", "No space left", "could not extend file", "Read-only file system")
"""Parts of the messages with which SQLite and PostgreSQL report a full disk."""


def translated(error: SQLAlchemyError) -> FittingRoomError | None:
    """Return the error that stands for one of SQLAlchemy's; None for errors of our own statements."""
    words = str(getattr(error, "orig", error))
    if isinstance(error, OperationalError | ProgrammingError) and (
        "no such table" in words or "does not exist" in words
    ):
        return NotMigratedError()
    if isinstance(error, IntegrityError):
        return DuplicateRowError(words)
    if any(word in words for word in _FULL):
        return DatabaseFullError(words)
    # SQLite raises the plain DatabaseError for a file that is damaged or is no database.
    is_unavailable = isinstance(error, OperationalError | InterfaceError | InternalError | PoolTimeoutError)
    return DatabaseUnavailableError(words) if is_unavailable or type(error) is DatabaseError else None
