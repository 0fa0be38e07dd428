"""Checks that an experiment can train at all, made before anything is stored."""

from collections.abc import Iterator, Mapping

from fittingroom.specs.datasets import BUILT_IN_DATASETS, DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec, TrialSpec
from fittingroom.specs.faults import Fault, InvalidSpec, pointer
from fittingroom.specs.heads import recorded_metrics
from fittingroom.specs.model import Model
from fittingroom.specs.validation.dataset_checks import dataset_faults, find_dataset
from fittingroom.specs.validation.graph import DoesNotConnect
from fittingroom.specs.validation.head_checks import head_misfit, target_faults
from fittingroom.specs.validation.shapes import Network, measure


def check_experiment(spec: ExperimentSpec, known: Mapping[str, DatasetSchema] = BUILT_IN_DATASETS) -> DatasetSchema:
    """Judge what all trials share.

    Args:
        spec: the experiment.
        known: the datasets there are, by name.

    Returns:
        The schema of the dataset.

    Raises:
        InvalidSpec: with everything that was found.
    """
    schema, unknown = find_dataset(spec.dataset, known, "/dataset")
    faults = [*_output_faults(spec), *_metric_name_faults(spec), *_objective_faults(spec)]
    faults += [*_learning_rate_faults(spec), *unknown]
    if schema is not None:
        faults += dataset_faults(spec, schema, known)
        of_losses = [list(target_faults(one, schema)) for one in spec.by_loss()]
        faults += next((found for found in of_losses if found), [])
    if faults or schema is None:
        raise InvalidSpec(faults)
    return schema


def check_trial(trial: TrialSpec, schema: DatasetSchema, place: tuple[str, ...], given: Model | None = None) -> Network:
    """Judge one trial's network against its dataset and loss.

    Args:
        trial: the trial, every value fixed.
        schema: of its dataset.
        place: path of the network in the client's document, for pointers.
        given: the network as the client gave it. Default: the trial's.

    Returns:
        The network, measured.

    Raises:
        InvalidSpec: the network cannot train.
    """
    written = given or trial.model
    try:
        network = measure(trial.model, schema.features)
    except DoesNotConnect as misfit:
        raise InvalidSpec(
            [Fault(pointer=pointer((*place, *written.place_of(misfit.layer))), detail=str(misfit))]
        ) from None
    if found := head_misfit(trial, network, schema):
        at = found.place if found.layer is None else (*place, *written.place_of(found.layer, *map(str, found.place)))
        raise InvalidSpec([Fault(pointer=pointer(at), detail=found.detail, found=found.found)])
    return network


def _output_faults(spec: ExperimentSpec) -> Iterator[Fault]:
    """Yield a fault for a network with other outputs than those that have a loss."""
    wanted = sorted(head.output for head in spec.heads if head.output is not None)
    networks = spec.models or ({} if spec.model is None else {"": spec.model})
    for name, model in networks.items():
        place = ("models", name) if name else ("model",)
        if sorted(model.outputs or ()) == wanted:
            continue
        outputs = ", ".join(model.outputs or ())
        if not wanted:
            detail = f"the network has several outputs; give an object with the loss of each: {outputs}"
            yield Fault(pointer="/loss", detail=detail)
        else:
            found = "one output" if model.outputs is None else f"the outputs {outputs}"
            detail = (
                f"loss is of the outputs {', '.join(wanted)}, and this network has {found}; name them in its outputs"
            )
            yield Fault(pointer=pointer((*place, *(("outputs",) if model.outputs else ()))), detail=detail)
    if wanted and spec.fit.class_weight is not None:
        detail = "class_weight is for one output, as in Keras; give loss_weights to weigh outputs, or leave it out"
        yield Fault(pointer="/fit/class_weight", detail=detail)


def _metric_name_faults(spec: ExperimentSpec) -> Iterator[Fault]:
    recorded = recorded_metrics(spec.heads, validated=spec.is_validated)
    watched = []
    if spec.early_stopping is not None:
        watched.append(("/early_stopping/monitor", spec.early_stopping.monitor))
    if spec.reduce_lr_on_plateau is not None:
        watched.append(("/reduce_lr_on_plateau/monitor", spec.reduce_lr_on_plateau.monitor))
    if spec.objective is not None:
        watched.append(("/objective/metric", spec.objective.metric))
    for place, name in watched:
        if name in recorded:
            continue
        detail = f"no trial records this metric; recorded are: {', '.join(recorded)}"
        if name.startswith("val_") and not spec.is_validated:
            detail += "; for a val_ metric set fit.validation_split above 0, or dataset.validation"
        yield Fault(pointer=place, detail=detail, found=repr(name))


def _objective_faults(spec: ExperimentSpec) -> Iterator[Fault]:
    """Yield a fault for trials with several losses that would be compared by these."""
    metric = "val_loss" if spec.objective is None else spec.objective.metric
    if len(spec.by_loss()) > 1 and metric in {"loss", "val_loss"}:
        detail = "different losses are no measure of which is better; give a metric that all trials record"
        yield Fault(pointer="/objective", detail=detail, found=repr(metric))


def _learning_rate_faults(spec: ExperimentSpec) -> Iterator[Fault]:
    if spec.reduce_lr_on_plateau is None:
        return
    rates = [rate for one in spec.optimizers for rate in getattr(one.learning_rate, "choice", [one.learning_rate])]
    if any(hasattr(rate, "schedule") for rate in rates):
        yield Fault(
            pointer="/reduce_lr_on_plateau",
            detail="the learning rate follows a schedule, so nothing else can lower it; give a number or a search "
            "space as optimizer.learning_rate, or leave reduce_lr_on_plateau out",
        )
