"""Reading of histories as they were at one version of an experiment, some trials at a time.

Epochs are written once and never changed. So whoever knows where each trial was at a version can read its epochs in
as many short transactions as it takes, and still see one state: a reader that is slow keeps no snapshot open, which
would let SQLite's write-ahead log grow.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from pydantic_core import from_json
from sqlalchemy import Text, and_, bindparam, cast, false, func, or_, select
from sqlalchemy.orm import Session

from fittingroom.views.history import WireNumber
from fittingroom.views.states import TrialState
from models.lifecycle import with_undrawn
from models.sql.quick_reads import ReadRows
from models.sql.tables import EpochTable, ExperimentTable, TrialTable

EpochRow = tuple[int, Mapping[str, WireNumber]]
"""An epoch's number, from 1, and its metrics."""
Span = tuple[int, int]
"""Epochs later than the first number, up to the second."""


@dataclass(frozen=True)
class TrialPosition:
    """Progress of a trial at a version of its experiment."""

    id: str
    number: int
    label: str
    state: str
    phase: str | None
    stop_reason: str | None
    version: int
    epochs_completed: int
    best_epoch: int | None


_POSITION = [getattr(TrialTable, name) for name in TrialPosition.__dataclass_fields__]
_OF_TRIAL = (
    select(ExperimentTable.project, *_POSITION)
    .join(ExperimentTable, ExperimentTable.id == TrialTable.experiment_id)
    .where(TrialTable.id == bindparam("wanted"))
)
_METRICS = EpochTable.__table__.c.metrics
_EPOCHS_OF_TRIAL = (
    select(EpochTable.epoch, cast(_METRICS, Text))
    .where(EpochTable.trial_id == bindparam("wanted"), EpochTable.epoch > bindparam("after"))
    .where(EpochTable.epoch <= bindparam("until"))
    .order_by(EpochTable.epoch)
)
_OF_EXPERIMENT = select(
    ExperimentTable.project,
    ExperimentTable.version,
    ExperimentTable.undrawn_trials,
    ExperimentTable.cancel_requested_at.is_not(None),
).where(ExperimentTable.id == bindparam("wanted"))
_TRIALS = select(func.max(TrialTable.number)).where(TrialTable.experiment_id == bindparam("wanted"))
_STATES = (
    select(TrialTable.state, func.count())
    .where(TrialTable.experiment_id == bindparam("wanted"))
    .group_by(TrialTable.state)
)
_CHANGED_TRIALS = (
    select(*_POSITION)
    .where(TrialTable.experiment_id == bindparam("wanted"), TrialTable.version > bindparam("after"))
    .order_by(TrialTable.number)
)
_NEW_EPOCHS = (
    select(EpochTable.trial_id, EpochTable.epoch, cast(_METRICS, Text))
    .where(EpochTable.experiment_id == bindparam("wanted"), EpochTable.version > bindparam("after"))
    .limit(bindparam("most"))
)


def list_positions(session: Session, experiment_id: str, *, after_version: int = 0) -> list[TrialPosition]:
    """Return the trials that have changed after a version, in the order of their numbers."""
    query = (
        select(*_POSITION)
        .where(TrialTable.experiment_id == experiment_id, TrialTable.version > after_version)
        .order_by(TrialTable.number)
    )
    return [TrialPosition(*row) for row in session.execute(query)]


def get_position(row: TrialTable) -> TrialPosition:
    """Return how far a trial is now."""
    return TrialPosition(*(getattr(row, name) for name in TrialPosition.__dataclass_fields__))


class FoundHistory(NamedTuple):
    """A trial's history, as it was read."""

    project: str
    position: TrialPosition
    epochs: list[EpochRow]


def find_trial_history(
    read: ReadRows, trial_id: str, after_epoch: int = 0, max_epochs: int | None = None
) -> FoundHistory | None:
    """Return a trial's progress, and its epochs later than one.

    Args:
        read: `QuickReads.rows`, or `rows_of` a session.
        trial_id: which.
        after_epoch: the last epoch that is not wanted.
        max_epochs: the most epochs that are read.

    Returns:
        None if there is no such trial, or there are more epochs than that.
    """
    found = read(_OF_TRIAL, wanted=trial_id)
    if not found:
        return None
    project, position = found[0][0], TrialPosition(*found[0][1:])
    if max_epochs is not None and position.epochs_completed - after_epoch > max_epochs:
        return None
    rows = read(_EPOCHS_OF_TRIAL, wanted=trial_id, after=after_epoch, until=position.epochs_completed)
    # One document for all takes a fifth of the time of one for each.
    all_metrics = from_json(f"[{','.join(row[1] for row in rows)}]")
    return FoundHistory(project, position, [(row[0], metrics) for row, metrics in zip(rows, all_metrics, strict=True)])


