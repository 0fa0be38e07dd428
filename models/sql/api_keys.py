"""API keys, with scope and project.

A key is shown once, at creation; only its hash is stored. A key has 256 random bits, so a plain hash suffices.
"""

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from models.errors import NotFoundError
from models.identifiers import new_id
from models.sql.database import clock
from models.sql.tables import ApiKeyTable

MAX_PROJECT_LENGTH = 64
PREFIX = "fr_"
"""Prefix of every key, for secret scanners."""
_RANDOM_BYTES = 32
_FORM = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]{43}")


class Scope(StrEnum):
    """Scope of a key. Each includes those before it."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    @property
    def included(self) -> frozenset["Scope"]:
        """This one and those it includes."""
        ordered = list(Scope)
        return frozenset(ordered[: ordered.index(self) + 1])


@dataclass(frozen=True)
class ApiKey:
    """A key that is valid now."""

    id: str
    project: str
    scopes: frozenset[Scope]
    requests_per_minute: int | None
    max_unended_trials: int | None


def create_key(  # noqa: PLR0913 - a row's columns
    session: Session,
    *,
    project: str,
    name: str,
    scope: Scope,
    expires_in_seconds: float | None = None,
    requests_per_minute: int | None = None,
    max_unended_trials: int | None = None,
) -> tuple[str, str]:
    """Make a key.

    Returns:
        Its id, and the key itself, which nobody can ask for again.
    """
    key = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    key_id = new_id("key")
    expires = None if expires_in_seconds is None else session.scalar(select(clock(expires_in_seconds)))
    session.add(
        ApiKeyTable(
            id=key_id, project=project, name=name, digest=_digest(key), scopes=[scope],
            requests_per_minute=requests_per_minute, max_unended_trials=max_unended_trials,
            created_at=session.scalar(select(clock())), expires_at=expires,
        )
    )  # fmt: skip
    return key_id, key


def digest_of(key: str) -> str | None:
    """Return the digest by which a key is stored and cached, or None for a text that cannot be a key."""
    return _digest(key) if _FORM.fullmatch(key) else None


def find_key(session: Session, digest: str) -> ApiKey | None:
    """Return the key, if it is one and is neither expired nor revoked."""
    row = session.scalars(select(ApiKeyTable).where(ApiKeyTable.digest == digest, *_valid())).first()
    if row is None:
        return None
    scopes = frozenset().union(*(Scope(scope).included for scope in row.scopes))
    return ApiKey(row.id, row.project, scopes, row.requests_per_minute, row.max_unended_trials)


def list_valid_ids(session: Session, ids: Collection[str]) -> set[str]:
    """Return the keys among some that are neither expired nor revoked."""
    return set(session.scalars(select(ApiKeyTable.id).where(ApiKeyTable.id.in_(ids), *_valid())))


def _valid() -> tuple[ColumnElement[bool], ...]:
    table = ApiKeyTable
    return table.revoked_at.is_(None), table.expires_at.is_(None) | (table.expires_at > clock())


def is_key_needed(session: Session) -> bool:
    """Return True if a key was ever created, revoked or not: from then on every request needs one."""
    return session.scalar(select(ApiKeyTable.id).limit(1)) is not None


def list_keys(session: Session) -> Sequence[ApiKeyTable]:
    """All keys, the revoked ones too, oldest first."""
    return session.scalars(select(ApiKeyTable).order_by(ApiKeyTable.created_at, ApiKeyTable.id)).all()


def revoke_key(session: Session, key_id: str) -> dt.datetime:
    """Make a key worthless, for good; gives when that was. Again, it changes nothing.

    Raises:
        NotFoundError: there is no such key.
    """
    row = session.get(ApiKeyTable, key_id)
    if row is None:
        raise NotFoundError("key", key_id)
    session.execute(
        update(ApiKeyTable)
        .where(ApiKeyTable.id == key_id, ApiKeyTable.revoked_at.is_(None))
        .values(revoked_at=clock())
        .execution_options(synchronize_session=False)
    )
    session.refresh(row)
    assert row.revoked_at is not None  # noqa: S101 - it was just set
    return row.revoked_at


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
