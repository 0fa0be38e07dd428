"""Builder of optimizers."""

from typing import Any

import keras

from fittingroom.specs import optimizers as o

_OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "adagrad": keras.optimizers.Adagrad,
    "nadam": keras.optimizers.Nadam,
    "lion": keras.optimizers.Lion,
}
_SCHEDULES: dict[str, type[keras.optimizers.schedules.LearningRateSchedule]] = {
    "exponential_decay": keras.optimizers.schedules.ExponentialDecay,
    "cosine_decay": keras.optimizers.schedules.CosineDecay,
    "piecewise_constant_decay": keras.optimizers.schedules.PiecewiseConstantDecay,
}


def build_optimizer(spec: o.Optimizer) -> keras.optimizers.Optimizer:
    """Return a fresh optimizer; what the spec leaves out is Keras's default."""
    options: dict[str, Any] = {name: value for name, value in spec if name != "name" and value is not None}
    if isinstance(spec.learning_rate, o.ExponentialDecay | o.CosineDecay | o.PiecewiseConstantDecay):
        options["learning_rate"] = _build_schedule(spec.learning_rate)
    return _OPTIMIZERS[spec.name](**options)


def _build_schedule(spec: o.Schedule) -> keras.optimizers.schedules.LearningRateSchedule:
    return _SCHEDULES[spec.schedule](**{name: value for name, value in spec if name != "schedule"})
