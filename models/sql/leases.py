"""Claims on cohorts, their leases, and the lock order of writers.

Every writer locks the experiment's row first, which rules out deadlocks, and increments its version in the same
transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from models.sql.database import clock
from models.sql.tables import CohortTable, ExperimentTable

_Given = ParamSpec("_Given")


@dataclass(frozen=True)
class Claim:
    """A worker's right to a cohort: every write carries it, and one that has lost it writes nothing."""

    cohort_id: str
    experiment_id: str
    owner: str
    attempt: int


def lock_experiment(session: Session, experiment_id: str) -> int | None:
    """Hold the experiment's row until the transaction ends; gives the version that a change makes. None: it is gone."""
    version = session.scalar(
        select(ExperimentTable.version).where(ExperimentTable.id == experiment_id).with_for_update()
    )
    return None if version is None else version + 1


def change_under_claim(
    change: Callable[Concatenate[Session, Claim, int, _Given], bool | None],
) -> Callable[Concatenate[Session, Claim, _Given], bool]:
    """Decorate a worker's change: lock experiment and cohort, pass the new version, store it unless it returns False.

    Callers give no version. The result is False, and nothing is changed, if the claim is no longer the worker's.
    """

    @wraps(change)
    def run(session: Session, claim: Claim, /, *given: _Given.args, **named: _Given.kwargs) -> bool:
        version = lock_experiment(session, claim.experiment_id)
        held = session.scalar(select(CohortTable.id).where(*_held(claim)).with_for_update())
        if version is None or held is None:
            return False
        if change(session, claim, version, *given, **named) is not False:
            set_version(session, claim.experiment_id, version)
        return True

    return run


def set_version(session: Session, experiment_id: str, version: int) -> None:
    """Say that something under the experiment has changed."""
    session.execute(update(ExperimentTable).where(ExperimentTable.id == experiment_id).values(version=version))


def renew_lease(session: Session, claim: Claim, lease_seconds: float) -> bool:
    """Keep a cohort for longer; False if the claim is no longer the worker's."""
    renewed = session.execute(
        update(CohortTable).where(*_held(claim)).values(lease_expires_at=clock(lease_seconds)).returning(CohortTable.id)
    )
    return renewed.first() is not None


def has_expired_leases(session: Session) -> bool:
    """Return True if any lease has expired."""
    expired = select(CohortTable.id).where(CohortTable.finished_at.is_(None), CohortTable.lease_expires_at < clock())
    return session.scalar(expired.limit(1)) is not None


def _held(claim: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        CohortTable.id == claim.cohort_id,
        CohortTable.lease_owner == claim.owner,
        CohortTable.attempt == claim.attempt,
        CohortTable.finished_at.is_(None),
    )
