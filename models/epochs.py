"""The one way in which epochs are written: once each, together, by whoever holds the cohort.

May import: sqlalchemy, the tables, the leases. Knows no HTTP and no Keras; never commits: whoever opened the session
does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from models.database import clock
from models.history import WireNumber
from models.leases import Claim, lock_experiment, renew_lease, set_version
from models.tables import EpochTable, TrialTable


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


def mark_epochs(
    session: Session,
    claim: Claim,
    records: Sequence[EpochRecord],
    best: Mapping[str, BestEpoch],
    lease_seconds: float,
) -> bool:
    """Write completed epochs and renew the lease; False, and nothing written, if the claim is lost.

    An epoch that an earlier attempt has written stands: the same trial writes the same numbers.

    Args:
        session: an open writing session.
        claim: the worker's.
        records: the epochs.
        best: the best epoch so far of each trial in `records` that has one.
        lease_seconds: how long the cohort is kept from now.
    """
    version = lock_experiment(session, claim.experiment_id) + 1
    if not renew_lease(session, claim, lease_seconds):
        return False
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    if not records:
        return True
    now = session.scalar(select(clock()))
    rows = [
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
        for record in records
    ]
    session.execute(insert(EpochTable).on_conflict_do_nothing(), rows)
    for trial_id, last in {record.trial_id: record.epoch for record in records}.items():
        fresh = [r for r in records if r.trial_id == trial_id]
        values: dict[str, Any] = {
            "epochs_completed": last,
            "version": version,
            "training_seconds": TrialTable.training_seconds + sum(record.seconds for record in fresh),
        }
        if trial_id in best:
            found = best[trial_id]
            values |= {"best_epoch": found.epoch, "best_value": found.value, "best_metrics": dict(found.metrics)}
        session.execute(
            update(TrialTable).where(TrialTable.id == trial_id, TrialTable.epochs_completed < last).values(values)
        )
    set_version(session, claim.experiment_id, version)
    return True
