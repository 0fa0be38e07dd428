"""Fair choice of the next cohort to train: projects take turns, so that none waits for all that another has queued.

The project that has the fewest cohorts in training comes first, and of equals the one that was served the longest ago;
within a project the oldest cohort.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from models.messaging.waiting import WaitingCohort
from models.sql.database import clock
from models.sql.tables import CohortTable, ExperimentTable, ProjectTurnTable

_IN_ORDER = (
    CohortTable.finished_at,
    CohortTable.lease_owner,
    CohortTable.project,
    CohortTable.created_at,
    CohortTable.experiment_id,
    CohortTable.number,
)
"""The order of the index `ix_cohorts_waiting`. The first two are null in it; without them PostgreSQL sorts."""
_PROJECTS, _COHORTS = 3, 3
"""Number of projects, and of cohorts of each, that are offered: other workers may claim the first ones meanwhile."""


def find_next_cohorts(session: Session, queues: Collection[str]) -> list[str]:
    """Return the cohorts that a worker which serves these queues is to try to claim, in this order."""
    projects = _list_projects(session, queues)
    if len(projects) > 1:
        busy, served = _count_in_training(session, projects), _find_turns(session, projects)
        never = dt.datetime.min.replace(tzinfo=dt.UTC)
        projects = sorted(projects, key=lambda project: (busy.get(project, 0), served.get(project, never), project))
    found: list[Sequence[str]] = []
    for project in projects:
        oldest = session.scalars(
            select(CohortTable.id)
            .join(ExperimentTable, ExperimentTable.id == CohortTable.experiment_id)
            .where(CohortTable.project == project, *_is_unclaimed(queues), ExperimentTable.paused_at.is_(None))
            .order_by(*_IN_ORDER)
            .limit(_COHORTS)
        ).all()
        found += [oldest] if oldest else []
        if len(found) == _PROJECTS:
            break
    return [cohort_id for of_project in found for cohort_id in of_project]


def _list_projects(session: Session, queues: Collection[str]) -> list[str]:
    """Projects with unclaimed cohorts in these queues: one step in the index for each, however many cohorts it has."""
    first = select(CohortTable.project).where(*_is_unclaimed(queues)).order_by(*_IN_ORDER).limit(1)
    found = select(first.scalar_subquery().label("project")).cte("projects", recursive=True)
    following = first.where(CohortTable.project > found.c.project).correlate(found).scalar_subquery()
    found = found.union_all(select(following).where(found.c.project.is_not(None)))
    return [project for project in session.scalars(select(found.c.project)) if project is not None]


def list_waiting(session: Session, queues: Collection[str], limit: int) -> list[WaitingCohort]:
    """Return some of the cohorts that wait in these queues, the oldest first."""
    rows = session.execute(
        select(CohortTable.id, CohortTable.queue)
        .join(ExperimentTable, ExperimentTable.id == CohortTable.experiment_id)
        .where(*_is_unclaimed(queues), ExperimentTable.paused_at.is_(None))
        .order_by(CohortTable.created_at, CohortTable.id)
        .limit(limit)
    )
    return [WaitingCohort(cohort_id, queue) for cohort_id, queue in rows]


def note_turn(session: Session, project: str) -> None:
    """Note that a project is served now."""
    # What there is no portable word for in SQLAlchemy; both databases say it the same way.
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    row: Any = insert(ProjectTurnTable).values(project=project, served_at=clock())
    session.execute(row.on_conflict_do_update(index_elements=["project"], set_={"served_at": clock()}))


def _is_unclaimed(queues: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    """Return the condition of the index `ix_cohorts_waiting`, and the queues."""
    return CohortTable.finished_at.is_(None), CohortTable.lease_owner.is_(None), CohortTable.queue.in_(queues)


def _count_in_training(session: Session, projects: Sequence[str]) -> Mapping[str, int]:
    rows = session.execute(
        select(CohortTable.project, func.count())
        .where(
            CohortTable.finished_at.is_(None),
            CohortTable.lease_expires_at.is_not(None),
            CohortTable.project.in_(projects),
        )
        .group_by(CohortTable.project)
    )
    return {row[0]: row[1] for row in rows}


def _find_turns(session: Session, projects: Sequence[str]) -> Mapping[str, dt.datetime]:
    rows = session.execute(
        select(ProjectTurnTable.project, ProjectTurnTable.served_at).where(ProjectTurnTable.project.in_(projects))
    )
    return {row.project: row.served_at for row in rows}
