"""From a trial's spec to a Keras model: layers, initial weights, and the compiled whole.

May import: keras, the specs. Knows neither SQL nor an engine nor data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from models.errors import UsageFault
from models.spec import layers as l
from models.spec.experiment import TrialSpec
from models.spec.losses import target_form
from workers.losses import build_loss
from workers.metrics import build_metrics
from workers.optimizers import build_optimizer

_LAYERS: dict[str, type[keras.layers.Layer]] = {
    "dense": keras.layers.Dense,
    "dropout": keras.layers.Dropout,
    "batch_normalization": keras.layers.BatchNormalization,
    "layer_normalization": keras.layers.LayerNormalization,
    "activation": keras.layers.Activation,
    "flatten": keras.layers.Flatten,
    "reshape": keras.layers.Reshape,
    "conv2d": keras.layers.Conv2D,
    "max_pooling2d": keras.layers.MaxPooling2D,
    "global_average_pooling2d": keras.layers.GlobalAveragePooling2D,
}


@dataclass(frozen=True)
class NetworkDescription:
    """What Keras says of a network."""

    summary: str
    """What `model.summary()` prints."""
    parameter_count: int


def build_network(
    spec: TrialSpec, features: int, substitutes: Mapping[str, type[keras.layers.Layer]] | None = None
) -> keras.Sequential:
    """Build a trial's network; its first weights follow from the trial's seed alone.

    Args:
        spec: the trial.
        features: how many numbers a row has.
        substitutes: classes to use in the place of Keras's own, by a layer's type.

    Raises:
        UsageFault: Keras refuses the network.
    """
    keras.utils.set_random_seed(spec.seed)
    classes = {**_LAYERS, **(substitutes or {})}
    try:
        return keras.Sequential(
            [keras.Input((features,)), *(_build_layer(layer, classes) for layer in spec.model.layers)]
        )
    except (ValueError, TypeError) as error:
        raise UsageFault(f"Keras refuses this network: {error}") from error


def build_compiled(
    spec: TrialSpec, features: int, *, jit_compile: bool = False, steps_per_execution: int = 1
) -> keras.Sequential:
    """Build a trial's network and compile it with its optimizer, loss and metrics; the options are Keras's."""
    model = build_network(spec, features)
    target = target_form(spec.loss, units=model.output_shape[-1])
    model.compile(
        optimizer=build_optimizer(spec.optimizer),
        loss=build_loss(spec.loss),
        metrics=build_metrics(spec.metrics, target),
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )
    return model


def describe(spec: TrialSpec, features: int) -> NetworkDescription:
    """Build a trial's network only to look at it."""
    # So that Keras names layers from 1 again. To collect garbage as well takes seconds beside programs that are kept.
    keras.utils.clear_session(free_memory=False)
    model = build_network(spec, features)
    lines: list[str] = []
    model.summary(print_fn=lambda line, **_: lines.append(line), line_length=80)
    return NetworkDescription("\n".join(lines), int(model.count_params()))


def _build_layer(layer: l.Layer, classes: Mapping[str, type[keras.layers.Layer]]) -> keras.layers.Layer:
    options = {name: value for name, value in layer if name != "type" and value is not None}
    return classes[layer.type](**{name: _keras_value(value) for name, value in options.items()})


def _keras_value(value: object) -> Any:  # noqa: ANN401 - a Keras argument
    return keras.regularizers.L1L2(**dict(value)) if isinstance(value, l.Regularizer) else value
