"""Dense layers, embeddings, and layers that change nothing but what follows."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from fittingroom.specs.base import Bool, Int, Real
from fittingroom.specs.layers.activations import Activated
from fittingroom.specs.layers.einsum import EinsumShapes, einsum_shapes
from fittingroom.specs.layers.layer_spec import LayerName, LayerSpec, Measured, Shape
from fittingroom.specs.layers.weights import AnyRegularizer, Bias, Constraint, Initializer, Kernel, Penalty
from fittingroom.specs.limits import MAX_AXIS_LENGTH, MAX_LAYERS, MAX_UNITS
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.search.searchable import SearchableInt, SearchableName, SearchableReal

Units = Annotated[Int, Field(ge=1, le=MAX_UNITS)]


class Dense(Activated, Kernel, Bias, LayerSpec):
    """Fully connected layer (`keras.layers.Dense`)."""

    type: Literal["dense"]
    units: SearchableInt[Units]
    """Number of outputs; in the last layer, one per class."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        [shape] = inputs
        units = sampled_value(self.units)
        kernel = shape[-1] * units
        return Measured(
            (*shape[:-1], units),
            kernel + (units if sampled_value(self.use_bias) else 0),
            kernel * math.prod(shape[:-1]),
        )


class EinsumDense(Activated, Kernel, LayerSpec):
    """Layer whose kernel is multiplied as an einsum equation says (`keras.layers.EinsumDense`)."""

    draws_in_build = True
    type: Literal["einsum_dense"]
    equation: Annotated[str, Field(pattern=r"^(\.\.\.)?[a-zA-Z]+,[a-zA-Z]+->(\.\.\.)?[a-zA-Z]+$", max_length=60)]
    """Equation of input and kernel, such as `ab,bc->ac`; the first letter of the input is the batch."""
    output_shape: (
        Annotated[Int, Field(ge=1, le=MAX_AXIS_LENGTH)]
        | Annotated[list[Annotated[Int, Field(ge=1, le=MAX_AXIS_LENGTH)] | None], Field(min_length=1, max_length=8)]
    )
    """Shape of the output without the batch axis; null for an axis that the input has as well."""
    bias_axes: Annotated[str, Field(pattern="^[a-zA-Z]+$", max_length=20)] | None = None
    """Letters of the output's axes that have a bias. Default: no bias."""
    bias_initializer: Initializer = "zeros"
    """Initializer of the bias."""
    bias_regularizer: AnyRegularizer | None = None
    """Regularizer of the bias."""
    bias_constraint: Constraint | None = None
    """Constraint of the bias."""

    def rank_of(self, weights: str) -> int:
        """See the base."""
        kernel = self.equation.partition("->")[0].partition(",")[2]
        return len(self.bias_axes or "b") if weights == "bias" else len(kernel)

    def shapes(self, shape: Shape) -> EinsumShapes:
        """Return the shapes of output, kernel and bias."""
        wanted = [self.output_shape] if isinstance(self.output_shape, int) else self.output_shape
        return einsum_shapes(self.equation, shape, wanted, self.bias_axes or "")

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        found = self.shapes(inputs[0])
        of_bias = math.prod(found.bias) if found.bias else 0
        return Measured(found.output, math.prod(found.kernel) + of_bias, found.multiplications)


class Embedding(LayerSpec):
    """Table of vectors, looked up by integers (`keras.layers.Embedding`)."""

    has_sparse_gradient = True
    takes_zeros = False  # as in `masking`
    type: Literal["embedding"]
    input_dim: Annotated[Int, Field(ge=1, le=MAX_AXIS_LENGTH)]
    """Number of vectors; inputs are integers from 0 to `input_dim` - 1."""
    output_dim: SearchableInt[Units]
    """Length of a vector."""
    embeddings_initializer: Initializer = "random_uniform"
    """Initializer of the vectors."""
    embeddings_regularizer: AnyRegularizer | None = None
    """Regularizer of the vectors."""
    embeddings_constraint: Constraint | None = None
    """Constraint of the vectors."""
    mask_zero: SearchableName[Bool] = False
    """True to mask inputs that are 0, as padding of sequences: layers after it skip them."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        length = sampled_value(self.output_dim)
        return Measured((*inputs[0], length), self.input_dim * length)


class Masking(LayerSpec):
    """Masks steps whose values all equal one number (`keras.layers.Masking`)."""

    takes_zeros = False  # the mean of steps that are all masked is 0 / 0
    type: Literal["masking"]
    mask_value: SearchableReal[Annotated[Real, Field(ge=-1e9, le=1e9)]] = 0.0
    """The number."""


class Identity(LayerSpec):
    """Gives its input (`keras.layers.Identity`)."""

    type: Literal["identity"]


class ActivityRegularization(LayerSpec):
    """Adds a penalty of its input to the loss (`keras.layers.ActivityRegularization`)."""

    type: Literal["activity_regularization"]
    l1: SearchableReal[Penalty] = 0.0
    """L1 factor: multiplies the sum of absolute inputs."""
    l2: SearchableReal[Penalty] = 0.0
    """L2 factor: multiplies the sum of squared inputs."""

    @property
    def regularizes_activity(self) -> bool:
        """See the base."""
        return True


class Shared(LayerSpec):
    """Calls an earlier layer again, with the same weights: in Keras, the same layer called twice."""

    inputs_taken = (1, MAX_LAYERS)
    type: Literal["shared"]
    layer: LayerName
    """Name of the earlier layer."""
    use_causal_mask: Bool = False
    """True to hide later steps from earlier ones, if the layer is one of attention."""

    def call_options(self) -> dict[str, Any]:
        """See the base."""
        return {"use_causal_mask": True} if self.use_causal_mask else {}
