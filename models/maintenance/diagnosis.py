"""Consistency checks of database and storage, and their repair.

The service keeps these consistent by itself. The checks are for accidents: a disk that lost files, rows that were
changed by hand.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select

from fittingroom.views.states import TrialState
from models.lifecycle import TERMINAL
from models.maintenance.retention import list_deletions, list_leftovers
from models.settings import Settings
from models.sql import transitions
from models.sql.database import Database, Session
from models.sql.leases import Claim, has_expired_leases
from models.sql.tables import CohortTable, EpochTable, TrialTable
from models.storage import Storage


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    what: str
    fix: Callable[[], object] | None
    """Repair action; None if a person has to decide."""


def examine(database: Database, storage: Storage, settings: Settings) -> list[Finding]:
    """Look at everything; changes nothing.

    Raises:
        DatabaseUnavailableError: the database does not answer.
        OSError: the storage does not.
    """
    leftovers = list_leftovers(database, storage)

    def remove(folder: str) -> Callable[[], object]:
        return lambda: storage.remove(folder)

    findings = [Finding(f"{folder}: checkpoints of a cohort that has ended", remove(folder))
                for folder in leftovers.of_ended_cohorts]  # fmt: skip
    with database.reading() as session:
        deleted = set(list_deletions(session))
        findings += [
            Finding(
                f"{folder}: files of an experiment that is not in this database; is it in another?",
                remove(folder),
            )
            for folder in leftovers.of_nobody
            if folder not in deleted
        ]
        findings += [Finding(f"{folder}: files of a deleted experiment", remove(folder))
                     for folder in leftovers.of_nobody if folder in deleted]  # fmt: skip
        if has_expired_leases(session):
            findings.append(
                Finding(
                    "cohorts whose lease ran out, and no worker or API to put them back",
                    lambda: database.write(lambda s: transitions.mark_leases_lost(s, settings.max_faults), 10),
                )
            )
        findings += _stranded(database, session)
        findings += _gaps(session)
    return findings


def _stranded(database: Database, session: Session) -> list[Finding]:
    """Cohorts that nobody would ever take up again."""
    unended = TrialTable.state.not_in(TERMINAL)
    open_cohorts = select(TrialTable.cohort_id).where(unended)
    of_none = session.scalars(
        select(CohortTable.id).where(CohortTable.finished_at.is_(None), CohortTable.id.not_in(open_cohorts))
    )

    def finish(cohort_id: str) -> Callable[[], object]:
        return lambda: database.write(lambda s: transitions.finish_cohorts(s, CohortTable.id == cohort_id), 10)

    def put_back(*of_claim: str | int) -> Callable[[], object]:
        cohort_id, experiment_id, attempt = of_claim
        claim = Claim(str(cohort_id), str(experiment_id), "", int(attempt))
        return lambda: database.write(lambda s: transitions.requeue_orphaned(s, claim), 10)

    findings = [
        Finding(f"{cohort_id}: all its trials have ended, the cohort has not", finish(cohort_id))
        for cohort_id in of_none
    ]
    unheld = session.execute(
        select(CohortTable.id, CohortTable.experiment_id, CohortTable.attempt).where(
            CohortTable.lease_owner.is_(None),
            CohortTable.id.in_(select(TrialTable.cohort_id).where(TrialTable.state == TrialState.RUNNING)),
        )
    )
    return findings + [Finding(f"{row[0]}: trials run that no worker holds", put_back(*row)) for row in unheld]


def _gaps(session: Session) -> list[Finding]:
    """Histories that are not what their trials say."""
    counted = (
        select(EpochTable.trial_id, func.count().label("count"), func.max(EpochTable.epoch).label("last"))
        .group_by(EpochTable.trial_id)
        .subquery()
    )
    rows = session.execute(
        select(TrialTable.id, TrialTable.epochs_completed, counted.c.count, counted.c.last)
        .outerjoin(counted, counted.c.trial_id == TrialTable.id)
        .where(
            (func.coalesce(counted.c.count, 0) != TrialTable.epochs_completed)
            | (func.coalesce(counted.c.last, 0) != TrialTable.epochs_completed)
        )
    )
    return [
        Finding(f"{trial_id}: says {completed} epochs, has {count or 0}, the last is {last or 0}", None)
        for trial_id, completed, count, last in rows
    ]
