"""Results of an earlier experiment, of which the best candidates are trained again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fittingroom.specs.choices import Direction
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.search.samplers import LeadersSampler
from fittingroom.views.states import TrialState
from models.errors import NotFoundError
from models.messaging.queues import parts_of
from models.planning.leaders import EndedTrial, Leader, Leaders, choose_leaders
from models.planning.templates import Continued
from models.sql.experiments import get_experiment, get_progress
from models.sql.plans.prior_results import RESULT, to_result
from models.sql.tables import CohortTable, ExperimentTable, TrialTable


@dataclass(frozen=True)
class EndedExperiment:
    """An experiment that has ended, as far as an extension depends on it."""

    document: dict[str, Any]
    """The spec as it was stored."""
    dataset: dict[str, Any]
    """The dataset of its trials, with the hash of each content."""
    backend: str | None
    """Keras's backend that trained it; None if none has."""
    epochs: int
    """Largest number of epochs of a trial."""
    prior: list[str]
    """Experiments whose results its search began with, as far as they are still there."""
    is_confirmed: bool
    """True if candidates were confirmed."""


def find_ended(session: Session, experiment_id: str, project: str) -> EndedExperiment | None:
    """Return an experiment that has ended; None if it has not.

    Raises:
        NotFoundError: there is no such experiment in the project.
    """
    row = get_experiment(session, experiment_id, project)
    if get_progress(session, [row])[experiment_id].finished_at is None:
        return None
    epochs, queue = session.execute(
        select(func.max(TrialTable.epochs_planned), func.max(CohortTable.queue))
        .join(CohortTable, CohortTable.id == TrialTable.cohort_id)
        .where(TrialTable.experiment_id == experiment_id)
    ).one()
    first = session.scalars(select(TrialTable.spec).where(TrialTable.experiment_id == experiment_id).limit(1)).one()
    prior = row.spec.get("sampler", {}).get("prior", [])
    known = session.scalars(
        select(ExperimentTable.id).where(ExperimentTable.id.in_(prior), ExperimentTable.project == project)
    )
    there = set(known)
    confirmed = select(TrialTable.id).where(
        TrialTable.experiment_id == experiment_id, TrialTable.is_confirming, TrialTable.state == TrialState.COMPLETED
    )
    is_confirmed = session.scalars(confirmed.limit(1)).first() is not None
    return EndedExperiment(
        row.spec, first["dataset"], parts_of(queue)[1], epochs, [one for one in prior if one in there], is_confirmed
    )


def find_leaders(session: Session, spec: ExperimentSpec, project: str) -> Leaders:
    """Return the candidates that a spec with the sampler of leaders trains, the best first.

    Args:
        session: an open transaction.
        spec: what was submitted.
        project: the client's: experiments of others are not there.

    Raises:
        InvalidSpec: the experiment is not there, has not ended, or has no candidate that can be trained.
    """
    if not isinstance(spec.sampler, LeadersSampler):
        raise TypeError(f"expected the sampler of leaders, found {spec.sampler.name}")
    experiment_id = spec.sampler.experiment
    try:
        earlier = get_experiment(session, experiment_id, project)
    except NotFoundError:
        raise _invalid(experiment_id, "there is no such experiment") from None
    if get_progress(session, [earlier])[experiment_id].finished_at is None:
        raise _invalid(experiment_id, "the experiment has not ended; its best candidates are known when it has")
    query = select(TrialTable.id, *RESULT).where(TrialTable.experiment_id == experiment_id).order_by(TrialTable.number)
    trials = [EndedTrial(id_, to_result(result)) for id_, *result in session.execute(query)]
    direction: Direction = "maximize" if earlier.objective_direction == "maximize" else "minimize"
    leaders = choose_leaders(spec, trials, direction, earlier.chosen_among or 0)
    return replace(leaders, chosen=_with_last_states(session, leaders.chosen))


def _with_last_states(session: Session, leaders: Sequence[Leader]) -> list[Leader]:
    """Return leaders with the last states of their trials, as far as these are kept."""
    ids = [trial.id for leader in leaders for trial in leader.trials]
    query = (
        select(TrialTable.id, TrialTable.checkpoint, CohortTable.engine, TrialTable.spec)
        .join(CohortTable, CohortTable.id == TrialTable.cohort_id)
        .where(TrialTable.id.in_(ids), TrialTable.checkpoint.is_not(None))
    )
    kept = {
        id_: {"last_state": Continued(id_, checkpoint or "", engine), "document": document}
        for id_, checkpoint, engine, document in session.execute(query)
    }
    return [
        replace(leader, trials=[replace(trial, **kept.get(trial.id, {})) for trial in leader.trials])
        for leader in leaders
    ]


def _invalid(experiment_id: str, detail: str) -> InvalidSpec:
    return InvalidSpec([Fault(pointer="/sampler/experiment", detail=detail, found=experiment_id)])
