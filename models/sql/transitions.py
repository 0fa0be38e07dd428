"""State transitions of trials: conditional updates, each of which returns whether it applied.

No other module writes states; `models.sql.client_requests` calls `move` here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal, select, update
from sqlalchemy.orm import Session

from fittingroom.views.states import StopReason, TrialPhase, TrialState
from models.lifecycle import SOURCES, TERMINAL
from models.messaging.queues import DEVICES, queue_of, queues_of
from models.sql.database import clock
from models.sql.kept_weights import NO_WEIGHTS, KeptWeights
from models.sql.leases import Claim, change_under_claim, lock_experiment, set_version
from models.sql.tables import CohortTable, ExperimentTable, TrialTable
from models.sql.turns import note_turn


def mark_claimed(session: Session, cohort_id: str, owner: str, lease_seconds: float, backend: str) -> Claim | None:
    """Claim an unclaimed cohort, and set its queued trials running.

    The first claim decides the Keras backend of the whole experiment.

    Args:
        session: an open transaction.
        cohort_id: the cohort.
        owner: the worker. It trains one cohort at a time, so a cohort that it holds already is one whose claim was
            committed without an answer.
        lease_seconds: duration of the lease.
        backend: the worker's backend.

    Returns:
        None if the cohort is held, paused or gone, or if its experiment trains with another backend.
    """
    found = session.execute(
        select(ExperimentTable.id, ExperimentTable.project)
        .join(CohortTable, CohortTable.experiment_id == ExperimentTable.id)
        .where(CohortTable.id == cohort_id)
    ).first()
    if found is None:
        return None
    experiment_id, project = found
    version = lock_experiment(session, experiment_id)
    if version is None:
        return None
    paused = select(literal(1)).where(ExperimentTable.id == experiment_id, ExperimentTable.paused_at.is_not(None))
    attempt = session.scalar(
        update(CohortTable)
        .where(
            CohortTable.id == cohort_id,
            CohortTable.lease_owner.is_(None) | (CohortTable.lease_owner == owner),
            CohortTable.finished_at.is_(None),
            CohortTable.queue.in_(queues_of(DEVICES, backend)),
            ~paused.exists(),
        )
        .values(lease_owner=owner, lease_expires_at=clock(lease_seconds), attempt=CohortTable.attempt + 1)
        .returning(CohortTable.attempt)
    )
    if attempt is None:
        return None
    session.execute(
        update(CohortTable)
        .where(CohortTable.experiment_id == experiment_id, CohortTable.queue.in_(DEVICES))
        .values(queue=case({device: queue_of(device, backend) for device in DEVICES}, value=CohortTable.queue))
        .execution_options(synchronize_session=False)
    )
    mine = TrialTable.cohort_id == cohort_id
    move(session, TrialState.RUNNING, version, mine, started_at=func.coalesce(TrialTable.started_at, clock()))
    session.execute(
        update(TrialTable).where(mine, TrialTable.state == TrialState.RUNNING).values(attempt=attempt, version=version)
    )
    set_version(session, experiment_id, version)
    note_turn(session, project)
    return Claim(cohort_id, experiment_id, owner, attempt)


def mark_completed(
    session: Session, claim: Claim, trial_id: str, reason: StopReason, weights: KeptWeights = NO_WEIGHTS
) -> bool:
    """Mark a trial completed."""
    mine, values = TrialTable.id == trial_id, asdict(weights)
    return _end_held(session, claim, mine, TrialState.COMPLETED, stop_reason=reason, **values)


def mark_pruned(session: Session, claim: Claim, trial_id: str) -> bool:
    """Mark a trial pruned, at the rung that its last epoch is."""
    return _end_held(session, claim, TrialTable.id == trial_id, TrialState.PRUNED)


def mark_cancelled(session: Session, claim: Claim, trial_ids: Sequence[str]) -> bool:
    """Mark trials cancelled that were asked to stop and have stopped."""
    return _end_held(session, claim, TrialTable.id.in_(trial_ids), TrialState.CANCELLED)


def mark_failed(session: Session, claim: Claim, fault: Mapping[str, str]) -> bool:
    """Mark all unfinished trials of a cohort failed, with a fault."""
    return _end_held(session, claim, TrialTable.cohort_id == claim.cohort_id, TrialState.FAILED, fault=dict(fault))


@change_under_claim
def mark_described(session: Session, claim: Claim, version: int, summary: str, environment: Mapping[str, Any]) -> None:
    """Store Keras's summary of the cohort's network, and the worker's environment."""
    session.execute(
        update(TrialTable)
        .where(TrialTable.cohort_id == claim.cohort_id, TrialTable.state.not_in(TERMINAL))
        .values(model_summary=summary, environment=dict(environment), version=version)
    )


