"""Builder of what the outputs of a network are trained on: losses, their weights, metrics."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.losses import target_of
from fittingroom.specs.targets import Target, columns_of
from workers.builders.losses import build_loss
from workers.builders.metrics import build_metrics


class BuiltHead(NamedTuple):
    """An output's own Keras objects."""

    output: str | None
    """Name of the output; None where the network has one."""
    target: Target
    loss: keras.losses.Loss
    weight: float | None
    """Factor of its loss in the sum; None for 1."""
    metrics: list[keras.metrics.Metric]


def build_heads(spec: TrialSpec, units: Sequence[int]) -> list[BuiltHead]:
    """Return the heads of a network, in the order of its outputs, which have so many units."""
    heads = []
    for head, count in zip(spec.heads, units, strict=True):
        target = target_of(head.loss, count)
        metrics = build_metrics(head.metrics, target.form)
        heads.append(BuiltHead(head.output, target, build_loss(head.loss), head.weight, metrics))
    return heads


def units_of(model: keras.Model) -> list[int]:
    """Return the number of units of each output of a network."""
    return [output.shape[-1] for output in model.outputs]


def compile_arguments(heads: Sequence[BuiltHead]) -> dict[str, Any]:
    """Return loss, weights and metrics as `compile` takes them."""
    if len(heads) == 1:
        return {"loss": heads[0].loss, "metrics": heads[0].metrics}
    weights = [1.0 if head.weight is None else head.weight for head in heads]
    return {
        "loss": [head.loss for head in heads],
        "loss_weights": None if all(head.weight is None for head in heads) else weights,
        "metrics": [head.metrics for head in heads],
    }


def divided(y: Any, heads: Sequence[BuiltHead]) -> Any:  # noqa: ANN401 - an array or a tensor, or a list of them
    """Return the targets of each output, as `fit` takes them: (rows, width) each, alone where there is one."""
    if len(heads) == 1:
        return y
    return tuple(y[:, columns] for columns in columns_of([head.target for head in heads], y.shape[1]))
