"""`fittingroom keys`: make, show and revoke API keys.

It speaks to the database itself: who may run it has that anyway.
"""

import contextlib
import datetime as dt
import json
import sys
from collections.abc import Iterator

from rich.markup import escape
from rich.table import Column, Table

from fittingroom.cli.terminal import Terminal
from fittingroom.specs.visible_text import invisible_fault
from models.errors import NotMigratedError
from models.settings import read_settings
from models.sql import api_keys
from models.sql.database import Database

_SHOWN = (
    "id", "name", "project", "scopes", "requests_per_minute", "max_unended_trials", "created_at", "expires_at",
    "revoked_at",
)  # fmt: skip

Limits = tuple[float | None, int | None, int | None]
"""Days until a key expires, requests a minute, unended trials of its project; None for no limit."""


def create(name: str, project: str, scope: str, limits: Limits, *, as_json: bool) -> None:
    """Make a key, and print it alone on standard output, so that it can be piped; or, as JSON, with what it is."""
    expires_in_days, requests_per_minute, max_unended_trials = limits
    if scope not in list(api_keys.Scope):
        sys.exit(f"there is no scope {scope!r}; expected one of: {', '.join(api_keys.Scope)}")
    for what, text, max_length in (("name", name, 200), ("project", project, api_keys.MAX_PROJECT_LENGTH)):
        fault = invisible_fault(text)
        if fault is not None or not 1 <= len(text) <= max_length:
            why = fault or f"it has {len(text):,}"
            sys.exit(f"expected a {what} of 1 to {max_length} characters, found {text[:100]!r}: {why}")
    with _database(is_made=True) as database, database.writing() as session:
        key_id, key = api_keys.create_key(
            session,
            project=project,
            name=name,
            scope=api_keys.Scope(scope),
            expires_in_seconds=None if expires_in_days is None else expires_in_days * 86_400,
            requests_per_minute=requests_per_minute,
            max_unended_trials=max_unended_trials,
        )
    if as_json:
        sys.stdout.write(json.dumps({"id": key_id, "key": key, "project": project, "scope": scope}) + "\n")
        return
    sys.stdout.write(key + "\n")
    sys.stderr.write(
        f"{key_id} of project {project!r} may {scope}. Keep it: it cannot be shown again.\n"
        "Send it as `Authorization: Bearer fr_…`.\n"
    )


def show(*, as_json: bool) -> None:
    """Print all keys, but for the secret in them: a table, or JSON, one a line."""
    with _database() as database, database.reading() as session:
        rows = api_keys.list_keys(session)
    if as_json:
        for row in rows:
            document = {name: getattr(row, name) for name in _SHOWN}
            sys.stdout.write(json.dumps(document, default=dt.datetime.isoformat) + "\n")
        return
    table = Table(Column("key", no_wrap=True), "project", "may", "made", "ends")
    for row in rows:
        limits = [] if row.requests_per_minute is None else [f"{row.requests_per_minute:,} requests a minute"]
        if row.max_unended_trials is not None:
            limits.append(f"{row.max_unended_trials:,} unended trials")
        ends = "never" if row.expires_at is None else f"{row.expires_at:%Y-%m-%d}"
        if row.revoked_at is not None:
            ends = f"revoked {row.revoked_at:%Y-%m-%d}"
        table.add_row(
            f"{row.id}\n{escape(row.name)}",
            escape(row.project),
            "\n".join([*row.scopes, *limits]),
            f"{row.created_at:%Y-%m-%d}",
            ends,
        )
    Terminal().print(table)


def revoke(key_id: str, *, as_json: bool) -> None:
    """Make a key worthless."""
    with _database() as database, database.writing() as session:
        revoked_at = api_keys.revoke_key(session, key_id)
    if as_json:
        sys.stdout.write(json.dumps({"id": key_id, "revoked_at": revoked_at.isoformat()}) + "\n")
        return
    sys.stderr.write(f"{key_id} is revoked since {revoked_at:%Y-%m-%d %H:%M} UTC\n")


def has_keys() -> bool:
    """Return True if there is any API key."""
    try:
        with _database() as database, database.reading() as session:
            return api_keys.is_key_needed(session)
    except NotMigratedError:
        return False


@contextlib.contextmanager
def _database(*, is_made: bool = False) -> Iterator[Database]:
    """Open the database at this version; create it if asked to."""
    settings = read_settings()
    settings.make_folders()
    with contextlib.closing(Database(settings.database_location)) as database:
        if is_made:
            database.migrate()
        else:
            database.refuse_other_version()
        yield database
