"""Graph of a network: the inputs of each layer.

Shapes are computed in `fittingroom.specs.validation.shapes`.
"""

from collections.abc import Mapping

from fittingroom.specs import layers as l

INPUT = "input"
"""Name of the network's input among a layer's inputs."""
INPUT_PLACE = -1


class DoesNotConnect(ValueError):
    """A layer cannot take what the layer before it gives.

    Attributes:
        layer: the layer's position, from 0.
    """

    def __init__(self, layer: int, message: str) -> None:
        super().__init__(message)
        self.layer = layer


def wire(layers: list[l.Layer]) -> list[tuple[int, ...]]:
    """Return the positions of each layer's inputs, `INPUT_PLACE` for the network's input.

    Raises:
        DoesNotConnect: a name is unknown or repeated, a layer has too few or too many inputs, or its output is unused.
    """
    places: dict[str, int] = {INPUT: INPUT_PLACE}
    wiring: list[tuple[int, ...]] = []
    for position, layer in enumerate(layers):
        try:
            wiring.append(_sources(layer, position, places))
        except ValueError as misfit:
            raise DoesNotConnect(position, str(misfit)) from None
        if layer.name is not None:
            if layer.name in places:
                raise DoesNotConnect(position, f"duplicate layer name {layer.name!r}; names must be unique")
            places[layer.name] = position
    used = {place for sources in wiring for place in sources}
    for position in range(len(layers) - 1):
        if position not in used:
            raise DoesNotConnect(position, "no layer takes what this one gives; the last layer is the network's output")
    return wiring


def _sources(layer: l.Layer, position: int, places: Mapping[str, int]) -> tuple[int, ...]:
    """Return the positions of the layers that a layer takes from."""
    names = layer.inputs
    for name in names or ():
        if name not in places:
            raise ValueError(f"no layer before this one is called {name!r}; there are: {', '.join(places)}")
    sources = (position - 1,) if names is None else tuple(places[name] for name in names)
    if not isinstance(layer, l.Merging):
        if len(sources) != 1:
            raise ValueError(f"{layer.type} takes one input, found {len(sources)}; put a merging layer before it")
    elif len(sources) < 2:
        raise ValueError(f'{layer.type} takes two inputs or more; name them: "inputs": ["…", "…"]')
    elif layer.type == "subtract" and len(sources) != 2:
        raise ValueError(f"subtract takes two inputs, found {len(sources)}")
    return sources


def is_chain(layers: list[l.Layer]) -> bool:
    """Return True if the input of each layer is the layer before it, and nothing else."""
    return wire(layers) == [(position - 1,) for position in range(len(layers))]
