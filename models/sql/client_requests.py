"""Requests of clients: cancel, pause, resume, delete. Each is one conditional change, and idempotent.

A request to stop is a flag with a time: workers see it at the end of an epoch, or after the grace period.
"""

from enum import Enum, auto

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from fittingroom.views.states import TrialState
from models.errors import ExperimentEndedError, NotFoundError
from models.lifecycle import TERMINAL
from models.messaging.waiting import WaitingCohort
from models.sql.database import clock
from models.sql.endings import HAS_UNDRAWN_TRIALS, IS_UNENDED
from models.sql.leases import Claim, lock_experiment, set_version
from models.sql.tables import (
    CohortTable,
    DeletionTable,
    EpochTable,
    ExperimentDatasetTable,
    ExperimentTable,
    ExperimentTagTable,
    SearchRoundTable,
    TrialTable,
    WebhookTable,
)
from models.sql.transitions import finish_cohorts, move


def request_cancel(session: Session, experiment_id: str, trial_id: str | None = None) -> int:
    """Cancel what is queued, and ask what is running to stop. Of one trial, or of all; again changes nothing.

    Returns:
        How many trials this call has cancelled or newly asked, those that a search has not drawn included.

    Raises:
        NotFoundError: the experiment is gone.
    """
    version = _lock(session, experiment_id)
    which = TrialTable.experiment_id == experiment_id
    if trial_id is not None:
        which &= TrialTable.id == trial_id
    unasked = which & TrialTable.state.not_in(TERMINAL) & TrialTable.cancel_requested_at.is_(None)
    asked = session.execute(
        update(TrialTable).where(unasked).values(cancel_requested_at=clock(), version=version).returning(TrialTable.id)
    ).all()
    undrawn = 0
    if trial_id is None:
        query = select(ExperimentTable.undrawn_trials).where(ExperimentTable.id == experiment_id, HAS_UNDRAWN_TRIALS)
        undrawn = session.scalar(query) or 0
    if not asked and not undrawn:
        return 0
    if trial_id is None:
        session.execute(
            update(ExperimentTable).where(ExperimentTable.id == experiment_id).values(cancel_requested_at=clock())
        )
    move(session, TrialState.CANCELLED, version, which & (TrialTable.state == TrialState.QUEUED), finished_at=clock())
    finish_cohorts(session, CohortTable.experiment_id == experiment_id)
    set_version(session, experiment_id, version)
    return len(asked) + undrawn


def request_pause(session: Session, experiment_id: str) -> None:
    """Begin nothing more of an experiment; what runs is put back at the end of its epoch.

    Raises:
        NotFoundError: the experiment is gone.
        ExperimentEndedError: there is nothing left to pause.
    """
    version = _lock(session, experiment_id)
    if session.scalar(select(ExperimentTable.id).where(ExperimentTable.id == experiment_id, IS_UNENDED)) is None:
        raise ExperimentEndedError(experiment_id, "paused")
    session.execute(
        update(ExperimentTable)
        .where(ExperimentTable.id == experiment_id, ExperimentTable.paused_at.is_(None))
        .values(paused_at=clock(), version=version)
    )


def request_resume(session: Session, experiment_id: str) -> list[WaitingCohort]:
    """Resume a paused experiment.

    Returns:
        Its unclaimed cohorts, for notifying workers after the commit; none if it was not paused.

    Raises:
        NotFoundError: the experiment is gone.
    """
    version = _lock(session, experiment_id)
    resumed = session.scalar(
        update(ExperimentTable)
        .where(ExperimentTable.id == experiment_id, ExperimentTable.paused_at.is_not(None))
        .values(paused_at=None, version=version, drawing_expires_at=None, drawing_attempts=0)
        .returning(ExperimentTable.id)
    )
    if resumed is None:
        return []
    waiting = session.execute(
        select(CohortTable.id, CohortTable.queue).where(
            CohortTable.experiment_id == experiment_id,
            CohortTable.finished_at.is_(None),
            CohortTable.lease_owner.is_(None),
        )
    )
    return [WaitingCohort(cohort_id, queue) for cohort_id, queue in waiting]


def is_paused(session: Session, experiment_id: str) -> bool:
    """Return True if an experiment is paused."""
    paused = exists().where(ExperimentTable.id == experiment_id, ExperimentTable.paused_at.is_not(None))
    return bool(session.scalar(select(paused)))


class StopRequest(Enum):
    """A reason to stop training a whole cohort."""

    CANCEL = auto()
    PAUSE = auto()
    GONE = auto()
    """The experiment was deleted, or another worker has the cohort."""


def find_stop_request(session: Session, claim: Claim) -> StopRequest | None:
    """Return the reason to end a worker's claim on a cohort, or None if there is none."""
    cohort = session.get(CohortTable, claim.cohort_id)
    if cohort is None:
        return StopRequest.GONE
    running = (TrialTable.cohort_id == claim.cohort_id, TrialTable.state == TrialState.RUNNING)
    unasked = select(TrialTable.id).where(*running, TrialTable.cancel_requested_at.is_(None)).limit(1)
    if session.scalar(unasked) is None and session.scalar(select(TrialTable.id).where(*running).limit(1)) is not None:
        return StopRequest.CANCEL
    return StopRequest.PAUSE if is_paused(session, claim.experiment_id) else None


def delete_experiment(session: Session, experiment_id: str) -> None:
    """Remove an experiment's rows, and write down that its files are to go: whoever holds a cohort has lost it.

    Raises:
        NotFoundError: the experiment is gone.
    """
    _lock(session, experiment_id)
    for table in (
        EpochTable, TrialTable, CohortTable, SearchRoundTable, ExperimentTagTable, ExperimentDatasetTable, WebhookTable,
    ):  # fmt: skip
        session.execute(delete(table).where(table.experiment_id == experiment_id))
    session.execute(delete(ExperimentTable).where(ExperimentTable.id == experiment_id))
    session.add(DeletionTable(experiment_id=experiment_id, deleted_at=session.scalars(select(clock())).one()))
    session.flush()


def _lock(session: Session, experiment_id: str) -> int:
    version = lock_experiment(session, experiment_id)
    if version is None:
        raise NotFoundError("experiment", experiment_id)
    return version
