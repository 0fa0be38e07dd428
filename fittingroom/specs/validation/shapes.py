"""The shapes between a network's layers and the number of its weights, by arithmetic, without Keras.

Each layer has the formula of its own; tests compare it with Keras.
"""

import math
from typing import NamedTuple

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.layers.layer_spec import Measured, Shape
from fittingroom.specs.layers.shape_rules import show_all
from fittingroom.specs.limits import MAX_LAYER_OUTPUTS, MAX_PARAMETERS
from fittingroom.specs.losses import target_of
from fittingroom.specs.model import Model
from fittingroom.specs.targets import Target
from fittingroom.specs.validation.graph import INPUT_PLACE, DoesNotConnect, input_shapes, wire


class Network(NamedTuple):
    """Shapes and sizes of a network, by arithmetic."""

    outputs: tuple[Shape, ...]
    """Shape of each output."""
    parameters: int
    """Trainable or not, as `model.count_params()` counts them."""
    numbers_per_row: int
    """Numbers in all activations of one row."""
    multiplications: int
    """Multiply-adds per row, once through the network."""
    of_layers: tuple[Shape, ...]
    """Output of each layer."""
    sequence_steps: int
    """Steps of sequences that layers compute one after the other."""


def measure(model: Model, features: int) -> Network:
    """Follow a row through a network whose values are all fixed.

    Args:
        model: the network.
        features: how many numbers a row has.

    Raises:
        DoesNotConnect: a layer does not fit, or the network is larger than the service allows.
    """
    wiring, inputs = wire(model), list(input_shapes(model, features).values())
    if sum(map(math.prod, inputs)) != features:
        what = "inputs are" if len(inputs) > 1 else "input is"
        raise DoesNotConnect(0, f"the {what} {show_all(inputs)}, and a row of the dataset has {features} numbers")
    outputs: dict[int, Shape] = {INPUT_PLACE - number: shape for number, shape in enumerate(inputs)}
    parameters, numbers, multiplications, steps = 0, 0, 0, 0
    owned: dict[int, int] = {}
    for position, wired in enumerate(wiring):
        try:
            found = model.layers[wired.weights_of].measured(*(outputs[source] for source in wired.sources))
            if wired.weights_of != position:
                found = _shared(found, owned[wired.weights_of])
            owned[position] = found.parameters
        except ValueError as misfit:
            raise DoesNotConnect(position, str(misfit)) from None
        outputs[position] = shape = found.output
        parameters += found.parameters
        computed = math.prod(shape) + found.numbers_within
        numbers += computed
        multiplications += found.multiplications
        steps += found.steps
        if parameters > MAX_PARAMETERS:
            raise DoesNotConnect(
                position, f"up to this layer the network has {parameters:,} parameters; at most {MAX_PARAMETERS:,} fit"
            )
        if computed > MAX_LAYER_OUTPUTS:
            raise DoesNotConnect(
                position, f"this layer gives {computed:,} numbers per row; at most {MAX_LAYER_OUTPUTS:,} fit"
            )
    of_layers = tuple(outputs[position] for position in range(len(model.layers)))
    ends = tuple(of_layers[place] for place in model.output_places())
    return Network(ends, parameters, numbers, multiplications, of_layers, steps)


def targets_of(trial: TrialSpec, features: int) -> list[Target]:
    """Return the target of each output of a trial's network, by the number of features of its dataset."""
    outputs = measure(trial.model, features).outputs
    return [target_of(head.loss, shape[-1]) for head, shape in zip(trial.heads, outputs, strict=True)]


def _shared(found: Measured, parameters: int) -> Measured:
    """Return what a layer gives that is called again: its weights count once.

    Raises:
        ValueError: it would need others.
    """
    if found.parameters != parameters:
        raise ValueError("the shared layer was built for inputs of another shape")
    return found._replace(parameters=0)
