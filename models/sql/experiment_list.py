"""Experiments in lists: filtered, sorted, page by page.

A page begins behind a key, not after a number of rows, so that what arrives or goes meanwhile makes no row come twice
and none go missing.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import ColumnElement, Select, and_, exists, not_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from fittingroom.views.states import ExperimentState, TrialState
from models.sql.endings import IS_UNENDED
from models.sql.tables import ExperimentTable, ExperimentTagTable, TrialTable

Sort = Literal["created_at", "-created_at", "name", "-name"]
"""Sort key of a list; `-` for descending order."""
SORTS: tuple[Sort, ...] = get_args(Sort)

_COLUMNS: Mapping[str, InstrumentedAttribute[dt.datetime] | InstrumentedAttribute[str]] = {
    "created_at": ExperimentTable.created_at,
    "name": ExperimentTable.name,
}


@dataclass(frozen=True)
class Filters:
    """Filters of a list; None for no filter."""

    project: str | None = None
    state: ExperimentState | None = None
    name: str | None = None
    tag: str | None = None
    dataset: str | None = None
    created_after: dt.datetime | None = None
    created_before: dt.datetime | None = None


@dataclass(frozen=True)
class Position:
    """End of a page: sort value and id of its last experiment."""

    value: dt.datetime | str
    id: str


def list_experiments(
    session: Session, filters: Filters, *, limit: int, sort: Sort = "-created_at", after: Position | None = None
) -> Sequence[ExperimentTable]:
    """Return a page of experiments, at most `limit` of them, behind `after`."""
    column, is_descending = _COLUMNS[sort.removeprefix("-")], sort.startswith("-")
    keys = (column, ExperimentTable.id)
    query = _filtered(select(ExperimentTable), filters)
    query = query.order_by(*(key.desc() if is_descending else key.asc() for key in keys)).limit(limit)
    if after is not None:
        behind = tuple_(after.value, after.id, types=[column.type, ExperimentTable.id.type])
        query = query.where(tuple_(*keys) < behind if is_descending else tuple_(*keys) > behind)
    return session.scalars(query).all()


def position_of(row: ExperimentTable, sort: Sort) -> Position:
    """Return the position of a page's last row."""
    return Position(row.name if sort.removeprefix("-") == "name" else row.created_at, row.id)


def _filtered(query: Select[ExperimentTable], filters: Filters) -> Select[ExperimentTable]:
    equal = ((ExperimentTable.project, filters.project), (ExperimentTable.name, filters.name))
    for column, value in (*equal, (ExperimentTable.dataset, filters.dataset)):
        if value is not None:
            query = query.where(column == value)
    if filters.tag is not None:
        tagged = (ExperimentTagTable.experiment_id == ExperimentTable.id, ExperimentTagTable.tag == filters.tag)
        query = query.where(exists().where(*tagged))
    if filters.created_after is not None:
        query = query.where(ExperimentTable.created_at > filters.created_after)
    if filters.created_before is not None:
        query = query.where(ExperimentTable.created_at < filters.created_before)
    if filters.state is not None:
        query = query.where(in_state(filters.state))
    return query


def in_state(state: ExperimentState) -> ColumnElement[bool]:
    """`lifecycle.experiment_state` as a condition on an experiment's trials; a test holds the two together."""

    def has(condition: ColumnElement[bool]) -> ColumnElement[bool]:
        return exists().where(TrialTable.experiment_id == ExperimentTable.id, condition)

    begun = has(TrialTable.state != TrialState.QUEUED)
    failed, cancelled = (has(TrialTable.state == state) for state in (TrialState.FAILED, TrialState.CANCELLED))
    cancelled |= (ExperimentTable.undrawn_trials > 0) & ExperimentTable.cancel_requested_at.is_not(None)
    conditions = {
        ExperimentState.QUEUED: not_(begun),
        ExperimentState.RUNNING: and_(begun, IS_UNENDED),
        ExperimentState.FAILED: and_(not_(IS_UNENDED), failed),
        ExperimentState.CANCELLED: and_(not_(IS_UNENDED), not_(failed), cancelled),
        ExperimentState.COMPLETED: and_(not_(IS_UNENDED), not_(failed), not_(cancelled)),
    }
    return conditions[state]
