"""Builder of Keras models from trial specs: layers, initial weights, compilation."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
from cachetools import LRUCache, cached

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.layers.core import Shared
from fittingroom.specs.layers.layer_spec import Shape, type_of
from fittingroom.specs.model import Model
from fittingroom.specs.validation.graph import INPUT_PLACE, input_shapes, is_chain, wire
from fittingroom.specs.validation.shapes import measure
from models.errors import UsageFault
from workers.builders.heads import build_heads, compile_arguments, units_of
from workers.builders.layers import LayerBuilder
from workers.builders.optimizers import build_optimizer

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
    build = LayerBuilder(spec.precision if spec.precision == "mixed_bfloat16" else "float32", substitutes or {})
    inputs = input_shapes(spec.model, features)
    try:
        input_name, *names = _names(spec.model, inputs)
        rows = keras.Input((features,), name=input_name)
        laid_out = _laid_out(inputs, names[: len(inputs)])
        names = names[len(inputs) :]
        layers = _built(spec.model, build, names, measure(spec.model, features).of_layers, list(inputs.values()))
        if is_chain(spec.model):
            return keras.Sequential([rows, *laid_out, *layers], name="sequential")
        return _connected(spec.model, rows, _divided(rows, inputs, laid_out), layers)
    except (ValueError, TypeError) as error:
        raise UsageFault(f"Keras refuses this network: {error}") from error


def _built(
    model: Model, build: LayerBuilder, names: Sequence[str], outputs: Sequence[Shape], inputs: Sequence[Shape]
) -> list[keras.layers.Layer | None]:
    """Return the layers in the order in which Keras makes them of a model's JSON; None where one is shared."""
    shapes = {INPUT_PLACE - number: shape for number, shape in enumerate(inputs)} | dict(enumerate(outputs))
    layers: list[keras.layers.Layer | None] = []
    for spec, wired, name, output in zip(model.layers, wire(model), names, outputs, strict=True):
        layer = None if isinstance(spec, Shared) else build(spec, name, output)
        if layer is not None and spec.draws_in_build:
            layer.build(*((None, *shapes[source]) for source in wired.sources))
        layers.append(layer)
    return layers


def _laid_out(inputs: Mapping[str, Shape], names: Sequence[str]) -> list[keras.layers.Layer]:
    """Return layers that give the numbers of each input its shape; of a single flat one there is none."""
    if len(inputs) == 1 and len(next(iter(inputs.values()))) == 1:
        return []
    return [keras.layers.Reshape(shape, name=name) for shape, name in zip(inputs.values(), names, strict=True)]


def _divided(
    rows: keras.KerasTensor, inputs: Mapping[str, Shape], laid_out: Sequence[keras.layers.Layer]
) -> list[keras.KerasTensor]:
    """Return the inputs of a network: the numbers of a row, divided among them in order."""
    if not laid_out:
        return [rows]
    if len(laid_out) == 1:
        return [laid_out[0](rows)]
    tensors, first = [], 0
    for shape, layer in zip(inputs.values(), laid_out, strict=True):
        size = math.prod(shape)
        tensors.append(layer(rows[:, first : first + size]))
        first += size
    return tensors


def _connected(
    model: Model,
    rows: keras.KerasTensor,
    inputs: Sequence[keras.KerasTensor],
    layers: Sequence[keras.layers.Layer | None],
) -> keras.Model:
    """Return a network that is no chain."""
    outputs = {INPUT_PLACE - number: tensor for number, tensor in enumerate(inputs)}
    for position, wired in enumerate(wire(model)):
        spec, layer = model.layers[wired.weights_of], layers[wired.weights_of]
        taken = [outputs[source] for source in wired.sources]
        if spec.inputs_as == "list":
            taken = [taken]
        outputs[position] = layer(*taken, **model.layers[position].call_options())  # type: ignore[misc]
    ends = [outputs[place] for place in model.output_places()]
    return keras.Model(rows, ends if len(ends) > 1 else ends[0], name="functional")


def build_compiled(
    spec: TrialSpec, features: int, *, is_compiled: bool = False, steps_per_execution: int = 1
) -> keras.Model:
    """Build a trial's network and compile it with its optimizer, loss and metrics.

    Args:
        spec: the trial.
        features: how many numbers a row has.
        is_compiled: True to have XLA compile its steps, if Keras has XLA compile all of its layers.
        steps_per_execution: Keras's option of `compile`.
    """
    model = build_network(spec, features)
    model.compile(
        optimizer=build_optimizer(spec.optimizer),
        **compile_arguments(build_heads(spec, units_of(model))),
        jit_compile="auto" if is_compiled else False,
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


def _names(model: Model, inputs: Mapping[str, Shape]) -> list[str]:
    """Return names for the input, for what lays each input out, and for each layer: Keras's, but for given ones."""
    taken = {*(layer.name for layer in model.layers if layer.name is not None), *(model.inputs or {})}
    names: list[str] = []
    wanted = [(None, "input_layer"), *((name if model.inputs else None, "reshape") for name in inputs)]
    for given, kind in [*wanted, *((layer.name, type_of(layer)) for layer in model.layers)]:
        name, number = given or kind, 0
        while given is None and name in taken:
            number += 1
            name = f"{kind}_{number}"
        taken.add(name)
        names.append(name)
    return names
