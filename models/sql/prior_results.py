"""Results of earlier experiments, with which a search begins: copied at submit, so that nothing changes them later."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from fittingroom.specs.datasets import DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec, pointer
from fittingroom.specs.samplers import RoundSampler
from fittingroom.views.states import TrialState
from models.errors import NotFoundError
from models.planning.plan import with_content
from models.planning.results import TrialResult
from models.planning.templates import resolved_objective
from models.sql.experiments import get_experiment
from models.sql.tables import TrialTable

_SPLIT = ("validation_split", "split", "folds")


def find_prior(
    session: Session, spec: ExperimentSpec, project: str, datasets: Mapping[str, DatasetSchema]
) -> list[TrialResult]:
    """Return the results of the earlier experiments that a spec names.

    Args:
        session: an open transaction.
        spec: what was submitted.
        project: the client's: experiments of others are not there.
        datasets: those there are, by name.

    Raises:
        InvalidSpec: one is not there, or its values cannot be compared with those of the spec.
    """
    prior = spec.sampler.prior if isinstance(spec.sampler, RoundSampler) else []
    results: list[TrialResult] = []
    faults: list[Fault] = []
    for number, experiment_id in enumerate(prior):
        try:
            get_experiment(session, experiment_id, project)
        except NotFoundError:
            fault: str | None = "there is no such experiment"
        else:
            fault = _difference(session, experiment_id, spec, datasets)
        if fault:
            faults.append(Fault(pointer=pointer(("sampler", "prior", number)), detail=fault, found=experiment_id))
        else:
            results += list_results(session, experiment_id)
    if faults:
        raise InvalidSpec(faults)
    return results


def list_results(session: Session, experiment_id: str) -> list[TrialResult]:
    """Return the results of an experiment so far, by the numbers of its trials."""
    trials = session.execute(
        select(
            TrialTable.round, TrialTable.model_name, TrialTable.hyperparameters, TrialTable.state,
            TrialTable.epochs_completed, TrialTable.best_value,
        )
        .where(TrialTable.experiment_id == experiment_id)
        .order_by(TrialTable.number)
    )  # fmt: skip
    return [
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
    ]


def to_rows(results: Sequence[TrialResult]) -> list[dict[str, Any]] | None:
    """Return results as they are stored with an experiment; None for none."""
    return [asdict(result) for result in results] or None


def from_rows(rows: Sequence[dict[str, Any]] | None) -> list[TrialResult]:
    """Return results as they were stored."""
    return [TrialResult(**row) for row in rows or ()]


def _difference(
    session: Session, experiment_id: str, spec: ExperimentSpec, datasets: Mapping[str, DatasetSchema]
) -> str | None:
    """Say why the values of an experiment cannot be compared with those of a spec; None if they can."""
    query = select(TrialTable.spec).where(TrialTable.experiment_id == experiment_id).limit(1)
    earlier: dict[str, Any] = session.scalars(query).one()
    document = with_content(spec, datasets).model_dump(mode="json")
    objective = resolved_objective(spec).model_dump(mode="json")
    compared = {
        "dataset": (earlier["dataset"], document["dataset"]),
        "objective": (earlier["objective"], objective),
        **{f"fit.{key}": (earlier["fit"].get(key), document["fit"][key]) for key in _SPLIT},
    }
    differing = [name for name, (one, other) in compared.items() if one != other]
    if not differing:
        return None
    return f"its results cannot be compared with these, as it has another {', '.join(differing)}"
