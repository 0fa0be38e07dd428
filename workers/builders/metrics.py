"""Builder of metrics, in the form that fits the target."""

from collections.abc import Sequence

import keras

from fittingroom.specs import metrics as m
from fittingroom.specs.targets import TargetForm


def build_metrics(specs: Sequence[m.Metric], target: TargetForm) -> list[keras.metrics.Metric]:
    """Fresh metrics, each under the name that the spec gives it."""
    return [_build_metric(spec, target) for spec in specs]


def _build_metric(spec: m.Metric, target: TargetForm) -> keras.metrics.Metric:
    kind = type(spec)
    name = kind.by_target[target] if kind.by_target else kind.keras_class or kind.__name__.removesuffix("Metric")
    metric: keras.metrics.Metric = getattr(keras.metrics, name)(**dict(spec))
    return metric
