"""Results of an earlier experiment, of which the best candidates are trained again."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from fittingroom.specs.choices import Direction
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.search.samplers import LeadersSampler
from models.errors import NotFoundError
from models.planning.leaders import EndedTrial, Leader, choose_leaders
from models.planning.templates import Continued
from models.sql.experiments import get_experiment, get_progress
from models.sql.plans.prior_results import RESULT, to_result
from models.sql.tables import CohortTable, TrialTable


def find_leaders(session: Session, spec: ExperimentSpec, project: str) -> list[Leader]:
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
    columns = (TrialTable.id, TrialTable.seed, TrialTable.fold, TrialTable.is_confirming)
    query = select(*columns, *RESULT).where(TrialTable.experiment_id == experiment_id).order_by(TrialTable.number)
    trials = [
        EndedTrial(id_, seed, fold, is_confirming, to_result(*result))
        for id_, seed, fold, is_confirming, *result in session.execute(query)
    ]
    direction: Direction = "maximize" if earlier.objective_direction == "maximize" else "minimize"
    return _with_last_states(session, choose_leaders(spec, trials, direction))


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
