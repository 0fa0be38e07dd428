"""Builder of optimizers: a spec's class has the name of Keras's own."""

from typing import Any

import keras

from fittingroom.specs.base import Spec
from fittingroom.specs.optimizers import Optimizer


def build_optimizer(spec: Optimizer) -> keras.optimizers.Optimizer:
    """Return a fresh optimizer; what the spec leaves out is Keras's default."""
    options: dict[str, Any] = {name: value for name, value in spec if name != "name" and value is not None}
    if isinstance(spec.learning_rate, Spec):
        options["learning_rate"] = _build_schedule(spec.learning_rate)
    optimizer: keras.optimizers.Optimizer = getattr(keras.optimizers, type(spec).__name__)(**options)
    return optimizer


def _build_schedule(spec: Spec) -> keras.optimizers.schedules.LearningRateSchedule:
    kind = getattr(keras.optimizers.schedules, type(spec).__name__)
    schedule: keras.optimizers.schedules.LearningRateSchedule = kind(
        **{name: value for name, value in spec if name != "schedule"}
    )
    return schedule
