"""Checks that the outputs of a network fit their targets: loss, metrics, units, activation."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from fittingroom.specs.datasets import DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec, TrialSpec
from fittingroom.specs.faults import Fault, pointer
from fittingroom.specs.heads import Head
from fittingroom.specs.layers.activations import ELU, Activation, LeakyReLU, ReLU, Softmax
from fittingroom.specs.layers.core import Dense, EinsumDense
from fittingroom.specs.losses import SparseCategoricalCrossentropy, target_of
from fittingroom.specs.metrics import (
    Accuracy,
    CategoricalCrossentropyMetric,
    ConcordanceCorrelation,
    F1Score,
    FBetaScore,
    MetricSpec,
    PearsonCorrelation,
    SparseCategoricalCrossentropyMetric,
    TopK,
)
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.validation.graph import wire
from fittingroom.specs.validation.shapes import Network

_PROBABILITIES = {"softmax", "sigmoid", "hard_sigmoid", "sparsemax", "sparse_sigmoid"}
_OVER_UNITS = {"softmax", "sparsemax", "log_softmax"}
_NEVER_NEGATIVE = _PROBABILITIES | {"relu", "relu6", "softplus", "exponential", "squareplus", "sparse_plus"}
_OF_CLASS_NUMBERS = Accuracy | TopK | SparseCategoricalCrossentropyMetric


class Misfit(NamedTuple):
    """Something that does not fit in a trial."""

    detail: str
    place: tuple[str | int, ...]
    """Path in the spec, or below a layer."""
    layer: int | None = None
    """Position of the layer; None for a place in the spec."""
    found: str | None = None


def target_faults(spec: ExperimentSpec, schema: DatasetSchema) -> Iterator[Fault]:
    """Yield a fault for a loss or a metric that is for another kind of target, whatever the network."""
    for head in spec.heads:
        if schema.classes is None:
            yield from _faults_of_numbers(head, schema)
        for position, metric in enumerate(head.metrics):
            place = pointer(head.place("metrics", position))
            if isinstance(metric, TopK) and schema.classes is not None and metric.k >= schema.classes:
                detail = (
                    f"top_k with k = {metric.k} is always 1 on {schema.classes} classes; "
                    f'give {{"name": "top_k", "k": …}} with k below {schema.classes}'
                )
                yield Fault(pointer=place, detail=detail)
            elif isinstance(head.loss, SparseCategoricalCrossentropy) and not isinstance(metric, _OF_CLASS_NUMBERS):
                detail = (
                    f"{metric.name} compares one-hot targets, and sparse_categorical_crossentropy trains on "
                    "class numbers; use categorical_crossentropy, which gives the same loss"
                )
                yield Fault(pointer=place, detail=detail, found=metric.name)
            elif isinstance(metric, SparseCategoricalCrossentropyMetric) and not isinstance(
                head.loss, SparseCategoricalCrossentropy
            ):
                detail = f"{metric.name} compares class numbers, and {head.loss.name} trains on others"
                yield Fault(pointer=place, detail=f"{detail}; use categorical_crossentropy", found=metric.name)


def _faults_of_numbers(head: Head, schema: DatasetSchema) -> Iterator[Fault]:
    """Yield a fault for a loss or a metric of classes where numbers are predicted."""
    lowest, highest = schema.target_range or (-math.inf, math.inf)
    if head.output is not None and head.loss.is_of_classes:
        return  # some of the numbers of a row may be a class, or tags
    if head.loss.is_of_tags and lowest >= 0 and highest <= 1:
        for position, metric in enumerate(head.metrics):  # tags, each by itself, or parts such as pixels
            if isinstance(metric, TopK):
                detail = f"top_k ranks classes, and {schema.name} has numbers to predict; use binary_accuracy"
                yield Fault(pointer=pointer(head.place("metrics", position)), detail=detail, found=metric.name)
        return
    if head.loss.is_of_vectors and schema.targets > 1:
        return
    if head.loss.is_of_classes:
        detail = (
            f"{head.loss.name} is for classes, and {schema.name} has a number to predict; use mse, mae, huber or "
            "another one for numbers"
        )
        yield Fault(pointer=pointer(head.place("loss")), detail=detail, found=head.loss.name)
    for position, metric in enumerate(head.metrics):
        if not metric.is_of_numbers:
            detail = (
                f"{metric.name} is for classes, and {schema.name} has a number to predict; use mae, rmse or "
                "another one for numbers"
            )
            yield Fault(pointer=pointer(head.place("metrics", position)), detail=detail, found=metric.name)


def head_misfit(trial: TrialSpec, network: Network, schema: DatasetSchema) -> Misfit | None:
    """Return the first thing that does not fit between the outputs of a trial's network and its dataset, or None."""
    heads, places = trial.heads, trial.model.output_places()
    for position, shape in zip(places, network.outputs, strict=True):
        if len(shape) != 1:
            detail = f"the network must end in one number per output, found the shape {list(shape)}; add flatten"
            return Misfit(detail, (), position)
    units = [shape[0] for shape in network.outputs]
    for head, position, count in zip(heads, places, units, strict=True):
        if found := _misfit_of_one(trial, head, position, schema, count):
            return found
    widths = [target_of(head.loss, count).width for head, count in zip(heads, units, strict=True)]
    is_taken = sum(widths) == schema.targets or set(widths) == {schema.targets}
    if len(heads) > 1 and schema.classes is None and not is_taken:
        taken = " + ".join(map(str, widths))
        detail = (
            f"the outputs take {taken} = {sum(widths)} numbers, and {schema.name} has {schema.targets} to predict in a "
            "row; let each output take all of them, or divide them among the outputs"
        )
        return Misfit(detail, (), places[0])
    return None


