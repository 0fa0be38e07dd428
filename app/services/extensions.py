"""Extension of an experiment: the spec of the new experiment that goes on from it."""

from typing import Any

from pydantic import ValidationError

from app.services.experiments import Service
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.extension import Extension
from fittingroom.specs.faults import Fault, InvalidSpec, faults_in
from models.errors import ExperimentUnendedError

_PLACES = {
    "/fit/epochs": "/epochs", "/sampler/top": "/top", "/sampler/trials": "/trials", "/sampler/prior": "/trials",
    "/sampler/prior/0": "/trials", "/sampler/experiment": "",
}  # fmt: skip
"""Places in the spec of the new experiment that are the client's."""


def extended_spec(service: Service, experiment_id: str, extension: Extension) -> ExperimentSpec:
    """Return the spec of the experiment that extends an earlier one.

    Raises:
        NotFoundError: there is no such experiment.
        ExperimentUnendedError: it has not ended.
        InvalidSpec: it cannot be extended so.
    """
    from models.sql.plans.leader_results import find_ended  # noqa: PLC0415 - few experiments need it

    with service.database.reading() as session:
        earlier = find_ended(session, experiment_id, service.project)
    if earlier is None:
        raise ExperimentUnendedError(experiment_id)
    if extension.epochs is not None:
        _refuse_fewer_epochs(extension.epochs, earlier.epochs)
    document: dict[str, Any] = {}
    try:
        spec = ExperimentSpec.model_validate(earlier.document)
        document = extension.document(
            experiment_id, spec, earlier.dataset, earlier.prior, earlier.backend, is_confirmed=earlier.is_confirmed
        )
        return ExperimentSpec.model_validate(document)
    except ValidationError as error:
        raise refused_extension(InvalidSpec(faults_in(error, document or earlier.document))) from None


def _refuse_fewer_epochs(epochs: int, trained: int) -> None:
    if epochs <= trained:
        detail = f"the experiment was trained for up to {trained} epochs; expected more in all"
        raise InvalidSpec([Fault(pointer="/epochs", detail=detail, found=str(epochs))])


def refused_extension(refused: InvalidSpec) -> InvalidSpec:
    """Return what refuses a new experiment with pointers into the extension that it was made of."""
    return InvalidSpec([_in_extension(fault) for fault in refused.faults])


def _in_extension(fault: Fault) -> Fault:
    place = _PLACES.get(fault.pointer)
    if place is not None:
        return fault.model_copy(update={"pointer": place})
    detail = f"in the spec of the new experiment, {fault.pointer or 'the document'}: {fault.detail}"
    return fault.model_copy(update={"pointer": "", "detail": detail})
