"""Builder of what the outputs of a network are trained on: losses, their weights, metrics."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.losses import target_of
from fittingroom.specs.targets import Target
from workers.builders.losses import build_loss
from workers.builders.metrics import build_metrics


class BuiltHead(NamedTuple):
    """An output's own Keras objects."""

    output: str | None
    """Name of the output; None where the network has one."""
    target: Target
    columns: slice
    """Columns of the targets that it is trained on."""
    loss: keras.losses.Loss
    weight: float | None
    """Factor of its loss in the sum; None for 1."""
    metrics: list[keras.metrics.Metric]


def build_heads(spec: TrialSpec, units: Sequence[int]) -> list[BuiltHead]:
    """Return the heads of a network, in the order of its outputs, which have so many units."""
    heads, first = [], 0
    for head, count in zip(spec.heads, units, strict=True):
        target = target_of(head.loss, count)
        columns = slice(first, first + target.width)
        metrics = build_metrics(head.metrics, target.form)
        heads.append(BuiltHead(head.output, target, columns, build_loss(head.loss), head.weight, metrics))
        first += target.width
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
    return y if len(heads) == 1 else tuple(y[:, head.columns] for head in heads)
