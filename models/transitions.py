"""The only hand that changes states: each function is one conditional change that says if it won.

May import: sqlalchemy, the tables, the lifecycle, the leases. Knows no HTTP and no Keras; never commits: whoever opened
the session does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, literal, select, update
from sqlalchemy.orm import Session

from models.database import clock
from models.leases import Claim, is_held, lock_experiment, set_version
from models.lifecycle import SOURCES, TERMINAL, StopReason, TrialState
from models.tables import CohortTable, ExperimentTable, TrialTable


def mark_claimed(session: Session, cohort_id: str, owner: str, lease_seconds: float) -> Claim | None:
    """Take a cohort that nobody holds, and set its queued trials running. None if somebody else has it."""
    experiment_id = session.scalar(select(CohortTable.experiment_id).where(CohortTable.id == cohort_id))
    if experiment_id is None:
        return None
    version = lock_experiment(session, experiment_id) + 1
    attempt = session.scalar(
        update(CohortTable)
        .where(CohortTable.id == cohort_id, CohortTable.lease_owner.is_(None), CohortTable.finished_at.is_(None))
        .values(lease_owner=owner, lease_expires_at=clock(lease_seconds), attempt=CohortTable.attempt + 1)
        .returning(CohortTable.attempt)
    )
    if attempt is None:
        return None
    _move(
        session, TrialState.RUNNING, version, TrialTable.cohort_id == cohort_id,
        started_at=func.coalesce(TrialTable.started_at, clock()), attempt=attempt,
    )  # fmt: skip
    set_version(session, experiment_id, version)
    return Claim(cohort_id, experiment_id, owner, attempt)


def mark_completed(session: Session, claim: Claim, trial_id: str, reason: StopReason) -> bool:
    """A trial has trained to its end."""
    return _end_held(session, claim, TrialTable.id == trial_id, TrialState.COMPLETED, stop_reason=reason)


def mark_cancelled(session: Session, claim: Claim, trial_ids: Sequence[str]) -> bool:
    """Trials that were asked to stop have stopped."""
    return _end_held(session, claim, TrialTable.id.in_(trial_ids), TrialState.CANCELLED)


def mark_failed(session: Session, claim: Claim, fault: Mapping[str, str]) -> bool:
    """All trials of the cohort that have not ended cannot be trained, for the fault given."""
    return _end_held(session, claim, TrialTable.cohort_id == claim.cohort_id, TrialState.FAILED, fault=dict(fault))


def mark_described(
    session: Session, claim: Claim, trial_ids: Sequence[str], model_summary: str, environment: Mapping[str, Any]
) -> bool:
    """What the worker found the network of some trials to be, and what it trains them with."""
    version = lock_experiment(session, claim.experiment_id) + 1
    if not is_held(session, claim):
        return False
    session.execute(
        update(TrialTable)
        .where(TrialTable.id.in_(trial_ids))
        .values(model_summary=model_summary, environment=dict(environment), version=version)
    )
    set_version(session, claim.experiment_id, version)
    return True


def mark_program(
    session: Session, claim: Claim, engine: str, engine_reason: str, program: Mapping[str, Any] | None
) -> bool:
    """Which engine trains the cohort, why, and how."""
    version = lock_experiment(session, claim.experiment_id) + 1
    if not is_held(session, claim):
        return False
    session.execute(
        update(CohortTable)
        .where(CohortTable.id == claim.cohort_id)
        .values(engine=engine, engine_reason=engine_reason, program=None if program is None else dict(program))
    )
    session.execute(update(TrialTable).where(TrialTable.cohort_id == claim.cohort_id).values(version=version))
    set_version(session, claim.experiment_id, version)
    return True


def mark_released(session: Session, claim: Claim) -> bool:
    """The worker gives the cohort back politely; it will be trained by another one."""
    version = lock_experiment(session, claim.experiment_id) + 1
    if not is_held(session, claim):
        return False
    _put_back(session, claim.cohort_id, version, faults=0)
    set_version(session, claim.experiment_id, version)
    return True


def mark_faulted(session: Session, claim: Claim, max_faults: int, detail: str) -> bool:
    """The worker gives the cohort back because of a fault that may pass; too many of these, and it has failed."""
    lock_experiment(session, claim.experiment_id)
    if not is_held(session, claim):
        return False
    _count_fault(session, claim.cohort_id, claim.experiment_id, max_faults, detail)
    return True


def mark_leases_lost(session: Session, max_faults: int) -> list[str]:
    """Take every cohort away whose worker has been silent for too long. Returns their ids.

    Safe to call from many processes at once: each cohort is taken once.
    """
    expired = session.execute(
        select(CohortTable.id, CohortTable.experiment_id, CohortTable.attempt, CohortTable.lease_owner).where(
            CohortTable.finished_at.is_(None), CohortTable.lease_expires_at < clock()
        )
    ).all()
    taken = []
    for cohort_id, experiment_id, attempt, owner in sorted(expired, key=lambda row: row.experiment_id):
        lock_experiment(session, experiment_id)
        still = session.scalar(
            select(CohortTable.id)
            .where(
                CohortTable.id == cohort_id,
                CohortTable.attempt == attempt,
                CohortTable.finished_at.is_(None),
                CohortTable.lease_expires_at < clock(),
            )
            .with_for_update()
        )
        if still is not None:
            detail = f"attempt {attempt}: worker {owner} was not heard of again before its lease ran out"
            _count_fault(session, cohort_id, experiment_id, max_faults, detail)
            taken.append(cohort_id)
    return taken


def mark_sent(session: Session, cohort_ids: Sequence[str]) -> None:
    """Messages for these cohorts are on their way."""
    session.execute(update(CohortTable).where(CohortTable.id.in_(cohort_ids)).values(sent_at=clock()))


def request_cancel(session: Session, experiment_id: str, trial_id: str | None = None) -> int:
    """Cancel what is queued, and ask what is running to stop. Of one trial, or of all; again changes nothing.

    Returns:
        How many trials this call has cancelled or newly asked.
    """
    version = lock_experiment(session, experiment_id) + 1
    which = TrialTable.experiment_id == experiment_id
    if trial_id is not None:
        which &= TrialTable.id == trial_id
    unasked = which & TrialTable.state.not_in(TERMINAL) & TrialTable.cancel_requested_at.is_(None)
    asked = session.execute(
        update(TrialTable).where(unasked).values(cancel_requested_at=clock(), version=version).returning(TrialTable.id)
    ).all()
    if not asked:
        return 0
    if trial_id is None:
        session.execute(
            update(ExperimentTable).where(ExperimentTable.id == experiment_id).values(cancel_requested_at=clock())
        )
    _move(session, TrialState.CANCELLED, version, which & (TrialTable.state == TrialState.QUEUED), finished_at=clock())
    _finish_cohorts(session, CohortTable.experiment_id == experiment_id)
    set_version(session, experiment_id, version)
    return len(asked)


def list_cancel_requests(session: Session, claim: Claim) -> set[str]:
    """The running trials of a cohort that were asked to stop."""
    return set(
        session.scalars(
            select(TrialTable.id).where(
                TrialTable.cohort_id == claim.cohort_id,
                TrialTable.state == TrialState.RUNNING,
                TrialTable.cancel_requested_at.is_not(None),
            )
        )
    )


def _move(
    session: Session, target: TrialState, version: int, which: ColumnElement[bool], **values: object
) -> list[str]:
    """Change the state of those trials from which the law allows it; gives their ids."""
    moved = session.execute(
        update(TrialTable)
        .where(which, TrialTable.state.in_(SOURCES[target]))
        .values(state=target, version=version, **values)
        .returning(TrialTable.id)
    )
    return [trial_id for (trial_id,) in moved]


def _end_held(session: Session, claim: Claim, which: ColumnElement[bool], target: TrialState, **values: object) -> bool:
    """End trials of a cohort that the worker holds; False, and nothing changed, if it no longer does."""
    version = lock_experiment(session, claim.experiment_id) + 1
    if not is_held(session, claim):
        return False
    _move(session, target, version, which, finished_at=clock(), **values)
    _finish_cohorts(session, CohortTable.id == claim.cohort_id)
    set_version(session, claim.experiment_id, version)
    return True


def _finish_cohorts(session: Session, which: ColumnElement[bool]) -> None:
    """A cohort is finished when all its trials are."""
    unended = select(literal(1)).where(TrialTable.cohort_id == CohortTable.id, TrialTable.state.not_in(TERMINAL))
    session.execute(
        update(CohortTable)
        .where(which, CohortTable.finished_at.is_(None), ~unended.exists())
        .values(finished_at=clock(), lease_owner=None, lease_expires_at=None)
        .execution_options(synchronize_session=False)
    )


def _put_back(session: Session, cohort_id: str, version: int, *, faults: int) -> None:
    """Free a cohort: those of its trials that were asked to stop end here, the others wait for the next claim."""
    session.execute(
        update(CohortTable)
        .where(CohortTable.id == cohort_id)
        .values(lease_owner=None, lease_expires_at=None, sent_at=None, faults=CohortTable.faults + faults)
    )
    mine = TrialTable.cohort_id == cohort_id
    asked = mine & TrialTable.cancel_requested_at.is_not(None)
    _move(session, TrialState.CANCELLED, version, asked, finished_at=clock())
    _move(session, TrialState.QUEUED, version, mine)
    _finish_cohorts(session, CohortTable.id == cohort_id)


def _count_fault(session: Session, cohort_id: str, experiment_id: str, max_faults: int, detail: str) -> None:
    """Put a cohort back, or fail its trials if this was one fault too many. The experiment is locked."""
    version = lock_experiment(session, experiment_id) + 1
    _put_back(session, cohort_id, version, faults=1)
    faults = session.scalars(select(CohortTable.faults).where(CohortTable.id == cohort_id)).one()
    if faults >= max_faults:
        fault = {"kind": "transient", "message": f"given up after {faults} faults; the last: {detail}"}
        mine = TrialTable.cohort_id == cohort_id
        _move(session, TrialState.FAILED, version, mine, finished_at=clock(), fault=fault)
        _finish_cohorts(session, CohortTable.id == cohort_id)
    set_version(session, experiment_id, version)
