"""Rounds of searches: which are due, what was found, and storing the next one.

A round is stored by one transaction, if the search stands as it did when its results were read: any number of processes
may draw the same round at once, and one of them stores it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from fittingroom.specs.datasets import BUILT_IN_DATASETS, DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault
from fittingroom.views.states import TrialState
from models.messaging.queues import queue_of
from models.messaging.waiting import WaitingCohort
from models.planning.plan import ExperimentPlan
from models.planning.results import SearchResults, TrialResult
from models.sql.database import clock
from models.sql.datasets import schema_of
from models.sql.endings import HAS_UNDRAWN_TRIALS, HAS_UNENDED_TRIALS
from models.sql.leases import lock_experiment, set_version
from models.sql.planned_rows import rows_of_plan
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


def list_due(session: Session, limit: int) -> list[str]:
    """Return some of the searches whose next round is to be drawn, the oldest first."""
    query = select(ExperimentTable.id).where(_IS_DUE).order_by(ExperimentTable.created_at, ExperimentTable.id)
    return list(session.scalars(query.limit(limit)))


def list_rounds(session: Session, experiment_id: str) -> Sequence[SearchRoundTable]:
    """Return the rounds of a search, by number."""
    query = select(SearchRoundTable).where(SearchRoundTable.experiment_id == experiment_id)
    return session.scalars(query.order_by(SearchRoundTable.number)).all()


@dataclass(frozen=True)
class FoundSearch:
    """A search, as it was read."""

    experiment_id: str
    spec: ExperimentSpec
    datasets: Mapping[str, DatasetSchema]
    results: SearchResults


def find_search(session: Session, experiment_id: str) -> FoundSearch | None:
    """Return a search whose next round is due, or None."""
    row = session.scalars(select(ExperimentTable).where(ExperimentTable.id == experiment_id, _IS_DUE)).first()
    if row is None:
        return None
    uploaded = session.scalars(
        select(DatasetTable)
        .join(ExperimentDatasetTable, ExperimentDatasetTable.dataset_id == DatasetTable.id)
        .where(ExperimentDatasetTable.experiment_id == experiment_id)
    )
    trials = session.execute(
        select(
            TrialTable.round, TrialTable.model_name, TrialTable.hyperparameters, TrialTable.state,
            TrialTable.epochs_completed, TrialTable.best_value,
        )
        .where(TrialTable.experiment_id == experiment_id)
        .order_by(TrialTable.number)
    )  # fmt: skip
    cohorts = select(func.max(CohortTable.number)).where(CohortTable.experiment_id == experiment_id)
    results = SearchResults(
        [
            TrialResult(
                number,
                name,
                values,
                is_trained=state in (TrialState.COMPLETED, TrialState.PRUNED),
                is_pruned=state == TrialState.PRUNED,
                epochs=epochs,
                value=value,
            )
            for number, name, values, state, epochs, value in trials
        ],
        session.scalar(cohorts) or 0,
        row.undrawn_trials,
    )
    datasets = {**BUILT_IN_DATASETS, **{dataset.name: schema_of(dataset) for dataset in uploaded}}
    return FoundSearch(experiment_id, ExperimentSpec.model_validate(row.spec), datasets, results)


def add_round(session: Session, found: FoundSearch, plan: ExperimentPlan) -> list[WaitingCohort] | None:
    """Store the next round of a search; a plan without trials ends it.

    Returns:
        The cohorts to announce to workers after the commit; None if the search does not stand as it was found.
    """
    version = lock_experiment(session, found.experiment_id)
    undrawn = ExperimentTable.undrawn_trials == found.results.undrawn_trials
    row = session.scalars(
        select(ExperimentTable).where(ExperimentTable.id == found.experiment_id, undrawn, _IS_DUE)
    ).first()
    if version is None or row is None:
        return None
    queue = session.scalars(select(CohortTable.queue).where(CohortTable.experiment_id == row.id).limit(1)).first()
    queue = queue or queue_of(found.spec.device, found.spec.backend)
    now = session.scalars(select(clock())).one()
    rows = rows_of_plan(row.id, row.project, queue, plan, now, found.results.round + 1)
    for trial in rows.trials:
        trial["version"] = version
    for table, values in ((CohortTable, rows.cohorts), (TrialTable, rows.trials), (SearchRoundTable, rows.rounds)):
        if values:
            session.connection().execute(insert(table), values)
    _set_undrawn(session, row, plan.undrawn_trials, plan.warnings)
    set_version(session, row.id, version)
    return rows.waiting


def end_search(session: Session, experiment_id: str, reason: str) -> None:
    """Draw nothing more of a search, and say why in a warning."""
    version = lock_experiment(session, experiment_id)
    row = session.get(ExperimentTable, experiment_id)
    if version is None or row is None:
        return
    _set_undrawn(session, row, 0, [Fault(pointer="/sampler", detail=reason)])
    set_version(session, experiment_id, version)


def _set_undrawn(session: Session, row: ExperimentTable, undrawn_trials: int, warnings: Sequence[Fault]) -> None:
    changed: dict[str, Any] = {"undrawn_trials": undrawn_trials}
    if warnings:
        changed["warnings"] = [*(row.warnings or []), *(warning.model_dump() for warning in warnings)]
    session.execute(update(ExperimentTable).where(ExperimentTable.id == row.id).values(**changed))