@change_under_claim
def mark_begins_anew(session: Session, claim: Claim, version: int) -> None:
    """Store that the trials of a cohort go on from no others, as the states of these are gone."""
    mine = TrialTable.cohort_id == claim.cohort_id
    session.execute(update(TrialTable).where(mine).values(continues=None, version=version))
    reason = "the last states of the earlier trials are gone, so these train from their first epoch"
    session.execute(update(CohortTable).where(CohortTable.id == claim.cohort_id).values(engine_reason=reason))


@change_under_claim
def mark_phase(session: Session, claim: Claim, version: int, phase: TrialPhase) -> None:
    """Store the phase of a cohort's running trials."""
    mine = (TrialTable.cohort_id == claim.cohort_id, TrialTable.state == TrialState.RUNNING)
    session.execute(update(TrialTable).where(*mine).values(phase=phase, version=version))


@change_under_claim
def mark_program(
    session: Session, claim: Claim, version: int, engine: str, engine_reason: str, program: Mapping[str, Any] | None
) -> None:
    """Store the engine of a cohort, the reason, and its program, with which it trains from now on."""
    session.execute(
        update(CohortTable)
        .where(CohortTable.id == claim.cohort_id)
        .values(engine=engine, engine_reason=engine_reason, program=None if program is None else dict(program))
    )
    # Ended trials too: what they show of their cohort has changed.
    phase = case((TrialTable.state == TrialState.RUNNING, TrialPhase.TRAINING.value), else_=None)
    mine = TrialTable.cohort_id == claim.cohort_id
    session.execute(update(TrialTable).where(mine).values(phase=phase, version=version))


@change_under_claim
def mark_released(session: Session, claim: Claim, version: int) -> None:
    """Requeue a cohort that its worker releases, without counting a fault."""
    _put_back(session, claim.cohort_id, version, faults=0)


def requeue_orphaned(session: Session, unheld: Claim) -> bool:
    """Requeue trials that run in a cohort without a lease, a state that no transition here leads to."""
    version = lock_experiment(session, unheld.experiment_id)
    free = (
        CohortTable.id == unheld.cohort_id,
        CohortTable.lease_owner.is_(None),
        CohortTable.attempt == unheld.attempt,
    )
    if version is None or session.scalar(select(CohortTable.id).where(*free)) is None:
        return False
    _put_back(session, unheld.cohort_id, version, faults=0)
    set_version(session, unheld.experiment_id, version)
    return True


@change_under_claim
def record_worker_fault(session: Session, claim: Claim, version: int, max_faults: int, detail: str) -> None:
    """Requeue a cohort after a fault of its worker; fail its trials if this was one fault too many."""
    _put_back(session, claim.cohort_id, version, faults=1)
    faults = session.scalars(select(CohortTable.faults).where(CohortTable.id == claim.cohort_id)).one()
    if faults >= max_faults:
        fault = {"kind": "transient", "message": f"given up after {faults} faults; the last: {detail}"}
        mine = TrialTable.cohort_id == claim.cohort_id
        move(session, TrialState.FAILED, version, mine, finished_at=clock(), fault=fault)
        finish_cohorts(session, CohortTable.id == claim.cohort_id)


