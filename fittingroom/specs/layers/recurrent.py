"""Recurrent layers and their cells, with the names and defaults of Keras."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from fittingroom.specs.base import Bool, Real, Spec
from fittingroom.specs.layers.activations import Activated, ActivationFunction
from fittingroom.specs.layers.any_layer import AnyCell
from fittingroom.specs.layers.core import Units
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape
from fittingroom.specs.layers.shape_rules import spatial
from fittingroom.specs.layers.weights import AnyRegularizer, Bias, Constraint, Initializer, Kernel
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.search.searchable import SearchableInt, SearchableName, SearchableReal

_Rate = Annotated[Real, Field(ge=0, lt=1)]


_MAX_UNROLLED = 64
"""Maximum number of steps that are written out."""


class SequenceLayer(LayerSpec):
    """Fields of layers that go through the steps of a sequence."""

    goes_by_steps = True
    return_sequences: SearchableName[Bool] = False
    """True to give the output of each step, False for the output of the last one."""
    go_backwards: SearchableName[Bool] = False
    """True to begin with the last step."""
    unroll: SearchableName[Bool] = False
    """True to write the steps out in the program, which is faster for very few of them."""
    zero_output_for_mask: SearchableName[Bool] = False
    """True to give 0 for masked steps, False to repeat the output before."""

    def _steps(self, shape: Shape) -> tuple[int, int]:
        """Return the number of steps and the numbers per step."""
        [steps], channels = spatial(self, shape, 1)
        if sampled_value(self.unroll) and steps > _MAX_UNROLLED:
            raise ValueError(f"unroll writes each step out in the program; found {steps:,}, at most {_MAX_UNROLLED}")
        return steps, channels

    def output_of(self, steps: int, of_step: Shape) -> Shape:
        """Return the shape of the output for a shape per step."""
        return (steps, *of_step) if sampled_value(self.return_sequences) else of_step


class _Recurrence(Activated, Kernel, Bias, Spec):
    """Options of a recurrent cell."""

    gates: ClassVar[int] = 1
    """Number of kernels side by side."""

    units: SearchableInt[Units]
    """Number of outputs."""
    activation: ActivationFunction = "tanh"
    """Activation function of the output."""
    recurrent_initializer: Initializer = "orthogonal"
    """Initializer of the kernel that takes the output of the step before."""
    recurrent_regularizer: AnyRegularizer | None = None
    """Regularizer of that kernel."""
    recurrent_constraint: Constraint | None = None
    """Constraint of that kernel."""
    dropout: SearchableReal[_Rate] = 0.0
    """Fraction of the inputs set to 0 in training."""
    recurrent_dropout: SearchableReal[_Rate] = 0.0
    """Fraction of the outputs of the step before set to 0 in training."""

    @property
    def is_random(self) -> bool:
        """See `LayerSpec`."""
        return bool(sampled_value(self.dropout) or sampled_value(self.recurrent_dropout))

    def of_step(self, channels: int) -> Measured:
        """Return what a step of so many numbers gives."""
        units = sampled_value(self.units)
        kernels = self.gates * units * (channels + units)
        return Measured((units,), kernels + (self._biases() if sampled_value(self.use_bias) else 0), kernels)

    def _biases(self) -> int:
        return self.gates * sampled_value(self.units)


class _Gated(_Recurrence):
    """Options of a recurrent cell with gates."""

    recurrent_activation: ActivationFunction = "sigmoid"
    """Activation function of the gates."""


class _LongShortTerm(_Gated):
    """Options of a long short-term memory."""

    gates = 4
    unit_forget_bias: SearchableName[Bool] = True
    """True to begin with 1 as the bias of the forget gate."""


class _GatedUnit(_Gated):
    """Options of a gated recurrent unit."""

    gates = 3
    reset_after: SearchableName[Bool] = True
    """True to apply the reset gate after the product with the kernel."""

    def _biases(self) -> int:
        return self.gates * sampled_value(self.units) * (2 if sampled_value(self.reset_after) else 1)


class _Recurrent(_Recurrence, SequenceLayer):
    """Fields of recurrent layers."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        steps, channels = self._steps(inputs[0])
        found = self.of_step(channels)
        kept = 2 * self.gates * steps * sampled_value(self.units)  # of each step, for the way back
        output = self.output_of(steps, found.output)
        return Measured(output, found.parameters, found.multiplications * steps, kept, steps)


class SimpleRNN(_Recurrent):
    """Fully connected recurrent layer (`keras.layers.SimpleRNN`)."""

    type: Literal["simple_rnn"]


class LSTM(_LongShortTerm, _Recurrent):
    """Long short-term memory (`keras.layers.LSTM`)."""

    type: Literal["lstm"]


class GRU(_GatedUnit, _Recurrent):
    """Gated recurrent unit (`keras.layers.GRU`)."""

    type: Literal["gru"]


class CellSpec(LayerSpec):
    """Fields of cells, which only `rnn` takes."""

    place = "rnn"
    goes_by_steps = True

    @model_validator(mode="after")
    def _has_no_penalty(self) -> Self:
        if self.regularizes_activity:
            raise ValueError("a cell cannot have an activity_regularizer; put activity_regularization after the layer")
        return self


class SimpleRNNCell(_Recurrence, CellSpec):
    """Step of a fully connected recurrent layer (`keras.layers.SimpleRNNCell`)."""

    type: Literal["simple_rnn_cell"]


class LSTMCell(_LongShortTerm, CellSpec):
    """Step of a long short-term memory (`keras.layers.LSTMCell`)."""

    type: Literal["lstm_cell"]


class GRUCell(_GatedUnit, CellSpec):
    """Step of a gated recurrent unit (`keras.layers.GRUCell`)."""

    type: Literal["gru_cell"]


class StackedRNNCells(CellSpec):
    """Cells on top of each other (`keras.layers.StackedRNNCells`)."""

    type: Literal["stacked_rnn_cells"]
    cells: Annotated[list[AnyCell], Field(min_length=1, max_length=8)]
    """The cells, the first takes the input."""

    def parts(self) -> Iterator[LayerSpec]:
        """See the base."""
        yield self
        for cell in self.cells:
            yield from cell.parts()

    def of_step(self, channels: int) -> Measured:
        """Return what a step of so many numbers gives."""
        parameters, multiplications = 0, 0
        for cell in self.cells:
            found = cell.of_step(channels)  # type: ignore[attr-defined]
            [channels] = found.output
            parameters, multiplications = parameters + found.parameters, multiplications + found.multiplications
        return Measured((channels,), parameters, multiplications)


class RNN(SequenceLayer):
    """Recurrent layer of a cell, or of cells on top of each other (`keras.layers.RNN`)."""

    type: Literal["rnn"]
    cell: Annotated[
        Annotated[AnyCell, Tag("one")] | Annotated[list[AnyCell], Field(min_length=1, max_length=8), Tag("several")],
        Discriminator(lambda value: "several" if isinstance(value, list) else "one"),
    ]
    """The cell, or a list of cells on top of each other."""

    @property
    def _cells(self) -> list[LayerSpec]:
        return self.cell if isinstance(self.cell, list) else [self.cell]

    def parts(self) -> Iterator[LayerSpec]:
        """See the base."""
        yield self
        for cell in self._cells:
            yield from cell.parts()

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        steps, channels = self._steps(inputs[0])
        whole = StackedRNNCells.model_construct(type="stacked_rnn_cells", cells=self._cells).of_step(channels)
        output = self.output_of(steps, whole.output)
        return Measured(output, whole.parameters, whole.multiplications * steps, steps=steps)
