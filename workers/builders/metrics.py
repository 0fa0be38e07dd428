"""Builder of metrics, in the form that fits the target."""

import keras

from fittingroom.specs import metrics as m
from fittingroom.specs.losses import TargetForm

_ACCURACY: dict[TargetForm, type[keras.metrics.Metric]] = {
    "one_hot": keras.metrics.CategoricalAccuracy,
    "index": keras.metrics.SparseCategoricalAccuracy,
    "number": keras.metrics.BinaryAccuracy,
}

_TOP_K: dict[TargetForm, type[keras.metrics.Metric]] = {
    "one_hot": keras.metrics.TopKCategoricalAccuracy,
    "index": keras.metrics.SparseTopKCategoricalAccuracy,
}
_METRICS: dict[str, type[keras.metrics.Metric]] = {
    "auc": keras.metrics.AUC,
    "precision": keras.metrics.Precision,
    "recall": keras.metrics.Recall,
    "mae": keras.metrics.MeanAbsoluteError,
    "rmse": keras.metrics.RootMeanSquaredError,
}


def build_metrics(specs: list[m.Metric], target: TargetForm) -> list[keras.metrics.Metric]:
    """Fresh metrics, each under the name that the spec gives it."""
    return [_build_metric(spec, target) for spec in specs]


def _build_metric(spec: m.Metric, target: TargetForm) -> keras.metrics.Metric:
    options = dict(spec)  # named as Keras names them, the metric's own name among them
    match spec:
        case m.Accuracy():
            return _ACCURACY[target](**options)
        case m.TopK():
            return _TOP_K[target](**options)
    return _METRICS[spec.name](**options)
