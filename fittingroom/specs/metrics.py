"""The metrics a trial can record per epoch, and which direction is better."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from fittingroom.specs.base import Int, Real, Spec
from fittingroom.specs.choices import Direction
from fittingroom.specs.named import named

Threshold = Annotated[Real, Field(ge=0, le=1)]


class Accuracy(Spec):
    """The part of the rows whose class is right (`accuracy`)."""

    name: Literal["accuracy"]


class TopK(Spec):
    """The part of the rows whose class is among the k likeliest (`top_k`)."""

    name: Literal["top_k"]
    k: Annotated[Int, Field(ge=1, le=10_000)] = 5
    """How many of the likeliest classes count."""


class AUC(Spec):
    """The area under the ROC or precision-recall curve (`auc`)."""

    name: Literal["auc"]
    curve: Literal["ROC", "PR"] = "ROC"
    """Which curve."""
    num_thresholds: Annotated[Int, Field(ge=2, le=1_000)] = 200
    """With how many points the curve is drawn."""


class Precision(Spec):
    """Of what was called positive, the part that is (`precision`)."""

    name: Literal["precision"]
    thresholds: Threshold = 0.5
    """From which output on a row is called positive."""


class Recall(Spec):
    """Of what is positive, the part that was called so (`recall`)."""

    name: Literal["recall"]
    thresholds: Threshold = 0.5
    """From which output on a row is called positive."""


class MAE(Spec):
    """The mean absolute difference between target and output (`mae`)."""

    name: Literal["mae"]


class RootMeanSquaredError(Spec):
    """The root of the mean squared difference (`rmse`)."""

    name: Literal["rmse"]


_InFull = Annotated[
    Accuracy | TopK | AUC | Precision | Recall | MAE | RootMeanSquaredError,
    Field(discriminator="name"),
]
_Name = Literal["accuracy", "top_k", "auc", "precision", "recall", "mae", "rmse"]
Metric = Annotated[_InFull, BeforeValidator(named, json_schema_input_type=_Name | _InFull)]

_DIRECTIONS: dict[str, Direction] = {
    "loss": "minimize",
    "mae": "minimize",
    "rmse": "minimize",
    "accuracy": "maximize",
    "top_k": "maximize",
    "auc": "maximize",
    "precision": "maximize",
    "recall": "maximize",
}


def better_direction(metric: str) -> Direction:
    """Whether less or more of the metric is better; `val_` before its name changes nothing."""
    return _DIRECTIONS[metric.removeprefix("val_")]


def recorded_metrics(metrics: list[Metric], *, validated: bool, rate_changes: bool = False) -> list[str]:
    """The names that a history will have, in Keras's order: `loss`, the metrics, then the same with `val_`.

    Where the learning rate is lowered on the way, it is recorded too, and comes last.
    """
    names = ["loss", *(metric.name for metric in metrics)]
    names += [f"val_{name}" for name in names] if validated else []
    return [*names, "learning_rate"] if rate_changes else names


def is_better(value: float, best: float | None, direction: Direction) -> bool:
    """Whether a value beats the best so far; NaN never does."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    return value < best if direction == "minimize" else value > best
