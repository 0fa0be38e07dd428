"""Conversion of rows to views."""

from collections.abc import Collection, Iterable

from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.views import resources
from fittingroom.views.history import to_history
from fittingroom.views.states import StopReason, TrialPhase, TrialState
from fittingroom.views.submissions import PlannedCohortView, PlannedTrialView, PlanView
from models.lifecycle import experiment_state
from models.messaging.queues import parts_of, queue_of
from models.planning.cohorts import FormedCohort
from models.planning.plan import ExperimentPlan
from models.planning.templates import resolved_objective
from models.sql.experiments import Progress
from models.sql.histories import EpochRow, FoundChanges, TrialPosition
from models.sql.plans.planned_rows import drawing_versions
from models.sql.plans.submissions import Accepted, Submission
from models.sql.tables import CohortTable, ExperimentTable, SearchRoundTable, TrialTable, WebhookTable, WorkerTable


def experiment_summary(
    row: ExperimentTable, progress: Progress, unclaimed: Collection[str], served: Collection[str]
) -> resources.ExperimentSummaryView:
    """Return an experiment in a list.

    Args:
        row: the experiment.
        progress: what its trials add up to.
        unclaimed: in which queues cohorts of it wait.
        served: which queues some live worker serves.
    """
    return resources.ExperimentSummaryView(
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
        objective=resources.ObjectiveView.model_validate(
            {"metric": row.objective_metric, "direction": row.objective_direction}
        ),
        progress=resources.ProgressView(
            epochs_completed=progress.epochs_completed,
            epochs_planned=progress.epochs_planned,
            trials=dict(progress.counts),
        ),
        undrawn_trials=progress.undrawn_trials,
        waiting_for=_waiting_for(row, progress, unclaimed, served),
    )


def experiment(
    row: ExperimentTable,
    progress: Progress,
    unclaimed: Collection[str],
    served: Collection[str],
    best: TrialTable | None,
    rounds: Iterable[SearchRoundTable] = (),
) -> resources.ExperimentView:
    """Return an experiment, its best trial and the rounds of its search; see `experiment_summary`."""
    summary = experiment_summary(row, progress, unclaimed, served)
    return resources.ExperimentView(
        **dict(summary),
        best_trial=None if best is None else _best_trial(best),
        warnings=[Fault.model_validate(warning) for warning in row.warnings or []],
        rounds=[resources.RoundView.model_validate(one, from_attributes=True) for one in rounds],
        spec=row.spec,
    )


def submitted(submission: Submission, accepted: Accepted, served: Collection[str]) -> resources.ExperimentView:
    """Return an experiment as it is stored: queued, at its first version."""
    spec, trials, undrawn_trials = submission.spec, submission.plan.trials, submission.plan.undrawn_trials
    objective = resolved_objective(spec)
    row = ExperimentTable(
        id=accepted.experiment_id,
        name=spec.name,
        version=1,
        created_at=accepted.created_at,
        spec=submission.document,
        objective_metric=objective.metric,
        objective_direction=objective.direction,
        warnings=[warning.model_dump() for warning in submission.plan.warnings],
    )
    epochs = [sampled_value(trial.spec.fit.epochs) for trial in trials]
    progress = Progress(
        counts={TrialState.QUEUED: len(trials) + undrawn_trials},
        started_at=None,
        finished_at=None,
        epochs_completed=0,
        epochs_planned=sum(epochs) + undrawn_trials * max(epochs),
        undrawn_trials=undrawn_trials,
    )
    rounds = []
    if submission.plan.is_of_rounds:
        first = {"trials": len(trials), "versions": drawing_versions(), "drawn_at": accepted.created_at}
        rounds.append(SearchRoundTable(number=1, **first))
    return experiment(row, progress, {queue_of(spec.device, spec.backend)}, served, None, rounds)


def _best_trial(row: TrialTable) -> resources.BestTrialView:
    return resources.BestTrialView(
        trial_id=row.id, number=row.number, label=row.label, epoch=row.best_epoch or 0, metrics=row.best_metrics or {}
    )


def _phase_of(row: TrialTable | TrialPosition) -> TrialPhase | None:
    """Return the phase of a running trial: a worker of an older version leaves it behind."""
    return TrialPhase(row.phase) if row.phase and row.state == TrialState.RUNNING else None


def trial_summary(row: TrialTable, cohort: CohortTable) -> resources.TrialSummaryView:
    """Return a trial in a list."""
    best = None
    if row.best_epoch is not None:
        best = resources.BestEpochView(epoch=row.best_epoch, metrics=row.best_metrics or {})
    return resources.TrialSummaryView(
        id=row.id,
        experiment_id=row.experiment_id,
        number=row.number,
        round=row.round,
        is_confirming=row.is_confirming,
        label=row.label,
        model=row.model_name,
        hyperparameters=row.hyperparameters,
        seed=row.seed,
        fold=row.fold,
        state=TrialState(row.state),
        phase=_phase_of(row),
        stop_reason=StopReason(row.stop_reason) if row.stop_reason else None,
        fault=resources.FaultView(**row.fault) if row.fault else None,
        version=row.version,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested_at=row.cancel_requested_at,
        attempt=row.attempt,
        engine=resources.EngineView(name=cohort.engine, reason=cohort.engine_reason, program=cohort.program),
        parameter_count=row.parameter_count,
        epochs_planned=row.epochs_planned,
        epochs_completed=row.epochs_completed,
        training_seconds=row.training_seconds,
        best_epoch=best,
        weights_epoch=row.artifact_epoch,
        weights_fault=row.artifact_fault,
        checkpoint_bytes=row.checkpoint_bytes,
        continues=row.continues,
    )


