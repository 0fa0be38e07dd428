"""Base of all layers: the fields that each of them has, and the shape rule that each of them gives."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, get_args

from pydantic import Field, model_validator

from fittingroom.specs.base import Bool, Spec
from fittingroom.specs.limits import MAX_LAYERS
from fittingroom.specs.search.searchable import SearchableName

Shape = tuple[int, ...]
"""Without the batch axis."""
LayerName = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
_VECTORS = ("bias", "beta", "gamma", "alpha", "moving_mean", "moving_variance")


class Measured(NamedTuple):
    """Output of a layer, by arithmetic."""

    output: Shape
    parameters: int = 0
    """Numbers of all weights, trainable or not."""
    multiplications: int = 0
    """Multiply-adds per row."""
    numbers_within: int = 0
    """Numbers per row that it computes on the way, beyond its output; constants included."""
    steps: int = 0
    """Steps of a sequence that it computes one after the other."""


LAYER_TYPES: dict[str, "type[LayerSpec]"] = {}
"""Classes of layers and cells by `type`, once their modules are imported."""


class LayerSpec(Spec):
    """Fields of all layers."""

    inputs_taken: ClassVar[tuple[int, int]] = (1, 1)
    """Minimum and maximum number of inputs."""
    inputs_as: ClassVar[Literal["tensor", "list", "arguments"]] = "tensor"
    """Call of Keras's layer: with one tensor, a list of them, or one argument for each."""
    keeps_rows_apart: ClassVar[bool] = True
    """True if the output of a row depends on this row alone, also in training."""
    validates_apart: ClassVar[bool] = True
    """True if the same holds outside of training for layers of the kind; see `is_validated_apart`."""
    draws: ClassVar[bool] = False
    """True if layers of the kind always draw; see `is_random`."""
    convolves: ClassVar[bool] = False
    """True for convolutions, which on a CPU are slower for several trials at once than one by one."""
    takes_zeros: ClassVar[bool] = True
    """False if what is computed of a row of zeros, or its gradient, may not be finite."""
    draws_in_build: ClassVar[bool] = False
    """True if Keras draws seeds when it builds the layer: as a model's JSON is loaded, this is before the next one."""
    has_sparse_gradient: ClassVar[bool] = False
    """True if its gradient is a list of a table's rows, which Keras on TensorFlow squares before it adds them up."""
    goes_by_steps: ClassVar[bool] = False
    """True if it computes the steps of a sequence one after the other."""
    is_pure: ClassVar[bool] = True
    """False if its weights change in other ways than by the optimizer, so that only `fit` trains it."""
    exported_as: ClassVar[str | None] = None
    """Name of the class in `keras.layers`, where it is not its own."""
    kernel_rank: ClassVar[int] = 2
    """Number of axes of its kernel."""
    place: ClassVar[Literal["network", "rnn"]] = "network"
    """Place in a spec: among the layers, or within `rnn`."""

    name: LayerName | None = None
    """Layer name, for `inputs` of later layers and for Keras's summary."""
    inputs: list[LayerName] | None = Field(default=None, min_length=1, max_length=MAX_LAYERS)
    """Names of the input layers; `input` is the network's input. Default: the layer before."""
    trainable: SearchableName[Bool] = True
    """False to keep the initial weights; a frozen batch normalization uses its moving averages."""

    def rank_of(self, weights: str) -> int:
        """Return how many axes some weights have, by the first part of the names of their options."""
        if weights in _VECTORS:
            return 1
        return self.kernel_rank

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        """Refuse what Keras cannot do with weights of so many axes."""
        for field in type(self).model_fields:
            of, _, what = field.rpartition("_")
            given = getattr(self, field)
            if given is None or of == "activity" or what not in {"initializer", "regularizer", "constraint"}:
                continue
            rank, names = self.rank_of(of), getattr(given, "choice", [getattr(given, "name", given)])
            needs_two = {"identity", "orthogonal_regularizer"} & set(map(str, names))
            axes = getattr(given, "axis", 0)
            listed = axes if isinstance(axes, list) else [axes]
            if (rank == 1 and "orthogonal" in names) or (rank != 2 and needs_two):
                raise ValueError(f"{field} cannot be {' or '.join(map(repr, names))}: its weights have {rank} axes")
            if max(listed) >= rank or len(set(listed)) < len(listed):
                raise ValueError(f"axis {axes} of {field} must name axes of its weights once, from 0 to {rank - 1}")
        return self

    def measured(self, *inputs: Shape) -> Measured:
        """Return the output shape and the size of the weights. By default the shape stays, without weights.

        Args:
            inputs: shape of each input, without the batch axis.

        Raises:
            ValueError: it cannot take such inputs.
        """
        return Measured(inputs[0])

    def call_options(self) -> dict[str, Any]:
        """Return the options of the layer's call."""
        return {}

    def options(self) -> dict[str, Any]:
        """Return the arguments of Keras's layer that are given, as specs or plain values."""
        apart = {"type", "name", "inputs", "trainable"}
        return {key: value for key, value in self if key not in apart and value is not None}

    def parts(self) -> Iterator["LayerSpec"]:
        """Yield the layer and all layers within it."""
        yield self

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:  # noqa: ANN401 - pydantic's hook
        """Note a class that is a layer, and not a base of several."""
        if "type" in cls.__annotations__:
            LAYER_TYPES[get_args(cls.__annotations__["type"])[0]] = cls

    @property
    def is_random(self) -> bool:
        """True if it draws random numbers in training by operations that XLA computes otherwise than TensorFlow."""
        return self.draws

    @property
    def is_validated_apart(self) -> bool:
        """True if outside of training the output of a row depends on this row alone, and nothing of the layer changes.

        Keras draws the dropouts of recurrent layers then as well.
        """
        return self.validates_apart and not (self.goes_by_steps and self.is_random)

    @property
    def regularizes_activity(self) -> bool:
        """True if the loss has a term of its outputs."""
        return getattr(self, "activity_regularizer", None) is not None


def type_of(layer: LayerSpec) -> str:
    """Return the `type` of a layer."""
    found: str = layer.type  # type: ignore[attr-defined]  # each layer has it, as a literal of its own
    return found