class FoundChanges(NamedTuple):
    """Changes of an experiment since a version."""

    project: str
    version: int
    counts: Mapping[TrialState, int]
    """Trials in each state that occurs."""
    trials: list[tuple[TrialPosition, list[EpochRow]]]
    """Trials that have changed, and their new epochs."""


def find_changes(
    read: ReadRows, experiment_id: str, after_version: int, *, max_trials: int, max_epochs: int
) -> FoundChanges | None:
    """Return what has changed in an experiment since a version; its reads must see one state.

    Args:
        read: `QuickReads.rows`, or `rows_of` a session.
        experiment_id: which.
        after_version: the version.
        max_trials: the most trials that are looked at: of each, its specification is passed over.
        max_epochs: the most epochs that are read.

    Returns:
        None if there is no such experiment, or it has more trials, or more new epochs, than that.
    """
    found = read(_OF_EXPERIMENT, wanted=experiment_id)
    if not found or (read(_TRIALS, wanted=experiment_id)[0][0] or 0) > max_trials:
        return None
    epochs = read(_NEW_EPOCHS, wanted=experiment_id, after=after_version, most=max_epochs + 1)
    if len(epochs) > max_epochs:
        return None
    changed = read(_CHANGED_TRIALS, wanted=experiment_id, after=after_version)
    counts = {TrialState(state): count for state, count in read(_STATES, wanted=experiment_id)}
    positions = [TrialPosition(*row) for row in changed]
    rows: dict[str, list[EpochRow]] = {position.id: [] for position in positions}
    for trial_id, epoch, text in sorted(epochs, key=itemgetter(0, 1)):
        if trial_id in rows:
            rows[trial_id].append((epoch, from_json(text)))
    project, version, undrawn_trials, is_cancelled = found[0]
    counts = with_undrawn(counts, undrawn_trials, is_cancelled=bool(is_cancelled))
    return FoundChanges(project, version, counts, [(position, rows[position.id]) for position in positions])


def last_epochs_at(session: Session, trial_ids: Collection[str], version: int) -> dict[str, int]:
    """Return the last epoch that each trial had completed at a version, 0 for none.

    The search goes backwards from each trial's newest epoch, so it costs as much as there is after the version.
    """
    last = (
        select(EpochTable.epoch)
        .where(EpochTable.trial_id == TrialTable.id, EpochTable.version <= version)
        .order_by(EpochTable.epoch.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = session.execute(select(TrialTable.id, func.coalesce(last, 0)).where(TrialTable.id.in_(trial_ids)))
    return {trial_id: int(epoch) for trial_id, epoch in rows}


def read_epochs(
    session: Session,
    spans: Mapping[str, Span],
    *,
    only: Collection[int] | None = None,
    marked: Mapping[str, Collection[int]] | None = None,
) -> dict[str, list[EpochRow]]:
    """Read epochs of some trials.

    Args:
        session: an open session.
        spans: which epochs of each trial.
        only: of these, read those with such a number and no others.
        marked: numbers that are read of one trial beside `only`.

    Returns:
        Of each trial the epochs found, in order.
    """
    found: dict[str, list[EpochRow]] = {trial_id: [] for trial_id in spans}
    columns = EpochTable.__table__.c
    by_start: dict[int, list[str]] = {}
    for trial_id, (after, _) in spans.items():
        by_start.setdefault(after, []).append(trial_id)
    # Each trial from its own start: from the earliest of all, far more might be read than is wanted.
    wanted = []
    for after, ids in by_start.items():
        # Epochs may have been written since the spans were read: without an end, all of them would be read.
        end = max(spans[trial_id][1] for trial_id in ids)
        # Never a range and a list: SQLite would go through the whole range.
        if only is None:
            wanted.append(and_(columns.trial_id.in_(ids), columns.epoch > after, columns.epoch <= end))
        else:
            chosen = [epoch for epoch in only if after < epoch <= end]
            wanted.append(and_(columns.trial_id.in_(ids), columns.epoch.in_(chosen)))
    for trial_id, epochs in (marked or {}).items():
        later = [epoch for epoch in epochs if epoch > spans[trial_id][0]]
        wanted.append(and_(columns.trial_id == trial_id, columns.epoch.in_(later)))
    query = select(columns.trial_id, columns.epoch, cast(columns.metrics, Text)).where(or_(false(), *wanted))
    # Mostly in order already; the database would sort them with their documents.
    rows = sorted(session.execute(query).all(), key=itemgetter(0, 1))
    # One document for all takes a fifth of the time of one for each.
    all_metrics = from_json(f"[{','.join(text for _, _, text in rows)}]")
    for (trial_id, epoch, _), metrics in zip(rows, all_metrics, strict=True):
        if epoch <= spans[trial_id][1]:
            found[trial_id].append((epoch, metrics))
    return found
