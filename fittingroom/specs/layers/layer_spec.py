"""Base of all layers: the fields that each of them has, and the shape rule that each of them gives."""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self, TypeAlias, get_args

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from fittingroom.specs.base import Bool, Spec
from fittingroom.specs.limits import MAX_LAYERS
from fittingroom.specs.search_space import SearchableName, sampled_value

Shape = tuple[int, ...]
"""Without the batch axis."""
LayerName = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
AXES = {1: "steps, channels", 2: "height, width, channels", 3: "depth, height, width, channels"}
"""Axes of what a layer with one, two or three spatial axes takes."""


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


LAYER_TYPES: dict[str, "type[LayerSpec]"] = {}
"""Classes of layers and cells by `type`, once their modules are imported."""


class LayerSpec(Spec):
    """Fields of all layers."""

    model_config = ConfigDict(defer_build=True)  # there are a hundred of them, and a process needs a few

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

    @model_validator(mode="after")
    def _initializers_fit(self) -> Self:
        """Refuse initializers that Keras cannot use for weights of these axes."""
        for field in type(self).model_fields:
            of, _, what = field.rpartition("_")
            if what == "initializer":
                rank = 1 if of in _VECTORS else 2 if of in {"recurrent", "embeddings"} else self.kernel_rank
                given = getattr(self, field)
                names = getattr(given, "choice", [getattr(given, "name", given)])
                if (rank == 1 and "orthogonal" in names) or (rank != 2 and "identity" in names):
                    raise ValueError(
                        f"{field} cannot be {' or '.join(map(repr, names))}: it is of weights with {rank} axes"
                    )
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


def _find(value: Any, place: str) -> LayerSpec:  # noqa: ANN401 - JSON
    """Return a layer of any type, validated."""
    if isinstance(value, LayerSpec):
        return value
    if not isinstance(value, dict):
        raise PydanticKnownError("dict_type")
    if "type" not in value:
        raise PydanticKnownError("union_tag_not_found", {"discriminator": "'type'"})
    kind = LAYER_TYPES.get(value["type"]) if isinstance(value["type"], str) else None
    if kind is None or kind.place != place:
        known = ", ".join(f"'{name}'" for name, layer in LAYER_TYPES.items() if layer.place == place)
        about = {
            "discriminator": "'type'",
            "tag": str(value["type"]).encode(errors="replace").decode(),
            "expected_tags": known,
        }
        raise PydanticKnownError("union_tag_invalid", about)
    return kind.model_validate(value)


class _OfAnyType:
    """Annotates a layer of any type, whose class is made ready when the first such layer comes."""

    def __init__(self, place: str, *, is_listed: bool) -> None:
        self._place, self._is_listed = place, is_listed

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401 - pydantic's hook
        """Pydantic's own way to add a rule."""
        return core_schema.no_info_plain_validator_function(partial(_find, place=self._place))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the layers where they are listed, and refer to them elsewhere, as a layer may be in a layer."""
        layers = [layer for layer in LAYER_TYPES.values() if layer.place == self._place]
        if not self._is_listed:
            types = [get_args(layer.model_fields["type"].annotation)[0] for layer in layers]
            return {
                "type": "object",
                "properties": {"type": {"enum": types}},
                "required": ["type"],
                "description": "A layer, with its `type` and options.",
            }
        del schema
        for layer in layers:
            layer.model_rebuild()
        # As definitions, so that each is described once, by its name.
        return {"oneOf": [handler(core_schema.definitions_schema(one.__pydantic_core_schema__, [])) for one in layers]}


if TYPE_CHECKING:
    Layer: TypeAlias = LayerSpec
    AnyLayer: TypeAlias = LayerSpec
    AnyCell: TypeAlias = LayerSpec
else:
    Layer = Annotated[LayerSpec, _OfAnyType("network", is_listed=True)]
    AnyLayer = Annotated[LayerSpec, _OfAnyType("network", is_listed=False)]
    AnyCell = Annotated[LayerSpec, _OfAnyType("rnn", is_listed=False)]


def show(shape: Shape) -> str:
    """Return a shape for people."""
    return " x ".join(map(str, shape)) if len(shape) > 1 else f"{shape[0]} numbers in a row"


def show_all(shapes: Iterable[Shape]) -> str:
    """Return several shapes for people."""
    return ", ".join(map(show, shapes))


def spatial(layer: LayerSpec, shape: Shape, rank: int) -> tuple[Shape, int]:
    """Return the spatial sides and the channels of an input.

    Raises:
        ValueError: it has another rank.
    """
    if len(shape) != rank + 1:
        kind = {1: "series", 2: "images", 3: "volumes"}[rank]
        raise ValueError(
            f"{type_of(layer)} takes {kind} of {AXES[rank]}; found {show(shape)}; put a reshape layer before it"
        )
    return shape[:-1], shape[-1]


def type_of(layer: LayerSpec) -> str:
    """Return the `type` of a layer."""
    found: str = layer.type  # type: ignore[attr-defined]  # each layer has it, as a literal of its own
    return found


def sides(value: Any, rank: int) -> Shape:  # noqa: ANN401 - a searchable number, or a sequence of numbers
    """Return one number for each spatial axis."""
    plain = sampled_value(value)
    return tuple(plain) if isinstance(plain, Sequence) else (plain,) * rank


def slide(lengths: Shape, window: Shape, strides: Shape, padding: str) -> Shape:
    """Return how many places a window takes along each axis.

    Raises:
        ValueError: the window is larger than the input.
    """
    if padding != "valid":  # `same` and `causal`
        return tuple(math.ceil(length / stride) for length, stride in zip(lengths, strides, strict=True))
    if any(size > length for length, size in zip(lengths, window, strict=True)):
        what = "an image" if len(lengths) == 2 else "an input"
        raise ValueError(
            f"a window of {show(window)} does not fit {what} of {show(lengths)}; use padding 'same' or less pooling"
        )
    return tuple((length - size) // stride + 1 for length, size, stride in zip(lengths, window, strides, strict=True))


def axis_of(axis: int, shape: Shape) -> int:
    """Return an axis of a row, from 0, where Keras counts the batch axis as 0.

    Raises:
        ValueError: there is no such axis.
    """
    place = axis - 1 if axis > 0 else len(shape) + axis
    if axis == 0 or not 0 <= place < len(shape):
        raise ValueError(
            f"axis {axis} is none of {show(shape)}; axes count from 1, as 0 is the batch, or from -1, the last"
        )
    return place
