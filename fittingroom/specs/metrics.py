"""Metrics recorded per epoch, and the direction in which each improves. A metric is one class: options and traits."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from fittingroom.specs.base import Bool, Int, Real
from fittingroom.specs.named import Named, by_name
from fittingroom.specs.targets import Smoothing, TargetForm

Threshold = Annotated[Real, Field(ge=0, le=1)]
_Thresholds = Annotated[Int, Field(ge=2, le=1_000)]
_Fraction = Annotated[Real, Field(ge=0, le=1)]


class MetricSpec(Named):
    """Base of all metrics."""

    is_of_numbers: ClassVar[bool] = False
    """True if it means something of a number."""
    is_maximized: ClassVar[bool] = False
    """True if larger values are better."""
    reads_probabilities: ClassVar[bool] = False
    """True if it reads outputs as probabilities, or as numbers above 0."""
    takes_zeros: ClassVar[bool] = True
    """True if a row of zeros has a finite value."""
    keras_class: ClassVar[str | None] = None
    """Class of Keras, where it has another name than the spec's class without `Metric` at its end."""
    by_target: ClassVar[Mapping[TargetForm, str]] = {}
    """Class of Keras by the form of the target, where it follows from that."""


class Accuracy(MetricSpec):
    """Accuracy: fraction of rows classified correctly (`accuracy`)."""

    name: Literal["accuracy"]
    is_maximized: ClassVar[bool] = True
    by_target: ClassVar[Mapping[TargetForm, str]] = {
        "one_hot": "CategoricalAccuracy", "index": "SparseCategoricalAccuracy", "number": "BinaryAccuracy",
    }  # fmt: skip


class BinaryAccuracy(MetricSpec):
    """Fraction of outputs on the right side of a threshold, each by itself (`binary_accuracy`)."""

    name: Literal["binary_accuracy"]
    is_maximized: ClassVar[bool] = True
    reads_probabilities: ClassVar[bool] = True
    threshold: Annotated[Real, Field(gt=0, lt=1)] = 0.5
    """Output above which a tag, or the second class, is predicted."""


class TopK(MetricSpec):
    """Top-k accuracy: fraction of rows whose class is among the k most likely (`top_k`)."""

    name: Literal["top_k"]
    is_maximized: ClassVar[bool] = True
    by_target: ClassVar[Mapping[TargetForm, str]] = {
        "one_hot": "TopKCategoricalAccuracy", "index": "SparseTopKCategoricalAccuracy",
    }  # fmt: skip
    k: Annotated[Int, Field(ge=1, le=10_000)] = 5
    """Number of most likely classes considered."""


class AUC(MetricSpec):
    """Area under the ROC or precision-recall curve (`auc`)."""

    name: Literal["auc"]
    is_maximized: ClassVar[bool] = True
    reads_probabilities: ClassVar[bool] = True
    curve: Literal["ROC", "PR"] = "ROC"
    """Curve: `ROC`, or `PR` for precision-recall."""
    num_thresholds: Annotated[Int, Field(ge=2, le=1_000)] = 200
    """Number of thresholds at which the curve is evaluated."""


class _AboveThreshold(MetricSpec):
    """Fields of metrics that count rows."""

    reads_probabilities: ClassVar[bool] = True
    thresholds: Threshold = 0.5
    """Output above which a row is predicted positive."""


class Precision(_AboveThreshold):
    """Precision: true positives / predicted positives (`precision`)."""

    name: Literal["precision"]
    is_maximized: ClassVar[bool] = True


class Recall(_AboveThreshold):
    """Recall: true positives / actual positives (`recall`)."""

    name: Literal["recall"]
    is_maximized: ClassVar[bool] = True


class MAE(MetricSpec):
    """Mean absolute error (`mae`)."""

    name: Literal["mae"]
    is_of_numbers: ClassVar[bool] = True
    keras_class: ClassVar[str] = "MeanAbsoluteError"


class RootMeanSquaredError(MetricSpec):
    """Root mean squared error (`rmse`)."""

    name: Literal["rmse"]
    is_of_numbers: ClassVar[bool] = True


class MeanSquaredErrorMetric(MetricSpec):
    """Mean squared error (`mse`)."""

    name: Literal["mse"]
    is_of_numbers: ClassVar[bool] = True


class MeanAbsolutePercentageErrorMetric(MetricSpec):
    """Mean absolute error in percent of the target (`mape`)."""

    name: Literal["mape"]
    is_of_numbers: ClassVar[bool] = True


class MeanSquaredLogarithmicErrorMetric(MetricSpec):
    """Mean squared error of logarithms of 1 + value (`msle`)."""

    name: Literal["msle"]
    is_of_numbers: ClassVar[bool] = True


class LogCoshMetric(MetricSpec):
    """Logarithm of the hyperbolic cosine of the error (`log_cosh`)."""

    name: Literal["log_cosh"]
    is_of_numbers: ClassVar[bool] = True
    keras_class: ClassVar[str] = "LogCoshError"


class PoissonMetric(MetricSpec):
    """Poisson loss: output - target * log(output) (`poisson`)."""

    name: Literal["poisson"]
    is_of_numbers: ClassVar[bool] = True
    reads_probabilities: ClassVar[bool] = True
    takes_zeros: ClassVar[bool] = False


class CosineSimilarityMetric(MetricSpec):
    """Cosine of the angle between outputs and targets (`cosine_similarity`)."""

    name: Literal["cosine_similarity"]
    is_maximized: ClassVar[bool] = True
    takes_zeros: ClassVar[bool] = False


