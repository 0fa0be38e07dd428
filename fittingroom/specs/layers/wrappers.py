"""Layers around another layer, with the names and defaults of Keras."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fittingroom.specs.base import Int
from fittingroom.specs.layers.any_layer import AnyLayer
from fittingroom.specs.layers.core import EinsumDense, Shared
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape, type_of
from fittingroom.specs.layers.preprocessing import Normalization
from fittingroom.specs.layers.recurrent import GRU, LSTM, RNN, SimpleRNN
from fittingroom.specs.layers.shape_rules import show
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.search.searchable import SearchableInt, SearchableName

_MAX_DEPTH = 3
"""Maximum number of layers around a layer."""
_Recurrent = (RNN, SimpleRNN, LSTM, GRU)


def _inner(layer: LayerSpec) -> LayerSpec:
    if layer.inputs is not None:
        raise ValueError("a layer within a layer takes what that one takes; leave its 'inputs' out")
    if isinstance(layer, Shared) or (isinstance(layer, Normalization) and layer.is_adapted):
        raise ValueError(f"{type_of(layer)} cannot be within another layer as it is")
    if isinstance(layer, EinsumDense) and isinstance(layer.output_shape, list) and None in layer.output_shape:
        raise ValueError("within another layer, output_shape of einsum_dense must say how long each axis is")
    if layer.inputs_as != "tensor":
        raise ValueError(f"{type_of(layer)} takes several inputs, so no layer can be around it")
    depth, within = 0, layer
    while isinstance(within, Wrapper):
        depth, within = depth + 1, within.layer
    if depth >= _MAX_DEPTH:
        raise ValueError(f"there are more than {_MAX_DEPTH} layers around a layer")
    return layer


Inner = Annotated[AnyLayer, AfterValidator(_inner)]


class Wrapper(LayerSpec):
    """Fields of layers around another layer."""

    layer: Inner
    """The layer within."""

    def parts(self) -> Iterator[LayerSpec]:
        """See the base."""
        yield self
        yield from self.layer.parts()

    @property
    def is_random(self) -> bool:
        """See the base. A dropout within is Keras's own."""
        return type_of(self.layer) == "dropout"


class TimeDistributed(Wrapper):
    """Applies a layer to each step of a sequence (`keras.layers.TimeDistributed`)."""

    type: Literal["time_distributed"]

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        steps, *of_step = inputs[0]
        if not of_step:
            raise ValueError(f"time_distributed takes steps and then the axes of a step; found {show(inputs[0])}")
        found = self.layer.measured(tuple(of_step))
        within = found.numbers_within * steps
        output, products = (steps, *found.output), found.multiplications * steps
        return Measured(output, found.parameters, products, within, found.steps * steps)


class Bidirectional(Wrapper):
    """Goes through a sequence in both directions (`keras.layers.Bidirectional`)."""

    type: Literal["bidirectional"]
    merge_mode: SearchableName[Literal["concat", "sum", "mul", "ave"]] = "concat"
    """Combination of the outputs of both directions."""
    backward_layer: Inner | None = None
    """The layer of the other direction. Default: like `layer`, with the other `go_backwards`."""

    def parts(self) -> Iterator[LayerSpec]:
        """See the base."""
        yield from super().parts()
        if self.backward_layer is not None:
            yield from self.backward_layer.parts()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for layer in filter(None, (self.layer, self.backward_layer)):
            if not isinstance(layer, _Recurrent):
                found = type_of(layer)
                raise ValueError(f"bidirectional takes rnn, simple_rnn, lstm or gru, found {found}")  # noqa: TRY004 - pydantic's
        other = self.backward_layer
        if other is None and self.layer.go_backwards is True:  # type: ignore[attr-defined]
            raise ValueError("layer must go forwards; give a backward_layer for the other direction")
        if isinstance(other, _Recurrent) and isinstance(self.layer, _Recurrent):
            both = (other, self.layer)
            options = [(one.go_backwards, one.return_sequences) for one in both]
            if not all(isinstance(value, bool) for pair in options for value in pair):
                raise ValueError("with a backward_layer, go_backwards and return_sequences must be true or false")
            if options[0][0] == options[1][0]:
                raise ValueError("backward_layer needs the other value of go_backwards than layer")
            if options[0][1] != options[1][1]:
                raise ValueError("backward_layer needs the same return_sequences as layer")
        return self

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        one = self.layer.measured(*inputs)
        other = one if self.backward_layer is None else self.backward_layer.measured(*inputs)
        if one.output != other.output:
            raise ValueError(f"both directions need equal outputs, found {show(one.output)}, {show(other.output)}")
        last = one.output[-1] * (2 if sampled_value(self.merge_mode) == "concat" else 1)
        return Measured(
            (*one.output[:-1], last),
            one.parameters + other.parameters,
            one.multiplications + other.multiplications,
            one.numbers_within + other.numbers_within,
            one.steps + other.steps,
        )


class SpectralNormalization(Wrapper):
    """Divides the kernel of a layer by its largest singular value (`keras.layers.SpectralNormalization`)."""

    is_pure = False
    type: Literal["spectral_normalization"]
    power_iterations: SearchableInt[Annotated[Int, Field(ge=1, le=100)]] = 1
    """Number of iterations by which the singular value is estimated."""

    @model_validator(mode="after")
    def _has_kernel(self) -> Self:
        # Those that Keras's attribute `kernel` or `embeddings` is of.
        known = {"dense", "einsum_dense", "embedding", "conv1d", "conv2d", "conv3d", "depthwise_conv1d",
                 "depthwise_conv2d", "conv1d_transpose", "conv2d_transpose", "conv3d_transpose"}  # fmt: skip
        if type_of(self.layer) not in known:
            raise ValueError(f"spectral_normalization takes a layer with one kernel, found {type_of(self.layer)}")
        return self

    def measured(self, *inputs: Shape) -> Measured:
        """See the base. The vector of the iterations is as long as the last axis of the kernel."""
        found = self.layer.measured(*inputs)
        return found._replace(parameters=found.parameters + self._vector(found.output, inputs[0]))

    def _vector(self, output: Shape, shape: Shape) -> int:
        kind = type_of(self.layer)
        if kind.endswith("_transpose"):
            return shape[-1]  # a transposed kernel has the input's channels last
        if kind.startswith("depthwise"):
            return output[-1] // shape[-1]
        if isinstance(self.layer, EinsumDense):
            return self.layer.shapes(shape).kernel[-1]
        return output[-1]
