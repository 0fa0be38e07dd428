"""A network: layers, inputs and outputs."""

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import Field, PrivateAttr, model_validator

from fittingroom.specs.base import Int, Spec, refuse_early
from fittingroom.specs.layers.any_layer import Layer
from fittingroom.specs.layers.core import Shared
from fittingroom.specs.layers.layer_spec import LayerName, LayerSpec
from fittingroom.specs.limits import MAX_AXIS_LENGTH, MAX_LAYERS, MAX_OUTPUTS, MAX_RESHAPE_RANK
from fittingroom.specs.search.search_space import SPACES, search_space_kind

InputShape = Annotated[
    list[Annotated[Int, Field(ge=1, le=MAX_AXIS_LENGTH)]], Field(min_length=1, max_length=MAX_RESHAPE_RANK)
]


_KEYS_OF_A_LOSS = {*SPACES, "name"}


class Model(Spec):
    """A network: its layers in order; the last layer is the output, unless it has `outputs`."""

    input_shape: InputShape | None = None
    """Input shape without the batch axis, e.g. `[28, 28, 1]`. Default: a flat vector."""
    inputs: (
        Annotated[
            dict[LayerName, InputShape],
            Field(min_length=1, max_length=MAX_LAYERS),
            refuse_early(dict[LayerName, Any], MAX_LAYERS),
        ]
        | None
    ) = None
    """Several inputs by name, with the shape of each: the numbers of a row are divided among them in this order.
    Layers take them by their `inputs`."""
    outputs: Annotated[list[LayerName], Field(min_length=2, max_length=MAX_OUTPUTS)] | None = None
    """Several outputs: the names of the layers that give them. `loss` and `metrics` then are objects by these names.
    Each is trained on all targets of a row, if it has one unit for each; or else the targets are divided among them in
    this order."""
    layers: list[Layer] = Field(min_length=1, max_length=MAX_LAYERS)
    """Layers in order. The input of each is the output of the one before, unless it has `inputs`."""

    _places: list[tuple[str | int, ...]] = PrivateAttr(default_factory=list)

    def read_from(self, places: list[tuple[str | int, ...]]) -> None:
        """Keep where each layer stands in the document from which the network was read, Keras's own."""
        self._places = places

    def place_of(self, position: int, *field: str) -> tuple[str | int, ...]:
        """Return where a layer, or a field of it, stands in the document from which the network was read."""
        if self._places:
            return (*self._places[position], "config", *field) if field else self._places[position]
        return ("layers", position, *field)

    def parts(self) -> Iterator[LayerSpec]:
        """Yield all layers, those within others included."""
        for layer in self.layers:
            yield from layer.parts()

    @model_validator(mode="after")
    def _one_of_shape_and_inputs(self) -> Self:
        if self.input_shape is not None and self.inputs is not None:
            raise ValueError("give either 'input_shape' (one input) or 'inputs' (several, by name)")
        if self.inputs is not None and (kind := search_space_kind(self.inputs)) is not None:
            raise ValueError(f"an input cannot be called {kind!r}, as a search space is")
        return self

    @model_validator(mode="after")
    def _outputs_are_layers(self) -> Self:
        outputs, layers = self.outputs or [], {layer.name: layer for layer in self.layers if layer.name is not None}
        for name in outputs:
            if name not in layers:
                raise ValueError(
                    f"no layer is called {name!r}, which stands in outputs; there are: {', '.join(layers)}"
                )
            if name in _KEYS_OF_A_LOSS or name == "val" or name.startswith("val_"):
                raise ValueError(f"an output cannot be called {name!r}, which means something else; rename its layer")
        if again := [name for name in outputs if isinstance(layers[name], Shared)]:
            remedy = "put an `activation` of `linear` after it"
            raise ValueError(f"the output {again[0]!r} is a layer called again; {remedy}")
        if len(set(outputs)) < len(outputs):
            raise ValueError(f"duplicate output in {outputs}; list each once")
        return self

    def output_places(self) -> list[int]:
        """Return the positions of the layers that give the outputs."""
        if self.outputs is None:
            return [len(self.layers) - 1]
        places = {layer.name: position for position, layer in enumerate(self.layers)}
        return [places[name] for name in self.outputs]

    @property
    def only_fit_trains(self) -> str | None:
        """Reason why the network trains by Keras's `fit` alone, or None."""
        if not all(layer.is_pure for layer in self.parts()):
            return "a layer changes its own weights, which only Keras's fit trains"
        again = {layer.layer for layer in self.layers if isinstance(layer, Shared)}
        called = [part for layer in self.layers if layer.name in again for part in layer.parts()]
        if any(part.regularizes_activity or not part.keeps_rows_apart for part in called):
            return "a layer that is called again has state or a penalty of its outputs, which only Keras's fit adds up"
        return None