class KLDivergenceMetric(MetricSpec):
    """Kullback-Leibler divergence from output to target (`kl_divergence`)."""

    name: Literal["kl_divergence"]
    reads_probabilities: ClassVar[bool] = True


class HingeMetric(MetricSpec):
    """Hinge loss (`hinge`)."""

    name: Literal["hinge"]


class SquaredHingeMetric(MetricSpec):
    """Square of the hinge loss (`squared_hinge`)."""

    name: Literal["squared_hinge"]


class CategoricalHingeMetric(MetricSpec):
    """Hinge loss between the right class and the best of the others (`categorical_hinge`)."""

    name: Literal["categorical_hinge"]


class TruePositives(_AboveThreshold):
    """Number of positives predicted as such (`true_positives`)."""

    name: Literal["true_positives"]
    is_maximized: ClassVar[bool] = True


class TrueNegatives(_AboveThreshold):
    """Number of negatives predicted as such (`true_negatives`)."""

    name: Literal["true_negatives"]
    is_maximized: ClassVar[bool] = True


class FalsePositives(_AboveThreshold):
    """Number of negatives predicted positive (`false_positives`)."""

    name: Literal["false_positives"]


class FalseNegatives(_AboveThreshold):
    """Number of positives predicted negative (`false_negatives`)."""

    name: Literal["false_negatives"]


class R2Score(MetricSpec):
    """Coefficient of determination: 1 for perfect predictions, 0 for those of the mean (`r2_score`)."""

    name: Literal["r2_score"]
    is_of_numbers: ClassVar[bool] = True
    is_maximized: ClassVar[bool] = True


class _FScore(MetricSpec):
    """Fields of the F scores."""

    is_maximized: ClassVar[bool] = True
    reads_probabilities: ClassVar[bool] = True
    average: Literal["micro", "macro", "weighted"] = "macro"
    """Average over the classes; `weighted` by their rows."""
    threshold: Annotated[Real, Field(gt=0, le=1)] | None = None
    """Output above which a class is predicted, needed with one output. Default: the class of the largest output."""


class F1Score(_FScore):
    """Harmonic mean of precision and recall (`f1_score`)."""

    name: Literal["f1_score"]


class FBetaScore(_FScore):
    """Weighted harmonic mean of precision and recall (`fbeta_score`)."""

    name: Literal["fbeta_score"]
    beta: Annotated[Real, Field(gt=0, le=1_000)] = 1.0
    """Weight of the recall, where the precision has 1."""


class _BestAt(MetricSpec):
    """Fields of metrics that try thresholds."""

    is_maximized: ClassVar[bool] = True
    reads_probabilities: ClassVar[bool] = True
    num_thresholds: _Thresholds = 200
    """Number of thresholds that are tried."""


class PrecisionAtRecall(_BestAt):
    """Highest precision at which the recall is at least so much (`precision_at_recall`)."""

    name: Literal["precision_at_recall"]
    recall: _Fraction
    """Recall."""


class RecallAtPrecision(_BestAt):
    """Highest recall at which the precision is at least so much (`recall_at_precision`)."""

    name: Literal["recall_at_precision"]
    precision: _Fraction
    """Precision."""


class SensitivityAtSpecificity(_BestAt):
    """Highest sensitivity at which the specificity is at least so much (`sensitivity_at_specificity`)."""

    name: Literal["sensitivity_at_specificity"]
    specificity: _Fraction
    """Specificity."""


class SpecificityAtSensitivity(_BestAt):
    """Highest specificity at which the sensitivity is at least so much (`specificity_at_sensitivity`)."""

    name: Literal["specificity_at_sensitivity"]
    sensitivity: _Fraction
    """Sensitivity."""


class BinaryCrossentropyMetric(MetricSpec):
    """Binary cross-entropy (`binary_crossentropy`)."""

    name: Literal["binary_crossentropy"]
    reads_probabilities: ClassVar[bool] = True
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""
    label_smoothing: Smoothing = 0.0
    """Label smoothing: fraction by which the target is drawn towards 0.5."""


class CategoricalCrossentropyMetric(MetricSpec):
    """Cross-entropy of one-hot targets (`categorical_crossentropy`)."""

    name: Literal["categorical_crossentropy"]
    reads_probabilities: ClassVar[bool] = True
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""
    label_smoothing: Smoothing = 0.0
    """Label smoothing: fraction of the target spread evenly over all classes."""


class SparseCategoricalCrossentropyMetric(MetricSpec):
    """Cross-entropy of class numbers (`sparse_categorical_crossentropy`)."""

    name: Literal["sparse_categorical_crossentropy"]
    reads_probabilities: ClassVar[bool] = True
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""


class PearsonCorrelation(MetricSpec):
    """Correlation of the outputs of a row with its targets, averaged over the rows (`pearson_correlation`)."""

    name: Literal["pearson_correlation"]
    is_of_numbers: ClassVar[bool] = True
    is_maximized: ClassVar[bool] = True


class ConcordanceCorrelation(MetricSpec):
    """Concordance of the outputs of a row with its targets, averaged over the rows (`concordance_correlation`)."""

    name: Literal["concordance_correlation"]
    is_of_numbers: ClassVar[bool] = True
    is_maximized: ClassVar[bool] = True


if TYPE_CHECKING:
    Metric: TypeAlias = MetricSpec
else:
    Metric = by_name(MetricSpec)
