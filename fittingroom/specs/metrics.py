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


class BinaryAccuracy(Spec):
    """Fraction of outputs on the right side of a threshold, each by itself (`binary_accuracy`)."""

    name: Literal["binary_accuracy"]
    threshold: Annotated[Real, Field(gt=0, lt=1)] = 0.5
    """Output above which a tag, or the second class, is predicted."""


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


class MeanSquaredErrorMetric(Spec):
    """Mean squared error (`mse`)."""

    name: Literal["mse"]


class MeanAbsolutePercentageErrorMetric(Spec):
    """Mean absolute error in percent of the target (`mape`)."""

    name: Literal["mape"]


class MeanSquaredLogarithmicErrorMetric(Spec):
    """Mean squared error of logarithms of 1 + value (`msle`)."""

    name: Literal["msle"]


class LogCoshMetric(Spec):
    """Logarithm of the hyperbolic cosine of the error (`log_cosh`)."""

    name: Literal["log_cosh"]


class PoissonMetric(Spec):
    """Poisson loss: output - target * log(output) (`poisson`)."""

    name: Literal["poisson"]


class CosineSimilarityMetric(Spec):
    """Cosine of the angle between outputs and targets (`cosine_similarity`)."""

    name: Literal["cosine_similarity"]


class KLDivergenceMetric(Spec):
    """Kullback-Leibler divergence from output to target (`kl_divergence`)."""

    name: Literal["kl_divergence"]


class HingeMetric(Spec):
    """Hinge loss (`hinge`)."""

    name: Literal["hinge"]


class SquaredHingeMetric(Spec):
    """Square of the hinge loss (`squared_hinge`)."""

    name: Literal["squared_hinge"]


class CategoricalHingeMetric(Spec):
    """Hinge loss between the right class and the best of the others (`categorical_hinge`)."""

    name: Literal["categorical_hinge"]


class TruePositives(Spec):
    """Number of positives predicted as such (`true_positives`)."""

    name: Literal["true_positives"]
    thresholds: Threshold = 0.5
    """Output above which a row is predicted positive."""


class TrueNegatives(Spec):
    """Number of negatives predicted as such (`true_negatives`)."""

    name: Literal["true_negatives"]
    thresholds: Threshold = 0.5
    """Output above which a row is predicted positive."""


class FalsePositives(Spec):
    """Number of negatives predicted positive (`false_positives`)."""

    name: Literal["false_positives"]
    thresholds: Threshold = 0.5
    """Output above which a row is predicted positive."""


class FalseNegatives(Spec):
    """Number of positives predicted negative (`false_negatives`)."""

    name: Literal["false_negatives"]
    thresholds: Threshold = 0.5
    """Output above which a row is predicted positive."""


class R2Score(Spec):
    """Coefficient of determination: 1 for perfect predictions, 0 for those of the mean (`r2_score`)."""

    name: Literal["r2_score"]


class F1Score(Spec):
    """Harmonic mean of precision and recall (`f1_score`)."""

    name: Literal["f1_score"]
    average: Literal["micro", "macro", "weighted"] = "macro"
    """Average over the classes; `weighted` by their rows."""
    threshold: Annotated[Real, Field(gt=0, le=1)] | None = None
    """Output above which a class is predicted, needed with one output. Default: the class of the largest output."""


OfNumbers = (
    MAE
    | RootMeanSquaredError
    | MeanSquaredErrorMetric
    | MeanAbsolutePercentageErrorMetric
    | MeanSquaredLogarithmicErrorMetric
    | LogCoshMetric
    | PoissonMetric
    | R2Score
)
"""Metrics that mean something of a number."""
_OfClasses = (
    Accuracy
    | BinaryAccuracy
    | TopK
    | AUC
    | Precision
    | Recall
    | F1Score
    | CosineSimilarityMetric
    | KLDivergenceMetric
    | HingeMetric
    | SquaredHingeMetric
    | CategoricalHingeMetric
    | TruePositives
    | TrueNegatives
    | FalsePositives
    | FalseNegatives
)
_InFull = Annotated[OfNumbers | _OfClasses, Field(discriminator="name")]
_Name = Literal[
    "accuracy", "binary_accuracy", "top_k", "auc", "precision", "recall", "mae", "rmse", "mse", "mape", "msle",
    "log_cosh", "poisson",
    "r2_score", "f1_score", "cosine_similarity", "kl_divergence", "hinge", "squared_hinge", "categorical_hinge",
    "true_positives", "true_negatives", "false_positives", "false_negatives",
]  # fmt: skip
Metric = Annotated[_InFull, BeforeValidator(expand_name, json_schema_input_type=_Name | _InFull)]

_MAXIMIZED = frozenset({
    "accuracy", "binary_accuracy", "top_k", "auc", "precision", "recall", "r2_score", "f1_score", "cosine_similarity",
    "true_positives", "true_negatives",
})  # fmt: skip


def better_direction(metric: str) -> Direction:
    """Return the direction in which a metric improves, with or without the prefix `val_`."""
    return "maximize" if metric.removeprefix("val_") in _MAXIMIZED else "minimize"


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
