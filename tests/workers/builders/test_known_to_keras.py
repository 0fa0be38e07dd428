"""Walk through Keras: each of its parts can be said in a spec, or stands here with the reason why not."""

import inspect
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any, get_args

import keras
import pytest

from fittingroom.specs.keras_import.unsupported import UNSUPPORTED
from fittingroom.specs.layers.activations import ActivationName
from fittingroom.specs.layers.any_layer import keras_classes
from fittingroom.specs.layers.weights import Constraint, InitializerName, InitializerSpec
from fittingroom.specs.losses import LossSpec
from fittingroom.specs.metrics import MetricSpec
from fittingroom.specs.named import kinds, name_of
from fittingroom.specs.optimizers import OptimizerSpec
from fittingroom.specs.schedules import Schedule
from fittingroom.specs.targets import TargetForm
from workers.builders.metrics import build_metrics


def members(alias: Any) -> list[type]:
    """Return the classes of a union of specs."""
    inner = get_args(alias)[0] if hasattr(alias, "__metadata__") else alias
    found = [
        one for argument in get_args(inner) for one in ([argument] if isinstance(argument, type) else members(argument))
    ]
    return found or [inner]


def classes_in(module: ModuleType) -> set[str]:
    """Return the classes by their own names: some have several."""
    return {part.__name__ for part in vars(module).values() if inspect.isclass(part)}


def metric_classes() -> Iterator[str]:
    """Yield the classes that metrics are built of, which for some follow from the target."""
    targets: tuple[TargetForm, ...] = ("one_hot", "index", "number")
    for kind in kinds(MetricSpec):
        required = {name: 0.5 for name, field in kind.model_fields.items() if field.is_required() and name != "name"}
        metric = kind(name=name_of(kind), **required)
        for target in targets:
            with suppress(KeyError):  # top_k ranks nothing of a number
                yield type(build_metrics([metric], target)[0]).__name__


def said() -> dict[str, set[str]]:
    named = [getattr(keras.initializers.get(name), "__class__", None) for name in get_args(InitializerName)]
    return {
        "layers": set(keras_classes()),
        "initializers": {one.__name__ for one in members(InitializerSpec)} | {one.__name__ for one in named},
        "regularizers": {"L1", "L2", "L1L2", "OrthogonalRegularizer"},
        "constraints": {one.__name__ for one in members(Constraint.__value__)},
        "optimizers": {one.__name__ for one in kinds(OptimizerSpec)},
        "schedules": {one.__name__ for one in members(Schedule)},
        "losses": {one.__name__ for one in kinds(LossSpec)},
        "metrics": set(metric_classes()),
        "activations": set(get_args(ActivationName)),
    }


WALKED: dict[str, set[str]] = {
    **{name: classes_in(getattr(keras, name)) for name in ("layers", "initializers", "regularizers", "constraints")},
    "optimizers": classes_in(keras.optimizers),
    "schedules": classes_in(keras.optimizers.schedules),
    "losses": classes_in(keras.losses),
    "metrics": classes_in(keras.metrics),
    "activations": {name for name, part in vars(keras.activations).items() if inspect.isfunction(part)},
}


@pytest.mark.backends
@pytest.mark.parametrize("kind", WALKED)
def test_each_part_of_keras_can_be_said_or_has_a_reason(kind: str) -> None:
    known, reasons = said()[kind], UNSUPPORTED[kind]
    assert WALKED[kind] - known == reasons.keys(), "a part is new, or its reason is outdated"
    assert not known & reasons.keys()
