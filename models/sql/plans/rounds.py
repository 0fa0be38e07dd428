"""Rounds of searches: which are due, what was found, and storing the next one.

A worker takes a lease on drawing, so that others leave it alone meanwhile. A round is stored by one transaction if the
search stands as it did when its results were read; so even where a lease has expired, one worker stores it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from fittingroom.specs.datasets import BUILT_IN_DATASETS, DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault
from models.messaging.queues import queue_of
from models.messaging.waiting import WaitingCohort
from models.planning.plan import ExperimentPlan
from models.planning.results import SearchResults
from models.sql.database import clock
from models.sql.datasets import schema_of
from models.sql.endings import HAS_UNDRAWN_TRIALS, HAS_UNENDED_TRIALS
from models.sql.leases import lock_experiment, set_version
from models.sql.plans.planned_rows import rows_of_plan
from models.sql.plans.prior_results import from_rows, list_results
from models.sql.tables import (
    CohortTable,
    DatasetTable,
    ExperimentDatasetTable,
    ExperimentTable,
    SearchRoundTable,
    TrialTable,
)

_IS_DUE = HAS_UNDRAWN_TRIALS & ~HAS_UNENDED_TRIALS & ExperimentTable.paused_at.is_(None)
"""True of a search whose last round has ended, and which goes on."""
_IS_UNCLAIMED = ExperimentTable.drawing_expires_at.is_(None) | (ExperimentTable.drawing_expires_at < clock())


MAX_ATTEMPTS = 10
"""Number of attempts to draw a round after which a search ends: the workers that began to have died or failed."""


def list_due(session: Session, limit: int) -> list[str]:
    """Return some of the searches that wait for their next round while no worker draws it, the oldest first."""
    query = (
        select(ExperimentTable.id)
        .where(_IS_DUE, _IS_UNCLAIMED)
        .order_by(ExperimentTable.created_at, ExperimentTable.id)
    )
    return list(session.scalars(query.limit(limit)))


def list_rounds(session: Session, experiment_id: str) -> Sequence[SearchRoundTable]:
    """Return the rounds of a search, by number."""
    query = select(SearchRoundTable).where(SearchRoundTable.experiment_id == experiment_id)
    return session.scalars(query.order_by(SearchRoundTable.number)).all()


@dataclass(frozen=True)
class FoundSearch:
    """A search, as it was read."""

    experiment_id: str
    document: dict[str, Any]
    """The spec as it was stored."""
    datasets: Mapping[str, DatasetSchema]
    results: SearchResults


def claim_drawing(session: Session, experiment_id: str, lease_seconds: float) -> FoundSearch | None:
    """Take the lease on drawing the next round of a search, and return what was found so far.

    Args:
        session: an open transaction.
        experiment_id: of the search.
        lease_seconds: duration of the lease.

    Returns:
        None if it is not due, another worker draws it, or it has ended now.
    """
    version = lock_experiment(session, experiment_id)
    row = session.scalars(
        select(ExperimentTable).where(ExperimentTable.id == experiment_id, _IS_DUE, _IS_UNCLAIMED)
    ).first()
    if version is None or row is None:
        return None
    if row.drawing_attempts >= MAX_ATTEMPTS:
        reason = f"the next round could not be drawn in {row.drawing_attempts} attempts; the service's log says more"
        _change(session, row, version, 0, [Fault(pointer="/sampler", detail=reason)])
        return None
    session.execute(
        update(ExperimentTable)
        .where(ExperimentTable.id == experiment_id)
        .values(drawing_expires_at=clock(lease_seconds), drawing_attempts=ExperimentTable.drawing_attempts + 1)
    )
    return _find(session, row)


def _find(session: Session, row: ExperimentTable) -> FoundSearch:
    """Read what was found by a search so far."""
    experiment_id = row.id
    uploaded = session.scalars(
        select(DatasetTable)
        .join(ExperimentDatasetTable, ExperimentDatasetTable.dataset_id == DatasetTable.id)
        .where(ExperimentDatasetTable.experiment_id == experiment_id)
    )
    cohorts = select(func.max(CohortTable.number)).where(CohortTable.experiment_id == experiment_id)
    results = SearchResults(
        list_results(session, experiment_id),
        session.scalar(cohorts) or 0,
        row.undrawn_trials,
        from_rows(row.prior_results),
    )
    datasets = {**BUILT_IN_DATASETS, **{dataset.name: schema_of(dataset) for dataset in uploaded}}
    return FoundSearch(experiment_id, row.spec, datasets, results)


def add_round(
    session: Session, found: FoundSearch, spec: ExperimentSpec, plan: ExperimentPlan
) -> list[WaitingCohort] | None:
    """Store the next round of a search; a plan without trials ends it.

    Returns:
        The cohorts to announce to workers after the commit; None if the search does not stand as it was found.
    """
    version, row = _lock_as_found(session, found)
    if row is None:
        return None
    queue = session.scalars(select(CohortTable.queue).where(CohortTable.experiment_id == row.id).limit(1)).first()
    queue = queue or queue_of(spec.device, spec.backend)
    now = session.scalars(select(clock())).one()
    rows = rows_of_plan(row.id, row.project, queue, plan, now, found.results.round + 1)
    for trial in rows.trials:
        trial["version"] = version
    for table, values in ((CohortTable, rows.cohorts), (TrialTable, rows.trials), (SearchRoundTable, rows.rounds)):
        if values:
            session.connection().execute(insert(table), values)
    _change(session, row, version, plan.undrawn_trials, plan.warnings)
    return rows.waiting


def end_search(session: Session, found: FoundSearch, reason: str) -> bool:
    """Draw nothing more of a search, and say why in a warning; False if it does not stand as it was found."""
    version, row = _lock_as_found(session, found)
    if row is None:
        return False
    _change(session, row, version, 0, [Fault(pointer="/sampler", detail=reason)])
    return True


def _lock_as_found(session: Session, found: FoundSearch) -> tuple[int, ExperimentTable | None]:
    """Lock a search; return the version that a change makes, and the row if it stands as it was found."""
    version = lock_experiment(session, found.experiment_id)
    undrawn = ExperimentTable.undrawn_trials == found.results.undrawn_trials
    query = select(ExperimentTable).where(ExperimentTable.id == found.experiment_id, undrawn, _IS_DUE)
    return version or 0, session.scalars(query).first()


def _change(
    session: Session, row: ExperimentTable, version: int, undrawn_trials: int, warnings: Sequence[Fault]
) -> None:
    """Store what a round has changed, and give the lease back."""
    changed: dict[str, Any] = {"undrawn_trials": undrawn_trials, "drawing_expires_at": None, "drawing_attempts": 0}
    if not undrawn_trials:
        changed["search_ended_at"] = clock()
    if warnings:
        changed["warnings"] = [*(row.warnings or []), *(warning.model_dump() for warning in warnings)]
    session.execute(update(ExperimentTable).where(ExperimentTable.id == row.id).values(**changed))
    set_version(session, row.id, version)
