"""The numbers of an optimizer that may be another one for each trial of a program."""

from collections.abc import Mapping
from typing import Any

import keras

from fittingroom.specs.optimizers import Optimizer
from fittingroom.specs.schedules import is_constant

_NOT_ATTRIBUTES = frozenset({
    "learning_rate", "initial_accumulator_value", "ema_momentum", "ema_overwrite_frequency",
    "gradient_accumulation_steps", "loss_scale_factor",
})  # fmt: skip
"""Hyperparameters that Keras keeps in the optimizer's variables, or that its `fit` alone uses."""


def varying_numbers(spec: Optimizer) -> dict[str, float]:
    """Return the numbers that Keras keeps as attributes, by attribute; those of a schedule as `learning_rate.…`.

    A 0 is none of them: to Keras it often means that a term is not there at all, which is another program.
    """
    numbers: dict[str, float] = {}
    for name, value in spec.model_dump().items():
        if isinstance(value, dict):
            numbers |= {
                f"{name}.{key}": float(number)
                for key, number in value.items()
                if _varies(number) and not is_constant(value, key)
            }
        elif name not in _NOT_ATTRIBUTES and _varies(value):
            numbers[name] = float(value)
    return numbers


def set_numbers(optimizer: keras.Optimizer, numbers: Mapping[str, Any]) -> None:
    """Put other numbers, or what stands for them, in the place of those an optimizer was made with."""
    for name, number in numbers.items():
        *scheduled, attribute = name.split(".")
        owner = optimizer._learning_rate if scheduled else optimizer  # noqa: SLF001 - the only way to the schedule
        # Some are kept under another name than `get_config` gives them; set under a new one, a number would do nothing.
        kept = attribute if hasattr(owner, attribute) else f"_{attribute}"
        getattr(owner, kept)
        setattr(owner, kept, number)


def _varies(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and value != 0
