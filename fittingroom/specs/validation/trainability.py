"""Checks that an experiment can train at all, made before anything is stored."""

import math
from collections.abc import Iterator, Mapping

from fittingroom.specs.datasets import BUILT_IN_DATASETS, DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec, Model, TrialSpec
from fittingroom.specs.faults import Fault, InvalidSpec, pointer
from fittingroom.specs.layers.activations import ELU, Activation, LeakyReLU, ReLU, Softmax
from fittingroom.specs.layers.core import Dense, EinsumDense
from fittingroom.specs.losses import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    OfClasses,
    OfSeveralOutputs,
    Poisson,
    Probabilistic,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from fittingroom.specs.metrics import Accuracy, F1Score, OfNumbers, TopK, recorded_metrics
from fittingroom.specs.search_space import sampled_value
from fittingroom.specs.validation.dataset_checks import dataset_faults, find_dataset
from fittingroom.specs.validation.graph import DoesNotConnect
from fittingroom.specs.validation.shapes import Network, measure

_PROBABILITIES = {"softmax", "sigmoid", "hard_sigmoid", "sparsemax", "sparse_sigmoid"}
_OVER_UNITS = {"softmax", "sparsemax", "log_softmax"}
_NEVER_NEGATIVE = _PROBABILITIES | {"relu", "relu6", "softplus", "exponential", "squareplus", "sparse_plus"}


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
    faults = [*_metric_name_faults(spec), *_learning_rate_faults(spec), *unknown]
    if schema is not None:
        faults += [*dataset_faults(spec, schema, known), *_target_faults(spec, schema)]
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
    layers, written = trial.model.layers, given or trial.model
    try:
        network = measure(trial.model, schema.features)
    except DoesNotConnect as misfit:
        raise InvalidSpec(
            [Fault(pointer=pointer((*place, *written.place_of(misfit.layer))), detail=str(misfit))]
        ) from None
    last = max((i for i, layer in enumerate(layers) if isinstance(layer, Dense)), default=len(layers) - 1)
    if len(network.output) != 1:
        detail = f"the network must end in one number per output, found the shape {list(network.output)}; add flatten"
        raise InvalidSpec([Fault(pointer=pointer((*place, *written.place_of(len(layers) - 1))), detail=detail)])
    units = network.output[0]
    if misfit_of_loss := _loss_misfit(trial, schema, units):
        raise InvalidSpec([Fault(pointer="/loss", detail=misfit_of_loss, found=trial.loss.name)])
    if misfit_of_units := _unit_misfit(schema, units):
        field = ("units",) if isinstance(layers[last], Dense) else ()
        fault = Fault(
            pointer=pointer((*place, *written.place_of(last, *field))), detail=misfit_of_units, found=str(units)
        )
        raise InvalidSpec([fault])
    if misfit_of_activation := _activation_misfit(trial, units):
        position, detail = misfit_of_activation
        field = ("activation",) if hasattr(layers[position], "activation") else ()
        fault = Fault(pointer=pointer((*place, *written.place_of(position, *field))), detail=detail)
        raise InvalidSpec([fault])
    return network


def _metric_name_faults(spec: ExperimentSpec) -> Iterator[Fault]:
    recorded = recorded_metrics(spec.metrics, validated=spec.is_validated)
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


def _learning_rate_faults(spec: ExperimentSpec) -> Iterator[Fault]:
    if spec.reduce_lr_on_plateau is not None and hasattr(spec.optimizer.learning_rate, "schedule"):
        yield Fault(
            pointer="/reduce_lr_on_plateau",
            detail="the learning rate follows a schedule, so nothing else can lower it; give a number or a search "
            "space as optimizer.learning_rate, or leave reduce_lr_on_plateau out",
        )


def _target_faults(spec: ExperimentSpec, schema: DatasetSchema) -> Iterator[Fault]:
    """Yield a fault for a loss or a metric that is for another kind of target."""
    if schema.classes is None:
        yield from _faults_of_numbers(spec, schema)
        return
    for position, metric in enumerate(spec.metrics):
        if isinstance(metric, TopK) and metric.k >= schema.classes:
            yield Fault(
                pointer=pointer(("metrics", position)),
                detail=f"top_k with k = {metric.k} is always 1 on {schema.classes} classes; "
                f'give {{"name": "top_k", "k": …}} with k below {schema.classes}',
            )
        elif isinstance(spec.loss, SparseCategoricalCrossentropy) and not isinstance(metric, Accuracy | TopK):
            yield Fault(
                pointer=pointer(("metrics", position)),
                detail=f"{metric.name} compares one-hot targets, and sparse_categorical_crossentropy trains on "
                "class numbers; use categorical_crossentropy, which gives the same loss",
                found=metric.name,
            )


