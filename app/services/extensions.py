"""Extension of an experiment: the spec of the new experiment that goes on from it."""

from pydantic import ValidationError

from app.services.experiments import Service
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.extension import Extension
from fittingroom.specs.faults import Fault, InvalidSpec, faults_in
from models.errors import ExperimentUnendedError

_PLACES = {"/fit/epochs": "/epochs", "/sampler/top": "/top", "/sampler/trials": "/trials"}
"""Places in the spec of the new experiment that are the client's."""


def extended_spec(service: Service, experiment_id: str, extension: Extension) -> ExperimentSpec:
    """Return the spec of the experiment that extends an earlier one.

    Raises:
        NotFoundError: there is no such experiment.
        ExperimentUnendedError: it has not ended.
        InvalidSpec: it cannot be extended so.
    """
    view = service.get_experiment(experiment_id)
    if view.finished_at is None:
        raise ExperimentUnendedError(experiment_id)
    trials, _ = service.list_trials(experiment_id)
    dataset = service.get_trial(trials[0].id).spec["dataset"]
    try:
        spec = ExperimentSpec.model_validate(view.spec)
        if extension.epochs is not None:
            _refuse_fewer_epochs(extension.epochs, max(trial.epochs_planned for trial in trials))
        document = extension.document(experiment_id, spec, dataset.get("sha256"))
        return ExperimentSpec.model_validate(document)
    except ValidationError as error:
        raise refused_extension(InvalidSpec(faults_in(error, view.spec))) from None


def _refuse_fewer_epochs(epochs: int, trained: int) -> None:
    if epochs <= trained:
        detail = f"the experiment was trained for {trained} epochs; expected more in all"
        raise InvalidSpec([Fault(pointer="/epochs", detail=detail, found=str(epochs))])


def refused_extension(refused: InvalidSpec) -> InvalidSpec:
    """Return what refuses a new experiment with pointers into the extension that it was made of."""
    return InvalidSpec(
        [fault.model_copy(update={"pointer": _PLACES.get(fault.pointer, "")}) for fault in refused.faults]
    )
