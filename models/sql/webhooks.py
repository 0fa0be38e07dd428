"""Webhook deliveries: claims, retries, and results.

A delivery is claimed by one conditional UPDATE with an expiry, so that one of many processes delivers it, and another
one if that process dies.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from models.sql.database import clock
from models.sql.endings import IS_UNENDED
from models.sql.tables import ExperimentTable, WebhookTable

RETRY_SECONDS = (5.0, 30.0, 120.0, 600.0, 3_600.0, 4 * 3_600.0, 12 * 3_600.0, 24 * 3_600.0)
"""Delay after each attempt, in seconds; after the last one the delivery is given up."""
CLAIM_SECONDS = 60.0
"""Duration of a claim, in seconds: longer than the timeout of a delivery."""
_PER_PROJECT, _LOOKED_AT = 50, 1_000
"""Number of due deliveries examined, per project and in all, so that no project hides another's."""


@dataclass(frozen=True)
class Delivery:
    """One delivery attempt."""

    experiment_id: str
    project: str
    url: str
    secret: str
    attempt: int
    """Number of the attempt, from 1."""


def claim_deliveries(session: Session, take: Callable[[str, str], bool]) -> list[Delivery]:
    """Claim due deliveries for a while.

    Args:
        session: an open transaction.
        take: takes a slot for a project and an address, if there is one. Unused slots are the caller's to give back.
    """
    place = func.row_number().over(partition_by=ExperimentTable.project, order_by=WebhookTable.next_attempt_at)
    due = (
        select(WebhookTable.experiment_id, ExperimentTable.project, place.label("place"))
        .join(ExperimentTable, ExperimentTable.id == WebhookTable.experiment_id)
        .where(WebhookTable.delivered_at.is_(None), WebhookTable.next_attempt_at <= clock(), ~IS_UNENDED)
        .subquery()
    )
    rows = session.execute(
        select(WebhookTable, due.c.project)
        .join(due, due.c.experiment_id == WebhookTable.experiment_id)
        .where(due.c.place <= _PER_PROJECT)
        .order_by(due.c.place, WebhookTable.next_attempt_at)
        .limit(_LOOKED_AT)
    ).all()
    claimed = []
    for row, project in rows:
        if not take(project, row.url):
            continue
        attempt = row.attempts + 1
        won = session.scalar(
            update(WebhookTable)
            .where(WebhookTable.experiment_id == row.experiment_id, WebhookTable.attempts == row.attempts)
            .values(attempts=attempt, next_attempt_at=clock(CLAIM_SECONDS))
            .returning(WebhookTable.experiment_id)
            .execution_options(synchronize_session=False)
        )
        if won is not None:
            claimed.append(Delivery(row.experiment_id, project, row.url, row.secret, attempt))
    return claimed


def are_deliveries_due(session: Session) -> bool:
    """Return True if any delivery may be due: a cheap check before anything is locked."""
    due = select(WebhookTable.experiment_id).where(
        WebhookTable.delivered_at.is_(None), WebhookTable.next_attempt_at <= clock()
    )
    return session.scalar(due.limit(1)) is not None


def mark_delivered(session: Session, experiment_id: str, answer: str) -> None:
    """Mark a delivery as successful."""
    _set(session, experiment_id, delivered_at=clock(), next_attempt_at=None, last_answer=answer[:200])


def mark_undelivered(session: Session, delivery: Delivery, answer: str, *, is_final: bool) -> None:
    """Mark an attempt as failed; schedule a retry unless the failure is final or this was the last attempt."""
    is_last = is_final or delivery.attempt > len(RETRY_SECONDS)
    next_attempt_at = None if is_last else clock(RETRY_SECONDS[delivery.attempt - 1])
    _set(session, delivery.experiment_id, last_answer=answer[:200], next_attempt_at=next_attempt_at)


def find_webhook(session: Session, experiment_id: str) -> WebhookTable | None:
    """Return the webhook of an experiment, if it has one."""
    return session.get(WebhookTable, experiment_id)


def _set(session: Session, experiment_id: str, **values: object) -> None:
    session.execute(update(WebhookTable).where(WebhookTable.experiment_id == experiment_id).values(values))
