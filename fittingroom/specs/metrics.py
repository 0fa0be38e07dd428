"""Metrics recorded per epoch, and the direction in which each improves."""

import math
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from fittingroom.specs.base import Int, Real, Spec
from fittingroom.specs.choices import Direction
from fittingroom.specs.named import expand_name

Threshold = Annotated[Real, Field(ge=0, le=1)]


class Accuracy(Spec):
    """Accuracy: fraction of rows classified correctly (`accuracy`)."""

    name: Literal["accuracy"]


class TopK(Spec):
    """Top-k accuracy: fraction of rows whose class is among the k most likely (`top_k`)."""

    name: Literal["top_k"]
    k: Annotated[Int, Field(ge=1, le=10_000)] = 5
    """Number of most likely classes considered."""


class AUC(Spec):
    """Area under the ROC or precision-recall curve (`auc`)."""

    name: Literal["auc"]
    curve: Literal["ROC", "PR"] = "ROC"
    """Curve: `ROC`, or `PR` for precision-recall."""
    num_thresholds: Annotated[Int, Field(ge=2, le=1_000)] = 200
    """Number of thresholds at which the curve is evaluated."""


class Precision(Spec):
    """Precision: true positives / predicted positives (`precision`)."""

    name: Literal["precision"]
    thresholds: Threshold = 0.5
    """Output above which a row is predicted positive."""


class Recall(Spec):
    """Recall: true positives / actual positives (`recall`)."""

    name: Literal["recall"]
    thresholds: Threshold = 0.5
    """Output above which a row is predicted positive."""


class MAE(Spec):
    """Mean absolute error (`mae`)."""

    name: Literal["mae"]


class RootMeanSquaredError(Spec):
    """Root mean squared error (`rmse`)."""

    name: Literal["rmse"]


_InFull = Annotated[
    Accuracy | TopK | AUC | Precision | Recall | MAE | RootMeanSquaredError,
    Field(discriminator="name"),
]
_Name = Literal["accuracy", "top_k", "auc", "precision", "recall", "mae", "rmse"]
Metric = Annotated[_InFull, BeforeValidator(expand_name, json_schema_input_type=_Name | _InFull)]

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
    """Return the direction in which a metric improves, with or without the prefix `val_`."""
    return _DIRECTIONS[metric.removeprefix("val_")]


def recorded_metrics(metrics: list[Metric], *, validated: bool, rate_changes: bool = False) -> list[str]:
    """Return the names in a history, in Keras's order: `loss`, the metrics, then the same with `val_`.

    With a learning rate that changes, `learning_rate` comes last.
    """
    names = ["loss", *(metric.name for metric in metrics)]
    names += [f"val_{name}" for name in names] if validated else []
    return [*names, "learning_rate"] if rate_changes else names


def is_better(value: float, best: float | None, direction: Direction) -> bool:
    """Return True if a value is better than the best so far; NaN never is."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    return value < best if direction == "minimize" else value > best
