"""Which ends of experiments are to be told to whom, and whether they were heard.

To tell somebody is first to claim it by one conditional UPDATE, which also says when it would be tried again: so of
many processes one tells, and if that one dies another does.
"""

from dataclasses import dataclass

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from models.lifecycle import TERMINAL
from models.sql.database import clock
from models.sql.tables import ExperimentTable, TrialTable, WebhookTable

RETRY_SECONDS = (5.0, 30.0, 120.0, 600.0, 3_600.0, 4 * 3_600.0, 12 * 3_600.0, 24 * 3_600.0)
"""How long is waited after each attempt; after the last one it is given up."""
_AT_ONCE = 50


@dataclass(frozen=True)
class Delivery:
    """One attempt to tell somebody."""

    experiment_id: str
    project: str
    url: str
    secret: str
    attempt: int
    """From 1."""


def claim_deliveries(session: Session) -> list[Delivery]:
    """Take the ends that are to be told now; nobody else will, for a while."""
    unended = exists().where(TrialTable.experiment_id == WebhookTable.experiment_id, TrialTable.state.not_in(TERMINAL))
    due = session.execute(
        select(WebhookTable, ExperimentTable.project)
        .join(ExperimentTable, ExperimentTable.id == WebhookTable.experiment_id)
        .where(WebhookTable.delivered_at.is_(None), WebhookTable.next_attempt_at <= clock(), ~unended)
        .order_by(WebhookTable.next_attempt_at)
        .limit(_AT_ONCE)
    ).all()
    claimed = []
    for row, project in due:
        attempt = row.attempts + 1
        is_last = attempt > len(RETRY_SECONDS)
        won = session.scalar(
            update(WebhookTable)
            .where(WebhookTable.experiment_id == row.experiment_id, WebhookTable.attempts == row.attempts)
            .values(attempts=attempt, next_attempt_at=None if is_last else clock(RETRY_SECONDS[attempt - 1]))
            .returning(WebhookTable.experiment_id)
            .execution_options(synchronize_session=False)
        )
        if won is not None:
            claimed.append(Delivery(row.experiment_id, project, row.url, row.secret, attempt))
    return claimed


def are_deliveries_due(session: Session) -> bool:
    """Whether any end may have to be told: a look that costs little, before anything is locked."""
    due = select(WebhookTable.experiment_id).where(
        WebhookTable.delivered_at.is_(None), WebhookTable.next_attempt_at <= clock()
    )
    return session.scalar(due.limit(1)) is not None


def mark_delivered(session: Session, experiment_id: str, answer: str) -> None:
    """It was heard."""
    _set(session, experiment_id, delivered_at=clock(), next_attempt_at=None, last_answer=answer[:200])


def mark_undelivered(session: Session, experiment_id: str, answer: str, *, is_final: bool) -> None:
    """It was not; unless that is final, it is tried again when the claim said."""
    final: dict[str, object] = {"next_attempt_at": None} if is_final else {}
    _set(session, experiment_id, last_answer=answer[:200], **final)


def find_webhook(session: Session, experiment_id: str) -> WebhookTable | None:
    """Who is told of an experiment's end, if somebody is."""
    return session.get(WebhookTable, experiment_id)


def _set(session: Session, experiment_id: str, **values: object) -> None:
    session.execute(update(WebhookTable).where(WebhookTable.experiment_id == experiment_id).values(values))
