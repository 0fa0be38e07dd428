"""Builder of Keras models from trial specs: layers, initial weights, compilation."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from cachetools import LRUCache, cached

from fittingroom.specs import layers as l
from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.losses import target_form
from fittingroom.specs.validation.graph import INPUT_PLACE, is_chain, wire
from models.errors import UsageFault
from workers.builders.losses import build_loss
from workers.builders.metrics import build_metrics
from workers.builders.optimizers import build_optimizer

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
    "add": keras.layers.Add,
    "subtract": keras.layers.Subtract,
    "multiply": keras.layers.Multiply,
    "average": keras.layers.Average,
    "maximum": keras.layers.Maximum,
    "minimum": keras.layers.Minimum,
    "concatenate": keras.layers.Concatenate,
}


_DESCRIPTIONS_KEPT = 64


@dataclass(frozen=True)
class NetworkDescription:
    """Description of a network by Keras."""

    summary: str
    """Output of `model.summary()`."""
    parameter_count: int


def build_network(
    spec: TrialSpec, features: int, substitutes: Mapping[str, type[keras.layers.Layer]] | None = None
) -> keras.Model:
    """Build a trial's network; its first weights follow from the trial's seed alone.

    Args:
        spec: the trial.
        features: how many numbers a row has.
        substitutes: classes to use in the place of Keras's own, by a layer's type.

    Raises:
        UsageFault: Keras refuses the network.
    """
    # Keras draws from it the seeds that it is not given. Its `set_random_seed` does the same, and has TensorFlow drop
    # what it has prepared of every program.
    random.seed(spec.seed)
    classes = {**_LAYERS, **(substitutes or {})}
    shape = spec.model.input_shape or [features]
    try:
        input_name, reshape_name, *names = _names(spec.model.layers)
        laid_out = [keras.layers.Reshape(tuple(shape), name=reshape_name)] if len(shape) > 1 else []
        policy = spec.precision if spec.precision == "mixed_bfloat16" else "float32"
        layers = [
            _build_layer(layer, name, classes, policy) for layer, name in zip(spec.model.layers, names, strict=True)
        ]
        rows = keras.Input((features,), name=input_name)
        if is_chain(spec.model.layers):
            return keras.Sequential([rows, *laid_out, *layers], name="sequential")
        return _connected(rows, laid_out[0](rows) if laid_out else rows, layers, wire(spec.model.layers))
    except (ValueError, TypeError) as error:
        raise UsageFault(f"Keras refuses this network: {error}") from error


def _connected(
    rows: keras.KerasTensor,
    first: keras.KerasTensor,
    layers: Sequence[keras.layers.Layer],
    wiring: Sequence[Sequence[int]],
) -> keras.Model:
    """Return a network that is no chain."""
    outputs = {INPUT_PLACE: first}
    for position, (layer, sources) in enumerate(zip(layers, wiring, strict=True)):
        taken = [outputs[source] for source in sources]
        outputs[position] = layer(taken if len(taken) > 1 else taken[0])
    return keras.Model(rows, outputs[len(layers) - 1], name="functional")


def build_compiled(
    spec: TrialSpec, features: int, *, jit_compile: bool = False, steps_per_execution: int = 1
) -> keras.Model:
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


def _what_is_described(spec: TrialSpec, features: int) -> tuple[str, str, int]:
    return spec.model.model_dump_json(), spec.precision, features


@cached(LRUCache(_DESCRIPTIONS_KEPT), key=_what_is_described)
def describe(spec: TrialSpec, features: int) -> NetworkDescription:
    """Build a trial's network only to look at it, once for all trials that have the same."""
    model = build_network(spec, features)
    lines: list[str] = []
    model.summary(print_fn=lambda line, **_: lines.append(line), line_length=80)
    return NetworkDescription("\n".join(lines), int(model.count_params()))


def _names(layers: Sequence[l.Layer]) -> list[str]:
    """Return names for the input, for what lays it out, and for each layer: Keras's, but for those that are given."""
    taken = {layer.name for layer in layers if layer.name is not None}
    names: list[str] = []
    for given, kind in [(None, "input_layer"), (None, "reshape"), *((layer.name, layer.type) for layer in layers)]:
        name, number = given or kind, 0
        while given is None and name in taken:
            number += 1
            name = f"{kind}_{number}"
        taken.add(name)
        names.append(name)
    return names


def _build_layer(
    layer: l.Layer, name: str, classes: Mapping[str, type[keras.layers.Layer]], policy: str
) -> keras.layers.Layer:
    options = {key: value for key, value in layer if key not in {"type", "inputs", "name"} and value is not None}
    return classes[layer.type](name=name, dtype=policy, **{key: _keras_value(value) for key, value in options.items()})


def _keras_value(value: object) -> Any:  # noqa: ANN401 - a Keras argument
    return keras.regularizers.L1L2(**dict(value)) if isinstance(value, l.Regularizer) else value
