"""From the metrics' specs to Keras's metrics, in the form that fits the target.

May import: keras, the specs. Knows nothing else.
"""

import keras

from models.spec import metrics as m
from models.spec.losses import TargetForm

_ACCURACY: dict[TargetForm, type[keras.metrics.Metric]] = {
    "one_hot": keras.metrics.CategoricalAccuracy,
    "index": keras.metrics.SparseCategoricalAccuracy,
    "binary": keras.metrics.BinaryAccuracy,
}


def build_metrics(specs: list[m.Metric], target: TargetForm) -> list[keras.metrics.Metric]:
    """Fresh metrics, each under the name that the spec gives it."""
    return [_build_metric(spec, target) for spec in specs]


def _build_metric(spec: m.Metric, target: TargetForm) -> keras.metrics.Metric:
    match spec:
        case m.Accuracy():
            return _ACCURACY[target](name=spec.name)
        case m.TopK():
            ranked = keras.metrics.SparseTopKCategoricalAccuracy if target == "index" else keras.metrics.TopKCategoricalAccuracy
            return ranked(k=spec.k, name=spec.name)
        case m.AUC():
            return keras.metrics.AUC(curve=spec.curve, num_thresholds=spec.num_thresholds, name=spec.name)
        case m.Precision():
            return keras.metrics.Precision(thresholds=spec.thresholds, name=spec.name)
        case m.Recall():
            return keras.metrics.Recall(thresholds=spec.thresholds, name=spec.name)
        case m.MeanAbsoluteError():
            return keras.metrics.MeanAbsoluteError(name=spec.name)
        case m.RootMeanSquaredError():
            return keras.metrics.RootMeanSquaredError(name=spec.name)
