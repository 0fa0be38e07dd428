"""Graph of a network: the inputs of each layer.

Shapes are computed in `fittingroom.specs.validation.shapes`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from fittingroom.specs.layers.core import Shared
from fittingroom.specs.layers.layer_spec import LayerSpec, Shape, type_of
from fittingroom.specs.layers.preprocessing import Normalization
from fittingroom.specs.model import Model

INPUT = "input"
"""Name of the network's input among a layer's inputs, where it has one."""
INPUT_PLACE = -1
"""Position of the input; further inputs are at -2, -3, …."""


class DoesNotConnect(ValueError):
    """A layer cannot take what the layer before it gives.

    Attributes:
        layer: the layer's position, from 0.
    """

    def __init__(self, layer: int, message: str) -> None:
        super().__init__(message)
        self.layer = layer


class Wire(NamedTuple):
    """A layer's place in the graph."""

    sources: tuple[int, ...]
    """Positions of the layers that it takes from; see `INPUT_PLACE`."""
    weights_of: int
    """Position of the layer whose weights it has: its own, unless it is `shared`."""


def input_shapes(model: Model, features: int) -> dict[str, Shape]:
    """Return the shape of each input of a network, by name, in the order in which a row is divided among them."""
    if model.inputs is not None:
        return {name: tuple(shape) for name, shape in model.inputs.items()}
    return {INPUT: tuple(model.input_shape or (features,))}


def wire(model: Model) -> list[Wire]:
    """Return where each layer's inputs come from.

    Raises:
        DoesNotConnect: a name is unknown or repeated, a layer has too few or too many inputs, or its output is unused.
    """
    layers, names = model.layers, list(model.inputs or [INPUT])
    places = {name: INPUT_PLACE - number for number, name in enumerate(names)}
    wiring: list[Wire] = []
    for position, layer in enumerate(layers):
        try:
            weights_of = _weights_of(layer, position, layers, places)
            wiring.append(Wire(_sources(layer, layers[weights_of], position, places), weights_of))
        except ValueError as misfit:
            raise DoesNotConnect(position, str(misfit)) from None
        if layer.name is not None:
            if layer.name in places:
                raise DoesNotConnect(position, f"duplicate layer name {layer.name!r}; names must be unique")
            places[layer.name] = position
        if isinstance(layer, Normalization) and layer.is_adapted and wiring[-1].sources[0] >= 0:
            detail = "mean and variance can be measured of an input of the network only; give both, or put it there"
            raise DoesNotConnect(position, detail)
    used = {place for wired in wiring for place in wired.sources}
    if unused := [name for name in names if places[name] not in used]:
        raise DoesNotConnect(0, f"no layer takes the input {unused[0]!r}")
    for position in range(len(layers)):
        if position not in used and position not in model.output_places():
            ends = "the last layer is the network's output" if model.outputs is None else "nor is it among the outputs"
            raise DoesNotConnect(position, f"no layer takes what this one gives; {ends}")
    return wiring


def _weights_of(layer: LayerSpec, position: int, layers: list[LayerSpec], places: Mapping[str, int]) -> int:
    """Return the position of the layer whose weights a layer has."""
    if not isinstance(layer, Shared):
        return position
    earlier = places.get(layer.layer, INPUT_PLACE)
    if earlier < 0 or isinstance(layers[earlier], Shared):
        raise ValueError(
            f"no layer before this one is called {layer.layer!r}, or it is itself shared; name the first one"
        )
    return earlier


def _sources(layer: LayerSpec, called: LayerSpec, position: int, places: Mapping[str, int]) -> tuple[int, ...]:
    """Return the positions of the layers that a layer takes from; `called` has its weights."""
    names = layer.inputs
    if names is None and position == 0 and INPUT not in places:
        raise ValueError(f'the first layer must say which input it takes: "inputs": ["{next(iter(places))}"]')
    for name in names or ():
        if name not in places:
            raise ValueError(f"no layer before this one is called {name!r}; there are: {', '.join(places)}")
    sources = (position - 1,) if names is None else tuple(places[name] for name in names)
    fewest, most = called.inputs_taken
    if most == 1 and len(sources) != 1:
        raise ValueError(f"{type_of(layer)} takes one input, found {len(sources)}; put a merging layer before it")
    if len(sources) < fewest:
        number = "two inputs or more" if most > fewest else "two inputs"
        raise ValueError(f'{type_of(layer)} takes {number}; name them: "inputs": ["…", "…"]')
    if len(sources) > most:
        number = "two inputs" if most == 2 else f"{fewest} to {most} inputs"
        raise ValueError(f"{type_of(layer)} takes {number}, found {len(sources)}")
    return sources


def is_chain(model: Model) -> bool:
    """Return True if the input of each layer is the layer before it, and nothing else."""
    return (
        model.inputs is None
        and model.outputs is None
        and wire(model) == [Wire((position - 1,), position) for position in range(len(model.layers))]
    )