def _misfit_of_one(trial: TrialSpec, head: Head, position: int, schema: DatasetSchema, units: int) -> Misfit | None:
    """Return the first thing that does not fit between an output, its loss and its metrics, or None."""
    if of_loss := _loss_misfit(head, schema, units):
        return Misfit(of_loss, head.place("loss"), found=head.loss.name)
    if of_metric := _metric_misfit(head, schema, units):
        return of_metric
    if of_units := _unit_misfit(head, schema, units):
        last = _last_dense(trial, position)
        field = ("units",) if isinstance(trial.model.layers[last], Dense) else ()
        return Misfit(of_units, field, last, str(units))
    seen = _through_linear(trial, position)
    if of_activation := _activation_misfit(trial, head, seen, units):
        field = ("activation",) if hasattr(trial.model.layers[seen], "activation") else ()
        return Misfit(of_activation, field, seen)
    return None


def _through_linear(trial: TrialSpec, position: int) -> int:
    """Return the position of the layer whose numbers a layer gives: activations that change nothing are none."""
    wiring, layers, place = wire(trial.model), trial.model.layers, position
    while place >= 0:
        place = wiring[place].weights_of
        layer = layers[place]
        if not isinstance(layer, Activation) or sampled_value(layer.activation) != "linear":
            return place
        place = wiring[place].sources[0]
    return position


def _last_dense(trial: TrialSpec, position: int) -> int:
    """Return the position of the last `dense` on the way to an output, or of the output's layer."""
    wiring, place = wire(trial.model), position
    while place >= 0:
        if isinstance(trial.model.layers[place], Dense):
            return place
        place = wiring[place].sources[0]
    return position


def _loss_misfit(head: Head, schema: DatasetSchema, units: int) -> str | None:
    """Return why the loss cannot be computed between its target and this many units, or None."""
    if units != 1 or (head.output is None and schema.targets > 1):
        return None
    if head.loss.is_per_class:
        classes = f" ({schema.classes} for {schema.name})" if schema.classes is not None else ""
        return (
            f"{head.loss.name} needs one output per class{classes}, and the network has one; widen the last layer, or "
            "use binary_crossentropy for two classes"
        )
    if schema.classes not in {2, None}:
        return (
            f"{head.loss.name} with one output tells two classes apart, and {schema.name} has {schema.classes}; "
            "use categorical_crossentropy with one output per class"
        )
    return None


def _metric_misfit(head: Head, schema: DatasetSchema, units: int) -> Misfit | None:
    """Return the first metric that means nothing with so many units, or None."""
    for number, metric in enumerate(head.metrics):
        place = head.place("metrics", number)
        if units == 1 and (head.output is not None or schema.targets == 1) and (found := _with_one_unit(metric)):
            return Misfit(found, place, found=metric.name)
        if isinstance(metric, TopK) and schema.classes is None and metric.k >= units:
            detail = f"top_k with k = {metric.k} is always 1 of {units} units; give k below {units}"
            return Misfit(detail, place)
    return None


def _with_one_unit(metric: MetricSpec) -> str | None:
    """Return why a metric means nothing with one unit, or None."""
    if isinstance(metric, TopK | CategoricalCrossentropyMetric):
        return f"{metric.name} compares one output per class, and the network has one output"
    if isinstance(metric, F1Score | FBetaScore) and metric.threshold is None:
        return f'{metric.name} of one output needs a threshold: {{"name": "{metric.name}", "threshold": 0.5}}'
    if isinstance(metric, PearsonCorrelation | ConcordanceCorrelation):
        return f"{metric.name} correlates the numbers of a row, and the network gives one"
    return None


def _unit_misfit(head: Head, schema: DatasetSchema, units: int) -> str | None:
    if schema.classes is None:
        if head.output is not None or units == schema.targets:
            return None
        if schema.targets == 1:
            return f"the target of {schema.name} is one number, so the last layer must have one unit"
        return f"{schema.name} has {schema.targets} numbers to predict, so the last layer must have as many units"
    if units == schema.classes or (units == 1 and schema.classes == 2):
        return None
    alternative = ", or 1 with binary_crossentropy" if schema.classes == 2 else ""
    return f"the last layer must have one unit per class: {schema.classes} for {schema.name}{alternative}"


def _activation_misfit(trial: TrialSpec, head: Head, position: int, units: int) -> str | None:
    """Return why the loss cannot read the outputs of a layer, or None."""
    layer, loss = trial.model.layers[position], head.loss
    activation: str
    if isinstance(layer, Dense | EinsumDense | Activation):
        activation = sampled_value(layer.activation)
    elif isinstance(layer, Softmax | ReLU | ELU | LeakyReLU):
        activation = layer.type
    else:
        return None
    if activation in _OVER_UNITS and units == 1:
        return f"{activation} over one unit is always the same; use sigmoid"
    if loss.reads == "signs" and activation in _NEVER_NEGATIVE:
        return f"{loss.name} compares with -1 and 1, and {activation} is never negative; use tanh"
    if loss.reads == "positive" and activation not in _NEVER_NEGATIVE:
        return f"{loss.name} takes a logarithm of the output, which {activation} lets be negative; use softplus"
    if loss.reads == "probabilities" and activation not in _PROBABILITIES:
        from_logits = getattr(loss, "from_logits", None)
        if not from_logits:
            as_logits = f'{{"name": "{loss.name}", "from_logits": true}}'
            remedy = "softmax, sigmoid" if from_logits is None else f"softmax, sigmoid or {as_logits}"
            return f"{loss.name} reads the output as probabilities, and {activation} gives none; use {remedy}"
    return None
