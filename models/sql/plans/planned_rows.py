"""Rows of planned trials and their cohorts: of an experiment, or of a round of its search."""

import datetime as dt
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

from fittingroom.specs.search.search_space import sampled_value
from fittingroom.views.states import TrialState
from models.identifiers import new_id
from models.messaging.waiting import WaitingCohort
from models.planning.plan import ExperimentPlan


@dataclass(frozen=True)
class PlannedRows:
    """Rows to insert, by table."""

    cohorts: list[dict[str, Any]] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    """The round of the search; none of an experiment that is drawn at once."""
    waiting: list[WaitingCohort] = field(default_factory=list)
    """The cohorts, for notifying workers after the commit."""


def rows_of_plan(
    experiment_id: str, project: str, queue: str, plan: ExperimentPlan, now: dt.datetime, round_number: int = 1
) -> PlannedRows:
    """Return the rows of a plan.

    Args:
        experiment_id: of the experiment.
        project: of the experiment.
        queue: of its cohorts.
        plan: of the experiment, or of a later round.
        now: time of the database.
        round_number: from 1.
    """
    rows = PlannedRows()
    for formed in plan.cohorts:
        cohort_id = new_id("coh")
        rows.waiting.append(WaitingCohort(cohort_id, queue))
        rows.cohorts.append(
            {
                "id": cohort_id,
                "experiment_id": experiment_id,
                "project": project,
                "number": formed.number,
                "queue": queue,
                "engine": formed.engine,
                "engine_reason": formed.engine_reason,
                "created_at": now,
            }
        )
        rows.trials.extend(
            {
                "id": new_id("trl"),
                "experiment_id": experiment_id,
                "cohort_id": cohort_id,
                "number": trial.number,
                "round": round_number,
                "is_confirming": plan.is_confirming,
                "label": trial.label,
                "model_name": trial.model_name,
                "seed": trial.spec.seed,
                "fold": trial.spec.fold,
                "hyperparameters": trial.hyperparameters,
                "spec": plan.documents[trial.number],
                "parameter_count": plan.parameter_counts[trial.number],
                "version": 1,
                "epochs_planned": sampled_value(trial.spec.fit.epochs),
                "continues": None if trial.continues is None else trial.continues.trial_id,
                "state": TrialState.QUEUED,
                "created_at": now,
            }
            for trial in formed.trials
        )
    if plan.is_of_rounds and plan.trials:
        rows.rounds.append(
            {
                "experiment_id": experiment_id,
                "number": round_number,
                "trials": len(plan.trials),
                "versions": drawing_versions(),
                "drawn_at": now,
            }
        )
    return rows


@cache
def drawing_versions() -> dict[str, str]:
    """Return the versions of the libraries that draw."""
    return {name: version(name) for name in ("cmaes", "numpy", "scipy")}