def _faults_of_numbers(spec: ExperimentSpec, schema: DatasetSchema) -> Iterator[Fault]:
    """Yield a fault for a loss or a metric of classes where numbers are predicted."""
    lowest, highest = schema.target_range or (-math.inf, math.inf)
    if isinstance(spec.loss, BinaryCrossentropy | BinaryFocalCrossentropy) and lowest >= 0 and highest <= 1:
        for position, metric in enumerate(spec.metrics):  # tags, each by itself, or parts such as pixels
            if isinstance(metric, TopK):
                detail = f"top_k ranks classes, and {schema.name} has numbers to predict; use binary_accuracy"
                yield Fault(pointer=pointer(("metrics", position)), detail=detail, found=metric.name)
        return
    if isinstance(spec.loss, CosineSimilarity | KLDivergence) and schema.targets > 1:
        return
    if isinstance(spec.loss, OfClasses):
        detail = (
            f"{spec.loss.name} is for classes, and {schema.name} has a number to predict; use mse, mae, huber or "
            "another one for numbers"
        )
        yield Fault(pointer="/loss", detail=detail, found=spec.loss.name)
    for position, metric in enumerate(spec.metrics):
        if not isinstance(metric, OfNumbers):
            detail = (
                f"{metric.name} is for classes, and {schema.name} has a number to predict; use mae, rmse or "
                "another one for numbers"
            )
            yield Fault(pointer=pointer(("metrics", position)), detail=detail, found=metric.name)


def _loss_misfit(trial: TrialSpec, schema: DatasetSchema, units: int) -> str | None:
    """Return why the loss cannot be computed between this target and this many outputs, or None."""
    if units != 1 or schema.targets > 1:
        return None
    if isinstance(trial.loss, OfSeveralOutputs):
        return (
            f"{trial.loss.name} needs one output per class ({schema.classes} for {schema.name}), and the network has "
            "one; widen the last layer, or use binary_crossentropy for two classes"
        )
    if schema.classes not in {2, None}:
        return (
            f"{trial.loss.name} with one output tells two classes apart, and {schema.name} has {schema.classes}; "
            "use categorical_crossentropy with one output per class"
        )
    if any(isinstance(metric, TopK) for metric in trial.metrics):
        return "top_k ranks one output per class, and the network has one output"
    if any(isinstance(metric, F1Score) and metric.threshold is None for metric in trial.metrics):
        return 'f1_score of one output needs a threshold: {"name": "f1_score", "threshold": 0.5}'
    return None


def _unit_misfit(schema: DatasetSchema, units: int) -> str | None:
    if schema.classes is None:
        if units == schema.targets:
            return None
        if schema.targets == 1:
            return f"the target of {schema.name} is one number, so the last layer must have one unit"
        return f"{schema.name} has {schema.targets} numbers to predict, so the last layer must have as many units"
    if units == schema.classes or (units == 1 and schema.classes == 2):
        return None
    alternative = ", or 1 with binary_crossentropy" if schema.classes == 2 else ""
    return f"the last layer must have one unit per class: {schema.classes} for {schema.name}{alternative}"


def _activation_misfit(trial: TrialSpec, units: int) -> tuple[int, str] | None:
    """Return the layer, and why the loss cannot read its outputs as probabilities, or None."""
    position = len(trial.model.layers) - 1
    layer = trial.model.layers[position]
    activation: str
    if isinstance(layer, Dense | EinsumDense | Activation):
        activation = sampled_value(layer.activation)
    elif isinstance(layer, Softmax | ReLU | ELU | LeakyReLU):
        activation = layer.type
    else:
        return None
    if activation in _OVER_UNITS and units == 1:
        return position, f"{activation} over one unit is always the same; use sigmoid"
    if isinstance(trial.loss, Hinge | SquaredHinge) and activation in _NEVER_NEGATIVE:
        return position, f"{trial.loss.name} compares with -1 and 1, and {activation} is never negative; use tanh"
    if isinstance(trial.loss, Poisson) and activation not in _NEVER_NEGATIVE:
        return (
            position,
            f"{trial.loss.name} takes a logarithm of the output, which {activation} lets be negative; use softplus",
        )
    if isinstance(trial.loss, Probabilistic) and activation not in _PROBABILITIES:
        from_logits = getattr(trial.loss, "from_logits", None)
        if not from_logits:
            remedy = (
                "softmax, sigmoid"
                if from_logits is None
                else f'softmax, sigmoid or {{"name": "{trial.loss.name}", "from_logits": true}}'
            )
            return (
                position,
                f"{trial.loss.name} reads the output as probabilities, and {activation} gives none; use {remedy}",
            )
    return None
