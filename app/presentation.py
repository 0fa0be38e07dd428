"""From rows to views.

May import: the tables' rows, the views. Runs no query, knows no FastAPI.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from app import schemas
from models.cohorts import FormedCohort
from models.history import to_history
from models.lifecycle import StopReason, TrialState, experiment_state
from models.planning import ExperimentPlan
from models.repository import Progress
from models.sampling import resolved_objective
from models.spec.experiment import ExperimentSpec
from models.spec.search import fixed
from models.tables import CohortTable, EpochTable, ExperimentTable, TrialTable, WorkerTable


def experiment_summary(
    row: ExperimentTable, progress: Progress, waiting_for: str | None
) -> schemas.ExperimentSummaryView:
    """An experiment in a list."""
    if row.paused_at is not None and progress.finished_at is None:
        waiting_for = f"it is paused; POST /v1/experiments/{row.id}/resume lets it go on"
    return schemas.ExperimentSummaryView(
        id=row.id,
        name=row.name,
        tags=row.spec.get("tags", []),
        state=experiment_state(progress.counts),
        version=row.version,
        created_at=row.created_at,
        started_at=progress.started_at,
        finished_at=progress.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        paused_at=row.paused_at,
        device=row.spec.get("device", "any"),
        objective=schemas.ObjectiveView.model_validate(
            {"metric": row.objective_metric, "direction": row.objective_direction}
        ),
        progress=schemas.ProgressView(
            epochs_completed=progress.epochs_completed,
            epochs_planned=progress.epochs_planned,
            trials=dict(progress.counts),
        ),
        waiting_for=waiting_for,
    )


def experiment(
    row: ExperimentTable, progress: Progress, waiting_for: str | None, best: TrialTable | None
) -> schemas.ExperimentView:
    """An experiment."""
    summary = experiment_summary(row, progress, waiting_for)
    return schemas.ExperimentView(
        **dict(summary), best_trial=None if best is None else _best_trial(best), spec=row.spec
    )


def _best_trial(row: TrialTable) -> schemas.BestTrialView:
    return schemas.BestTrialView(
        trial_id=row.id, number=row.number, label=row.label, epoch=row.best_epoch or 0, metrics=row.best_metrics or {}
    )


def trial_summary(row: TrialTable, cohort: CohortTable) -> schemas.TrialSummaryView:
    """A trial in a list."""
    best = None
    if row.best_epoch is not None:
        best = schemas.BestEpochView(epoch=row.best_epoch, metrics=row.best_metrics or {})
    return schemas.TrialSummaryView(
        id=row.id,
        experiment_id=row.experiment_id,
        number=row.number,
        label=row.label,
        model=row.model_name,
        hyperparameters=row.hyperparameters,
        seed=row.seed,
        state=TrialState(row.state),
        stop_reason=StopReason(row.stop_reason) if row.stop_reason else None,
        fault=schemas.FaultView(**row.fault) if row.fault else None,
        version=row.version,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        attempt=row.attempt,
        engine=schemas.EngineView(name=cohort.engine, reason=cohort.engine_reason, program=cohort.program),
        parameter_count=row.parameter_count,
        epochs_planned=row.epochs_planned,
        epochs_completed=row.epochs_completed,
        training_seconds=row.training_seconds,
        best_epoch=best,
    )


def trial(row: TrialTable, cohort: CohortTable) -> schemas.TrialView:
    """A trial."""
    return schemas.TrialView(
        **dict(trial_summary(row, cohort)), model_summary=row.model_summary, environment=row.environment, spec=row.spec
    )


def trial_history(row: TrialTable, epochs: Iterable[EpochTable]) -> schemas.TrialHistoryView:
    """A trial's history."""
    return schemas.TrialHistoryView(
        trial_id=row.id,
        number=row.number,
        label=row.label,
        state=TrialState(row.state),
        stop_reason=StopReason(row.stop_reason) if row.stop_reason else None,
        epochs_completed=row.epochs_completed,
        version=row.version,
        history=to_history((epoch.epoch, epoch.metrics) for epoch in epochs),
    )


def experiment_history(
    row: ExperimentTable, progress: Progress, trials: Sequence[TrialTable], epochs: Iterable[EpochTable]
) -> schemas.ExperimentHistoryView:
    """The histories of an experiment's trials."""
    by_trial: dict[str, list[EpochTable]] = {}
    for epoch in epochs:
        by_trial.setdefault(epoch.trial_id, []).append(epoch)
    return schemas.ExperimentHistoryView(
        experiment_id=row.id,
        state=experiment_state(progress.counts),
        version=row.version,
        trials=[trial_history(trial, by_trial.get(trial.id, [])) for trial in trials],
    )


def history_csv(histories: Sequence[schemas.TrialHistoryView]) -> str:
    """Histories as a table: one line per epoch, a column per metric, the trial in front."""
    names = list(dict.fromkeys(name for view in histories for name in view.history))
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(["trial_id", "trial", "label", *names])
    for view in histories:
        columns = [view.history.get(name, []) for name in names]
        for line in range(len(view.history["epoch"])):
            values = [column[line] if column else None for column in columns]
            writer.writerow([view.trial_id, view.number, view.label, *values])
    return sheet.getvalue()


def plan(spec: ExperimentSpec, planned: ExperimentPlan) -> schemas.PlanView:
    """What an experiment would be."""
    objective = resolved_objective(spec)
    return schemas.PlanView(
        objective=schemas.ObjectiveView.model_validate(objective, from_attributes=True),
        trials=[
            schemas.PlannedTrialView(
                number=trial.number,
                label=trial.label,
                model=trial.model_name,
                hyperparameters=trial.hyperparameters,
                seed=trial.spec.seed,
                parameter_count=planned.parameter_counts[trial.number],
                epochs=fixed(trial.spec.fit.epochs),
            )
            for trial in planned.trials
        ],
        cohorts=[_planned_cohort(spec, cohort) for cohort in planned.cohorts],
    )


def _planned_cohort(spec: ExperimentSpec, cohort: FormedCohort) -> schemas.PlannedCohortView:
    return schemas.PlannedCohortView(
        number=cohort.number,
        trials=[trial.number for trial in cohort.trials],
        queue=spec.device,
        engine=schemas.EngineView(name=cohort.engine, reason=cohort.engine_reason),
    )


def worker(row: WorkerTable) -> schemas.WorkerView:
    """A worker that is alive."""
    return schemas.WorkerView.model_validate(row, from_attributes=True)


def waiting_for(queues: Iterable[str], served: Mapping[str, int]) -> str | None:
    """Why cohorts in these queues are not begun, if it is because no worker that is alive serves one of them.

    Args:
        queues: in which cohorts wait.
        served: how many live workers listen to each queue.
    """
    for queue in sorted(queues):
        if served.get(queue, 0) == 0:
            device = {"any": "no worker is alive", "cpu": "no live worker serves the device cpu"}.get(
                queue, "no live worker serves the device gpu"
            )
            return f"{device}; start one with `fittingroom worker{'' if queue == 'any' else f' --queues {queue}'}`"
    return None
