"""Retention: deletes old experiments, files of deleted ones, and checkpoints of ended cohorts.

Rows are deleted first, in one transaction that records which files to delete; after a crash in between, the next run
goes on from that record.
"""

import contextlib
import datetime as dt
import stat
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.errors import NotFoundError
from models.settings import Settings
from models.sql import datasets, worker_registry
from models.sql.client_requests import delete_experiment
from models.sql.database import Database, clock
from models.sql.endings import IS_UNENDED
from models.sql.plans.submissions import forget_idempotency_keys
from models.sql.tables import CohortTable, DeletionTable, ExperimentTable, TrialTable
from models.storage import Storage

DAY_SECONDS = 86_400.0
WORKERS_KEPT_SECONDS = 7 * DAY_SECONDS
UPLOAD_TIME = dt.timedelta(hours=1)
"""Age, in seconds, from which arrays without a schema are orphaned: an upload takes less."""


def tidy(database: Database, storage: Storage, settings: Settings) -> list[str]:
    """Delete expired experiments, orphaned files and old checkpoints; return a sentence for each.

    Safe to call from many processes at once.

    Raises:
        DatabaseUnavailableError: the database does not answer.
        OSError: the storage does not.
    """
    done = []
    if settings.retention_days is not None:
        done += [
            f"experiment {experiment_id} was past its {settings.retention_days:g} days"
            for experiment_id in _delete_expired(database, settings.retention_days * DAY_SECONDS)
        ]
    with database.reading() as session:
        deletions = list_deletions(session)
    for experiment_id in deletions:
        storage.remove(experiment_id)
    # A worker that was cut off in the middle of a checkpoint may still finish it: its files are removed until it
    # must have noticed.
    with database.writing() as session:
        for experiment_id in _forget_deletions(session, settings.lease_seconds + DAY_SECONDS):
            done.append(f"experiment {experiment_id} was deleted; its files are gone")
        forgotten = worker_registry.remove_stopped(session, WORKERS_KEPT_SECONDS)
        forget_idempotency_keys(session)
    if forgotten:
        done.append(f"{forgotten} workers were not heard of for a week")
    done += [f"{name} held a dataset that was deleted" for name in _remove_datasets(database, storage)]
    for folder in list_leftovers(database, storage).of_ended_cohorts:
        storage.remove(folder)
        done.append(f"{folder} held checkpoints of a cohort that has ended")
    return done


@dataclass(frozen=True)
class Leftovers:
    """Orphaned folders of the storage."""

    of_ended_cohorts: list[str]
    """Checkpoints of cohorts that have ended."""
    of_nobody: list[str]
    """Files of experiments unknown to the database; they may belong to another one."""


def list_leftovers(database: Database, storage: Storage) -> Leftovers:
    """List the orphaned folders of the storage."""
    parts = [name.split("/") for name in storage.list_names()]
    experiments = {path[0] for path in parts if len(path) > 1 and path[0].startswith("exp_")}
    checkpoints = {(path[0], path[2]) for path in parts if len(path) > 3 and path[1] == "checkpoints"}
    with database.reading() as session:
        known = _among(session, ExperimentTable.id, experiments)
        cohorts = {cohort_id for _, cohort_id in checkpoints}
        unfinished = _among(session, CohortTable.id, cohorts, CohortTable.finished_at.is_(None))
    return Leftovers(
        sorted(f"{e}/checkpoints/{c}" for e, c in checkpoints if e in known and c not in unfinished),
        sorted(experiments - known),
    )


def free_scratch(settings: Settings) -> int:
    """Remove scratch files that nobody has written to for an hour; needs no database. Returns how many bytes that were.

    A process that dies leaves them; on a disk without a byte they may be what the database needs to be opened.
    """
    freed = 0
    before = dt.datetime.now(dt.UTC).timestamp() - UPLOAD_TIME.total_seconds()
    for file in settings.temporary_dir.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # its owner is there, and has removed it
            about = file.lstat()
            if stat.S_ISREG(about.st_mode) and about.st_mtime < before:
                file.unlink()
                freed += about.st_size
    return freed


def list_deletions(session: Session) -> list[str]:
    """Return deleted experiments with files that still exist."""
    return list(session.scalars(select(DeletionTable.experiment_id).order_by(DeletionTable.experiment_id)))


def _remove_datasets(database: Database, storage: Storage) -> list[str]:
    """Remove the numbers that belong to no dataset, unless they are so new that their upload may not be over."""
    files = {name.rpartition("/")[2].removesuffix(".npz"): name for name in storage.list_names(datasets.FOLDER)}
    with database.reading() as session:
        unknown = datasets.list_unknown(session, files.keys())
    removed = []
    for sha256 in sorted(unknown):
        written_at = storage.touched_at(files[sha256])
        if written_at is not None and written_at < dt.datetime.now(dt.UTC) - UPLOAD_TIME:
            storage.remove(files[sha256])
            removed.append(files[sha256])
    return removed


def _delete_expired(database: Database, seconds: float) -> list[str]:
    """Delete experiments that ended before the retention time."""
    latest = select(func.max(TrialTable.finished_at)).where(TrialTable.experiment_id == ExperimentTable.id)
    with database.reading() as session:
        expired = list(
            session.scalars(
                select(ExperimentTable.id).where(
                    ~IS_UNENDED,
                    latest.scalar_subquery() < clock(-seconds),
                    # A search may end long after its last trial: cancelled, or with nothing left to draw.
                    *(
                        func.coalesce(at < clock(-seconds), true())
                        for at in (ExperimentTable.cancel_requested_at, ExperimentTable.search_ended_at)
                    ),
                )
            )
        )
    deleted = []
    for experiment_id in expired:
        try:
            with database.writing() as session:
                delete_experiment(session, experiment_id)
        except NotFoundError:  # somebody else was faster
            continue
        deleted.append(experiment_id)
    return deleted


def _forget_deletions(session: Session, older_than_seconds: float) -> list[str]:
    forgotten = delete(DeletionTable).where(DeletionTable.deleted_at < clock(-older_than_seconds))
    return list(session.scalars(forgotten.returning(DeletionTable.experiment_id)))


def _among(
    session: Session, column: InstrumentedAttribute[str], ids: set[str], *conditions: ColumnElement[bool]
) -> set[str]:
    """Return the ids among some that the database has."""
    found: set[str] = set()
    ordered = sorted(ids)
    for start in range(0, len(ordered), 500):  # SQLite takes so many in one statement, and more
        found |= set(session.scalars(select(column).where(column.in_(ordered[start : start + 500]), *conditions)))
    return found
