"""Results of earlier experiments, with which a search begins: copied at submit, so that nothing changes them later."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec, pointer
from fittingroom.specs.search.samplers import RoundSampler
from fittingroom.views.states import TrialState
from models.errors import NotFoundError
from models.planning.prior import EarlierTrial
from models.planning.results import TrialResult
from models.sql.experiments import get_experiment
from models.sql.tables import TrialTable

_MAX_TRIALS = 2_000
_TRAINED = (TrialState.COMPLETED, TrialState.PRUNED)
RESULT = (
    TrialTable.round, TrialTable.model_name, TrialTable.hyperparameters, TrialTable.state, TrialTable.epochs_completed,
    TrialTable.best_value, TrialTable.seed, TrialTable.fold, TrialTable.is_confirming,
)  # fmt: skip


def find_prior(session: Session, spec: ExperimentSpec, project: str) -> list[list[EarlierTrial]]:
    """Return the trained trials of each earlier experiment that a spec names, without those that confirm others.

    Args:
        session: an open transaction.
        spec: what was submitted.
        project: the client's: experiments of others are not there.

    Raises:
        InvalidSpec: an experiment is not there, or the trials are more than 2,000.
    """
    prior = spec.sampler.prior if isinstance(spec.sampler, RoundSampler) else []
    found: list[list[EarlierTrial]] = []
    faults: list[Fault] = []
    for number, experiment_id in enumerate(prior):
        try:
            get_experiment(session, experiment_id, project)
        except NotFoundError:
            detail = "there is no such experiment"
            faults.append(Fault(pointer=pointer(("sampler", "prior", number)), detail=detail, found=experiment_id))
            continue
        limit = _MAX_TRIALS - sum(map(len, found))
        rows = session.execute(
            select(*RESULT, TrialTable.spec)
            .where(
                TrialTable.experiment_id == experiment_id, TrialTable.state.in_(_TRAINED),
                TrialTable.is_confirming.is_(False),
            )
            .order_by(TrialTable.number)
            .limit(limit + 1)
        ).all()  # fmt: skip
        if len(rows) > limit:
            detail = f"with this experiment there are more than {_MAX_TRIALS:,} trials; leave it out"
            faults.append(Fault(pointer=pointer(("sampler", "prior", number)), detail=detail, found=experiment_id))
        found.append([EarlierTrial(to_result(row), document) for *row, document in rows])
    if faults:
        raise InvalidSpec(faults)
    return found


def list_results(session: Session, experiment_id: str) -> list[TrialResult]:
    """Return the results of an experiment so far, by the numbers of its trials."""
    query = select(*RESULT).where(TrialTable.experiment_id == experiment_id).order_by(TrialTable.number)
    return [to_result(row) for row in session.execute(query)]


def to_rows(results: Sequence[TrialResult]) -> list[dict[str, Any]] | None:
    """Return results as they are stored with an experiment; None for none."""
    return [asdict(result) for result in results] or None


def from_rows(rows: Sequence[dict[str, Any]] | None) -> list[TrialResult]:
    """Return results as they were stored."""
    return [TrialResult(**row) for row in rows or ()]


def to_result(columns: Sequence[Any]) -> TrialResult:
    """Return a result of the columns `RESULT`."""
    number, name, values, state, *others = columns
    return TrialResult(number, name, values, state in _TRAINED, state == TrialState.PRUNED, *others)
