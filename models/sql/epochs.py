"""The one way in which epochs are written: once each, together, by whoever holds the cohort."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Float, bindparam, column, func, insert, literal, select, update
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
    by_trial = _grouped_without_gaps(fresh, completed)
    _insert(session, claim, version, fresh)
    _update_trials(session, version, by_trial, best)
    return True


def _grouped_without_gaps(records: Sequence[EpochRecord], completed: Mapping[str, int]) -> dict[str, list[EpochRecord]]:
    """Return the records of each trial; EpochGapError if they do not follow what it has completed."""
    found: dict[str, list[EpochRecord]] = {}
    for record in records:
        found.setdefault(record.trial_id, []).append(record)
    for trial_id, mine in found.items():
        first, last = completed[trial_id] + 1, mine[-1].epoch
        if [record.epoch for record in mine] != list(range(first, last + 1)):
            raise EpochGapError(f"trial {trial_id}: epochs up to {last} do not follow epoch {first - 1}")
    return found


def _insert(session: Session, claim: Claim, version: int, records: Sequence[EpochRecord]) -> None:
    rows = [
        {"trial_id": record.trial_id, "epoch": record.epoch, "seconds": record.seconds, "metrics": record.metrics}
        for record in records
    ]
    common = {"experiment_id": claim.experiment_id, "version": version, "attempt": claim.attempt}
    if session.get_bind().dialect.name == "postgresql":
        _insert_document(session, rows, common)
    else:
        statement = insert(EpochTable).values(recorded_at=clock())
        session.connection().execute(statement, [row | common for row in rows])


def _insert_document(session: Session, rows: Sequence[Mapping[str, Any]], common: Mapping[str, Any]) -> None:
    """Send all rows as one document: PostgreSQL's driver takes twice as long to send each by itself."""
    columns = [EpochTable.__table__.c[name] for name in rows[0]]
    sent = func.json_to_recordset(literal(rows, JSON)).table_valued(*(column(c.name, c.type) for c in columns))
    table = sent.render_derived(with_types=True)
    values = {c.name: table.c[c.name] for c in columns} | {name: literal(value) for name, value in common.items()}
    values["recorded_at"] = clock()
    session.execute(insert(EpochTable).from_select(list(values), select(*values.values())))


def _update_trials(
    session: Session, version: int, records: Mapping[str, Sequence[EpochRecord]], best: Mapping[str, BestEpoch]
) -> None:
    """Say how far the trials are, in a statement for those that have a best epoch, and one for the others."""
    values: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    for trial_id, mine in records.items():
        found = best.get(trial_id)
        row = {"of_id": trial_id, "last_epoch": mine[-1].epoch, "new_seconds": sum(record.seconds for record in mine)}
        if found is not None:
            row |= {"new_epoch": found.epoch, "new_value": found.value, "new_metrics": dict(found.metrics)}
        values[found is not None].append(row)
    progress: dict[str, Any] = {
        "epochs_completed": bindparam("last_epoch"),
        "version": version,
        "training_seconds": TrialTable.training_seconds + bindparam("new_seconds", type_=Float()),
    }
    bests: dict[str, Any] = {
        "best_epoch": bindparam("new_epoch"),
        "best_value": bindparam("new_value"),
        "best_metrics": bindparam("new_metrics"),
    }
    for has_best, rows in values.items():
        if rows:
            changed = progress | bests if has_best else progress
            statement = update(TrialTable).where(TrialTable.id == bindparam("of_id")).values(changed)
            session.connection().execute(statement, rows)
