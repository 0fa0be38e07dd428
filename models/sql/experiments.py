"""The queries: experiments, cohorts and trials, as they are read."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from fittingroom.views.states import TrialState
from models.errors import NotFoundError
from models.identifiers import is_id
from models.lifecycle import with_undrawn
from models.sql.tables import CohortTable, DeletionTable, ExperimentTable, TrialTable


@dataclass(frozen=True)
class Progress:
    """Totals over the trials of an experiment."""

    counts: Mapping[TrialState, int]
    """Trials in each state that occurs."""
    started_at: dt.datetime | None
    """Start time of the first trial."""
    finished_at: dt.datetime | None
    """End time of the last trial; None while one is unfinished."""
    epochs_completed: int
    epochs_planned: int
    undrawn_trials: int = 0
    """Trials that the search has still to draw; they are counted as queued, or cancelled, too."""

    @property
    def is_between_rounds(self) -> bool:
        """True of a search that waits for its next round."""
        waiting = self.counts.get(TrialState.QUEUED, 0) + self.counts.get(TrialState.RUNNING, 0)
        return self.undrawn_trials > 0 and waiting == self.undrawn_trials


def get_experiment(session: Session, experiment_id: str, project: str | None = None) -> ExperimentTable:
    """Return an experiment; NotFoundError, also for other projects' experiments.

    Malformed ids are refused without a query.
    """
    found = session.get(ExperimentTable, experiment_id) if is_id("exp", experiment_id) else None
    if found is None or project not in {None, found.project}:
        raise NotFoundError("experiment", experiment_id)
    return found


def get_trial(session: Session, trial_id: str, project: str | None = None) -> TrialTable:
    """Return a trial; NotFoundError, also for other projects' trials.

    Malformed ids are refused without a query.
    """
    found = session.get(TrialTable, trial_id) if is_id("trl", trial_id) else None
    if found is None or (project is not None and get_experiment(session, found.experiment_id).project != project):
        raise NotFoundError("trial", trial_id)
    return found


def get_cohort(session: Session, cohort_id: str) -> CohortTable:
    """One cohort, or NotFoundError."""
    found = session.get(CohortTable, cohort_id)
    if found is None:
        raise NotFoundError("cohort", cohort_id)
    return found


def get_progress(session: Session, found: Sequence[ExperimentTable]) -> dict[str, Progress]:
    """Return the totals of each experiment by its id, in one query."""
    rows = session.execute(
        select(
            TrialTable.experiment_id,
            TrialTable.state,
            func.count().label("trials"),
            func.min(TrialTable.started_at).label("started_at"),
            func.max(TrialTable.finished_at).label("finished_at"),
            func.count(TrialTable.finished_at).label("finished"),
            func.sum(TrialTable.epochs_completed).label("epochs_completed"),
            func.sum(TrialTable.epochs_planned).label("epochs_planned"),
            func.max(TrialTable.epochs_planned).label("most_epochs"),
        )
        .where(TrialTable.experiment_id.in_([experiment.id for experiment in found]))
        .group_by(TrialTable.experiment_id, TrialTable.state)
    ).all()
    progress = {}
    for experiment in found:
        mine = [row for row in rows if row.experiment_id == experiment.id]
        undrawn, is_cancelled = experiment.undrawn_trials, experiment.cancel_requested_at is not None
        to_come = 0 if is_cancelled else undrawn
        ended = all(row.finished == row.trials for row in mine) and not to_come
        counts = {TrialState(row.state): row.trials for row in mine}
        most_epochs = max((row.most_epochs for row in mine), default=0)
        progress[experiment.id] = Progress(
            counts=with_undrawn(counts, undrawn, is_cancelled=is_cancelled),
            started_at=min((row.started_at for row in mine if row.started_at is not None), default=None),
            finished_at=_end_of(experiment, [row.finished_at for row in mine]) if ended else None,
            epochs_completed=sum(int(row.epochs_completed) for row in mine),
            epochs_planned=sum(int(row.epochs_planned) for row in mine) + undrawn * most_epochs,
            undrawn_trials=to_come,
        )
    return progress


def _end_of(experiment: ExperimentTable, ends: Sequence[dt.datetime]) -> dt.datetime | None:
    """Return when an experiment ended: with its last trial, or when its search ended or was cancelled after that."""
    cancelled_at = experiment.cancel_requested_at if experiment.undrawn_trials else None
    others = [at for at in (cancelled_at, experiment.search_ended_at) if at is not None]
    return max([*ends, *others], default=None)


def get_best_trial(session: Session, experiment: ExperimentTable) -> TrialTable | None:
    """Return the trial whose best epoch is the best of all, of those that were not pruned; the first of equals."""
    value = TrialTable.best_value
    order = value.asc() if experiment.objective_direction == "minimize" else value.desc()
    return session.scalars(
        select(TrialTable)
        .where(TrialTable.experiment_id == experiment.id, value.is_not(None), TrialTable.state != TrialState.PRUNED)
        .order_by(order, TrialTable.number)
        .limit(1)
    ).first()


def list_trials(session: Session, experiment_id: str) -> Sequence[TrialTable]:
    """Return an experiment's trials in the order of their numbers, without what is long and not in a list of them."""
    long = defer(TrialTable.spec), defer(TrialTable.model_summary), defer(TrialTable.environment)
    return session.scalars(
        select(TrialTable).options(*long).where(TrialTable.experiment_id == experiment_id).order_by(TrialTable.number)
    ).all()


def list_cohort_trials(session: Session, cohort_id: str) -> Sequence[TrialTable]:
    """Return a cohort's trials in the order of their numbers."""
    return session.scalars(
        select(TrialTable).where(TrialTable.cohort_id == cohort_id).order_by(TrialTable.number)
    ).all()


def is_deleted(session: Session, experiment_id: str) -> bool:
    """Return True if an experiment existed and was deleted."""
    return session.get(DeletionTable, experiment_id) is not None


def list_cohorts(session: Session, experiment_id: str) -> Sequence[CohortTable]:
    """Return an experiment's cohorts in the order of their numbers."""
    return session.scalars(
        select(CohortTable).where(CohortTable.experiment_id == experiment_id).order_by(CohortTable.number)
    ).all()


def list_own_cohorts(session: Session, project: str, cohort_ids: Sequence[str]) -> set[str]:
    """Return the cohorts among some that belong to a project."""
    query = (
        select(CohortTable.id)
        .join(ExperimentTable, ExperimentTable.id == CohortTable.experiment_id)
        .where(CohortTable.id.in_(cohort_ids), ExperimentTable.project == project)
    )
    return set(session.scalars(query))


def list_unclaimed_queues(session: Session, experiment_ids: Sequence[str]) -> dict[str, set[str]]:
    """Return the queues of each experiment's unclaimed cohorts."""
    rows = session.execute(
        select(CohortTable.experiment_id, CohortTable.queue)
        .where(
            CohortTable.experiment_id.in_(experiment_ids),
            CohortTable.finished_at.is_(None),
            CohortTable.lease_owner.is_(None),
        )
        .distinct()
    )
    waiting: dict[str, set[str]] = {}
    for experiment_id, queue in rows:
        waiting.setdefault(experiment_id, set()).add(queue)
    return waiting