def trial(row: TrialTable, cohort: CohortTable) -> resources.TrialView:
    """Return a trial."""
    return resources.TrialView(
        **dict(trial_summary(row, cohort)), model_summary=row.model_summary, environment=row.environment, spec=row.spec
    )


def trial_history(row: TrialTable | TrialPosition, epochs: Iterable[EpochRow]) -> resources.TrialHistoryView:
    """Return a trial's history."""
    return resources.TrialHistoryView(
        trial_id=row.id,
        number=row.number,
        label=row.label,
        state=TrialState(row.state),
        phase=_phase_of(row),
        stop_reason=StopReason(row.stop_reason) if row.stop_reason else None,
        epochs_completed=row.epochs_completed,
        version=row.version,
        history=to_history(epochs),
    )


def experiment_history(row: ExperimentTable, progress: Progress) -> resources.ExperimentHistoryView:
    """Return an experiment's history without its trials."""
    return resources.ExperimentHistoryView(
        experiment_id=row.id, state=experiment_state(progress.counts), version=row.version, trials=[]
    )


def changes(experiment_id: str, found: FoundChanges) -> resources.ExperimentHistoryView:
    """Return what has changed in an experiment."""
    return resources.ExperimentHistoryView(
        experiment_id=experiment_id,
        state=experiment_state(found.counts),
        version=found.version,
        trials=[trial_history(position, epochs) for position, epochs in found.trials],
    )


def plan(spec: ExperimentSpec, planned: ExperimentPlan) -> PlanView:
    """Return the plan of an experiment."""
    objective = resolved_objective(spec)
    return PlanView(
        objective=resources.ObjectiveView.model_validate(objective, from_attributes=True),
        trials=[
            PlannedTrialView(
                number=trial.number,
                label=trial.label,
                model=trial.model_name,
                hyperparameters=trial.hyperparameters,
                seed=trial.spec.seed,
                fold=trial.spec.fold,
                parameter_count=planned.parameter_counts[trial.number],
                epochs=sampled_value(trial.spec.fit.epochs),
                memory_bytes=planned.memory_bytes[trial.number],
            )
            for trial in planned.trials
        ],
        undrawn_trials=planned.undrawn_trials,
        cohorts=[_planned_cohort(spec, cohort) for cohort in planned.cohorts],
        warnings=planned.warnings,
    )


def _planned_cohort(spec: ExperimentSpec, cohort: FormedCohort) -> PlannedCohortView:
    return PlannedCohortView(
        number=cohort.number,
        trials=[trial.number for trial in cohort.trials],
        queue=queue_of(spec.device, spec.backend),
        engine=resources.EngineView(name=cohort.engine, reason=cohort.engine_reason),
    )


def worker(row: WorkerTable, own_cohorts: Collection[str]) -> resources.WorkerView:
    """Return a live worker, with its cohort if that belongs to the project."""
    return resources.WorkerView(
        id=row.id,
        host=row.host,
        process_id=row.process_id,
        queues=row.queues,
        devices=row.devices,
        versions=row.versions,
        started_at=row.started_at,
        seen_at=row.seen_at,
        is_idle=row.cohort_id is None,
        cohort_id=row.cohort_id if row.cohort_id in own_cohorts else None,
    )


def _waiting_for(
    row: ExperimentTable, progress: Progress, unclaimed: Collection[str], served: Collection[str]
) -> str | None:
    """Return the reason why an experiment waits, if known."""
    if row.paused_at is not None and progress.finished_at is None:
        return f"it is paused; POST /v1/experiments/{row.id}/resume lets it go on"
    if progress.is_between_rounds:
        unclaimed = [queue_of(row.spec.get("device", "any"), row.spec.get("backend"))]
    unserved = sorted(set(unclaimed) - set(served))
    if not unserved:
        return None
    device, backend = parts_of(unserved[0])
    reason = "no worker is alive" if device == "any" else f"no live worker serves the device {device}"
    command = f"fittingroom worker{'' if device == 'any' else f' --queues {device}'}"
    if backend is not None:
        reason, command = f"{reason} that trains with {backend}", f"FITTINGROOM_KERAS_BACKEND={backend} {command}"
    return f"{reason}; start one with `{command}`"


def webhook(row: WebhookTable) -> resources.WebhookView:
    """Return the delivery status of a webhook."""
    return resources.WebhookView(
        url=row.url,
        attempts=row.attempts,
        delivered_at=row.delivered_at,
        next_attempt_at=row.next_attempt_at,
        last_answer=row.last_answer,
    )
