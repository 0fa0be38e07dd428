"""Builder of metrics, in the form that fits the target."""

import keras

from fittingroom.specs import metrics as m
from fittingroom.specs.losses import TargetForm

_BY_TARGET: dict[str, dict[TargetForm, str]] = {
    "accuracy": {
        "one_hot": "CategoricalAccuracy", "index": "SparseCategoricalAccuracy", "number": "BinaryAccuracy",
    },
    "top_k": {"one_hot": "TopKCategoricalAccuracy", "index": "SparseTopKCategoricalAccuracy"},
}  # fmt: skip
_CLASSES: dict[str, str] = {"mae": "MeanAbsoluteError", "log_cosh": "LogCoshError"}
"""Keras's classes of metrics whose spec is called otherwise."""


def build_metrics(specs: list[m.Metric], target: TargetForm) -> list[keras.metrics.Metric]:
    """Fresh metrics, each under the name that the spec gives it."""
    return [_build_metric(spec, target) for spec in specs]


def _build_metric(spec: m.Metric, target: TargetForm) -> keras.metrics.Metric:
    by_target = _BY_TARGET.get(spec.name)
    own = _CLASSES.get(spec.name, type(spec).__name__.removesuffix("Metric"))
    metric: keras.metrics.Metric = getattr(keras.metrics, own if by_target is None else by_target[target])(**dict(spec))
    return metric
