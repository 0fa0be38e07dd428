"""The one way in which epochs are written: once each, together, by whoever holds the cohort."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from fittingroom.views.history import WireNumber
from models.sql.database import clock
from models.sql.leases import Claim, change_under_claim, renew_lease
from models.sql.tables import EpochTable, TrialTable


@dataclass(frozen=True)
class EpochRecord:
    """One completed epoch of one trial, as it will be stored."""

    trial_id: str
    epoch: int
    seconds: float
    metrics: Mapping[str, WireNumber]


@dataclass(frozen=True)
class BestEpoch:
    """A trial's best epoch so far, by the objective."""

    epoch: int
    value: float
    metrics: Mapping[str, WireNumber]


class EpochGapError(Exception):
    """Epochs were to be written that do not follow those that are there: a fault of the service."""


@change_under_claim
def mark_epochs(
    session: Session,
    claim: Claim,
    version: int,
    records: Sequence[EpochRecord],
    best: Mapping[str, BestEpoch],
    lease_seconds: float,
) -> bool:
    """Write completed epochs and renew the lease; False if all were written before.

    An epoch that an earlier attempt has written stands: the same trial writes the same numbers. That none is written
    twice is decided under the experiment's lock, and held by the table's key.

    Args:
        session: an open writing session.
        claim: the worker's.
        version: of the experiment after this change.
        records: the epochs.
        best: the best epoch so far of each trial in `records` that has one.
        lease_seconds: how long the cohort is kept from now.

    Raises:
        EpochGapError: an epoch would be missing.
    """
    renew_lease(session, claim, lease_seconds)
    rows = session.execute(
        select(TrialTable.id, TrialTable.epochs_completed).where(TrialTable.cohort_id == claim.cohort_id)
    )
    completed: dict[str, int] = {trial_id: epochs for trial_id, epochs in rows}  # noqa: C416 - rows are no pairs to mypy
    fresh = [record for record in records if record.epoch > completed[record.trial_id]]
    if not fresh:
        return False
    now = session.scalar(select(clock()))
    inserted = [
        {
            "trial_id": record.trial_id,
            "epoch": record.epoch,
            "experiment_id": claim.experiment_id,
            "version": version,
            "attempt": claim.attempt,
            "seconds": record.seconds,
            "metrics": dict(record.metrics),
            "recorded_at": now,
        }
        for record in fresh
    ]
    session.connection().execute(insert(EpochTable), inserted)
    by_trial: dict[str, list[EpochRecord]] = {}
    for record in fresh:
        by_trial.setdefault(record.trial_id, []).append(record)
    for trial_id, mine in by_trial.items():
        first, last = completed[trial_id] + 1, mine[-1].epoch
        if [record.epoch for record in mine] != list(range(first, last + 1)):
            raise EpochGapError(f"trial {trial_id}: epochs up to {last} do not follow epoch {first - 1}")
        values: dict[str, Any] = {
            "epochs_completed": last,
            "version": version,
            "training_seconds": TrialTable.training_seconds + sum(record.seconds for record in mine),
        }
        if trial_id in best:
            found = best[trial_id]
            values |= {"best_epoch": found.epoch, "best_value": found.value, "best_metrics": dict(found.metrics)}
        session.execute(update(TrialTable).where(TrialTable.id == trial_id).values(values))
    return True