def mark_leases_lost(session: Session, max_faults: int) -> list[str]:
    """Requeue cohorts with expired leases; return their ids.

    Safe to call from many processes at once: each cohort is taken once.
    """
    return _take_away(
        session, CohortTable.lease_expires_at < clock(), max_faults, "was not heard of again before its lease ran out"
    )


def mark_worker_lost(session: Session, worker_id: str, max_faults: int, how: str) -> list[str]:
    """Requeue the cohorts of a worker that has ended; return their ids."""
    return _take_away(session, CohortTable.lease_owner == worker_id, max_faults, how)


def list_cancel_requests(session: Session, claim: Claim) -> set[str]:
    """Return the running trials of a cohort that were asked to stop."""
    return set(
        session.scalars(
            select(TrialTable.id).where(
                TrialTable.cohort_id == claim.cohort_id,
                TrialTable.state == TrialState.RUNNING,
                TrialTable.cancel_requested_at.is_not(None),
            )
        )
    )


def move(session: Session, target: TrialState, version: int, which: ColumnElement[bool], **values: object) -> list[str]:
    """Change the state of trials for which the transition is allowed; return their ids."""
    phase = TrialPhase.LOADING if target == TrialState.RUNNING else None
    moved = session.execute(
        update(TrialTable)
        .where(which, TrialTable.state.in_(SOURCES[target]))
        .values(state=target, phase=phase, version=version, **values)
        .returning(TrialTable.id)
    )
    return [trial_id for (trial_id,) in moved]


@change_under_claim
def _end_held(
    session: Session, claim: Claim, version: int, /, which: ColumnElement[bool], target: TrialState, **values: object
) -> None:
    """End trials of a cohort that the worker holds."""
    move(session, target, version, which, finished_at=clock(), **values)
    finish_cohorts(session, CohortTable.id == claim.cohort_id)


def finish_cohorts(session: Session, which: ColumnElement[bool]) -> None:
    """Finish cohorts whose trials have all ended."""
    unended = select(literal(1)).where(TrialTable.cohort_id == CohortTable.id, TrialTable.state.not_in(TERMINAL))
    session.execute(
        update(CohortTable)
        .where(which, CohortTable.finished_at.is_(None), ~unended.exists())
        .values(finished_at=clock(), lease_owner=None, lease_expires_at=None)
        .execution_options(synchronize_session=False)
    )


def _put_back(session: Session, cohort_id: str, version: int, *, faults: int) -> None:
    """Free a cohort: cancel its trials with a cancel request, and requeue the others."""
    session.execute(
        update(CohortTable)
        .where(CohortTable.id == cohort_id)
        .values(lease_owner=None, lease_expires_at=None, faults=CohortTable.faults + faults)
    )
    mine = TrialTable.cohort_id == cohort_id
    asked = mine & TrialTable.cancel_requested_at.is_not(None)
    move(session, TrialState.CANCELLED, version, asked, finished_at=clock())
    move(session, TrialState.QUEUED, version, mine)
    finish_cohorts(session, CohortTable.id == cohort_id)


def _take_away(session: Session, which: ColumnElement[bool], max_faults: int, how: str) -> list[str]:
    """Take leased cohorts from their workers, with the reason."""
    leased = which & CohortTable.finished_at.is_(None) & CohortTable.lease_owner.is_not(None)
    columns = (CohortTable.id, CohortTable.experiment_id, CohortTable.lease_owner, CohortTable.attempt)
    rows = session.execute(select(*columns).where(leased).order_by(CohortTable.experiment_id, CohortTable.id))
    claims = [
        Claim(cohort_id, experiment_id, owner or "", attempt) for cohort_id, experiment_id, owner, attempt in rows
    ]
    taken = []
    for claim in claims:
        lock_experiment(session, claim.experiment_id)
        # Locked, so that no heartbeat renews the lease from here on.
        still = session.scalar(
            select(CohortTable.id).where(CohortTable.id == claim.cohort_id, leased).with_for_update()
        )
        detail = f"attempt {claim.attempt}: worker {claim.owner} {how}"
        if still is not None and record_worker_fault(session, claim, max_faults, detail):
            taken.append(claim.cohort_id)
    return taken
