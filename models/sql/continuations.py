"""Trials that go on from the last state of trials of an earlier experiment."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.sql.epochs import BestEpoch, EpochRecord
from models.sql.tables import EpochTable, TrialTable


@dataclass(frozen=True)
class Continuation:
    """A trial, and the one from which it goes on."""

    trial_id: str
    has_ended: bool
    """True if the trial itself has ended: it was cancelled."""
    earlier_id: str
    checkpoint: str
    """File that holds the state of the earlier one."""
    best: BestEpoch | None
    """Best epoch of the earlier one."""


def list_continuations(session: Session, cohort_id: str) -> Sequence[Continuation]:
    """Return the trials of a cohort with those that they go on from, by number; none if one of these is gone."""
    rows = session.execute(
        select(TrialTable.id, TrialTable.finished_at, TrialTable.continues)
        .where(TrialTable.cohort_id == cohort_id)
        .order_by(TrialTable.number)
    ).all()
    ids = [earlier_id or "" for _, _, earlier_id in rows]
    earlier = {row.id: row for row in session.scalars(select(TrialTable).where(TrialTable.id.in_(ids)))}
    if not earlier.keys() >= set(ids):
        return []
    return [
        Continuation(trial_id, finished_at is not None, one.id, one.checkpoint or "", _best_epoch(one))
        for (trial_id, finished_at, _), one in zip(rows, map(earlier.__getitem__, ids), strict=True)
    ]


def list_epochs_of_earlier(session: Session, continued: Continuation) -> list[EpochRecord]:
    """Return the epochs of the earlier trial as those of the trial that goes on from it."""
    query = select(EpochTable).where(EpochTable.trial_id == continued.earlier_id).order_by(EpochTable.epoch)
    return [EpochRecord(continued.trial_id, row.epoch, row.seconds, row.metrics) for row in session.scalars(query)]


def _best_epoch(row: TrialTable) -> BestEpoch | None:
    if row.best_epoch is None or row.best_value is None:
        return None
    return BestEpoch(row.best_epoch, row.best_value, row.best_metrics or {})
