"""Attention, with the names and defaults of Keras."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from fittingroom.specs.base import Bool, Int, Real
from fittingroom.specs.layers.core import Units
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape, type_of
from fittingroom.specs.layers.shape_rules import axis_of, show_all, sides
from fittingroom.specs.layers.weights import ActivityRegularizer, Bias, Kernel
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.search.searchable import SearchableInt, SearchableName, SearchableReal

_Heads = Annotated[Int, Field(ge=1, le=1024)]


class _Attention(LayerSpec):
    """Fields of all attention layers."""

    dropout: SearchableReal[Annotated[Real, Field(ge=0, lt=1)]] = 0.0
    """Fraction of the attention weights set to 0 in training."""
    use_causal_mask: SearchableName[Bool] = False
    """True to hide later steps from earlier ones; in Keras an option of the layer's call."""

    @property
    def is_random(self) -> bool:
        """See the base."""
        return bool(sampled_value(self.dropout))

    def options(self) -> dict[str, Any]:
        """See the base."""
        return {key: value for key, value in super().options().items() if key != "use_causal_mask"}

    def call_options(self) -> dict[str, Any]:
        """See the base."""
        return {"use_causal_mask": True} if sampled_value(self.use_causal_mask) else {}


class _OfList(_Attention):
    """Fields of attention without projections: query and value, and possibly key."""

    inputs_taken = (2, 3)
    inputs_as = "list"

    def _sequences(self, inputs: tuple[Shape, ...]) -> tuple[Shape, Shape, Shape]:
        query, value, key = inputs if len(inputs) == 3 else (*inputs, inputs[1])
        if {len(query), len(value), len(key)} != {2} or query[1] != key[1] or value[0] != key[0]:
            raise ValueError(
                f"{type_of(self)} takes sequences of steps, channels: query and value, and possibly key, with as many "
                f"channels as query and as many steps as value; found {show_all(inputs)}"
            )
        return query, value, key


class Attention(_OfList):
    """Dot-product attention of query and value, and possibly key (`keras.layers.Attention`)."""

    type: Literal["attention"]
    use_scale: SearchableName[Bool] = False
    """True to learn a factor of the scores."""
    score_mode: SearchableName[Literal["dot", "concat"]] = "dot"
    """Score: product of query and key, or tanh of their sum."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        query, value, key = self._sequences(inputs)
        numbers = bool(sampled_value(self.use_scale)) + (sampled_value(self.score_mode) == "concat")
        scores = query[0] * key[0]
        return Measured((query[0], value[1]), numbers, scores * (key[1] + value[1]), scores)


class AdditiveAttention(_OfList):
    """Additive attention of query and value, and possibly key (`keras.layers.AdditiveAttention`)."""

    type: Literal["additive_attention"]
    use_scale: SearchableName[Bool] = True
    """True to learn a factor of each channel."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        query, value, key = self._sequences(inputs)
        numbers = query[1] if sampled_value(self.use_scale) else 0
        scores = query[0] * key[0]
        return Measured((query[0], value[1]), numbers, scores * (key[1] + value[1]), scores * key[1])


class _Projected(Kernel, Bias, _Attention):
    """Fields of attention with projections: query and value, and possibly key."""

    inputs_taken = (2, 3)
    inputs_as = "arguments"
    draws_in_build = True
    kernel_rank = 3

    sliding_window: SearchableInt[Units] | None = None
    """Number of steps that a query sees. Default: all."""
    use_gate: SearchableName[Bool] = False
    """True to multiply the result by a learned gate of the query."""
    activity_regularizer: ActivityRegularizer | None = None
    """Penalty of the outputs, added to the loss."""

    def _count(
        self, query: Shape, value: Shape, key: Shape, heads: tuple[int, int], widths: tuple[int, int, int]
    ) -> Measured:
        """Return the output and its cost.

        Args:
            query: shape; so for value and key.
            value: shape.
            key: shape.
            heads: of the query, and of key and value.
            widths: of a head's query and key, of a head's value, and of the output.
        """
        (of_query, of_value), (width, value_width, last) = heads, widths
        gate = bool(sampled_value(self.use_gate))
        outputs = [
            (query[-1], of_query * width, query), (key[-1], of_value * width, key),
            (value[-1], of_value * value_width, value), (of_query * value_width, last, query),
            *[(query[-1], of_query * value_width, query)] * gate,
        ]  # fmt: skip
        kernels = sum(source * target for source, target, _ in outputs)
        bias = sum(target for _, target, _ in outputs) if sampled_value(self.use_bias) else 0
        products = sum(source * target * math.prod(shape[:-1]) for source, target, shape in outputs)
        scores = math.prod(query[:-1]) * math.prod(key[:-1]) * of_query
        within = scores + sum(target * math.prod(shape[:-1]) for _, target, shape in outputs)
        return Measured((*query[:-1], last), kernels + bias, products + scores * (width + value_width), within)


class MultiHeadAttention(_Projected):
    """Multi-head attention of query and value, and possibly key (`keras.layers.MultiHeadAttention`)."""

    type: Literal["multi_head_attention"]
    num_heads: SearchableInt[_Heads]
    """Number of heads."""
    key_dim: SearchableInt[Units]
    """Length of a head's queries and keys."""
    value_dim: SearchableInt[Units] | None = None
    """Length of a head's values. Default: `key_dim`."""
    output_shape: Units | tuple[Units] | None = None
    """Number of channels of the output. Default: as many as the query has."""
    attention_axes: Annotated[list[Annotated[Int, Field(ge=1, le=7)]], Field(min_length=1, max_length=7)] | None = None
    """Axes over which attention goes, counted from 1. Default: all but batch and channels."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        query, value, key = inputs if len(inputs) == 3 else (*inputs, inputs[1])
        if min(map(len, inputs)) < 2 or value[:-1] != key[:-1] or len(query) != len(key):
            raise ValueError(
                "multi_head_attention takes sequences of steps, channels: query and value, and possibly key, with as "
                f"many steps as value; found {show_all(inputs)}"
            )
        heads, width = sampled_value(self.num_heads), sampled_value(self.key_dim)
        value_width = width if self.value_dim is None else sampled_value(self.value_dim)
        [last] = sides(self.output_shape or query[-1], 1)
        axes = [axis_of(axis, query) for axis in self.attention_axes or range(1, len(query))]
        if axes != sorted(set(axes)) or len(query) - 1 in axes:
            raise ValueError(f"attention_axes must rise, without the channels; found {self.attention_axes}")
        if (sampled_value(self.use_causal_mask) or self.sliding_window is not None) and len(query) != 2:
            raise ValueError("use_causal_mask and sliding_window need sequences of steps, channels")
        if any(query[axis] != key[axis] for axis in range(len(query) - 1) if axis not in axes):
            raise ValueError("query and value need equal lengths along axes over which attention does not go")
        return self._count(query, value, key, (heads, heads), (width, value_width, last))


class GroupedQueryAttention(_Projected):
    """Attention whose heads share keys and values in groups (`keras.layers.GroupedQueryAttention`)."""

    exported_as = "GroupQueryAttention"
    type: Literal["grouped_query_attention"]
    head_dim: SearchableInt[Units]
    """Length of a head's queries, keys and values."""
    num_query_heads: SearchableInt[_Heads]
    """Number of heads of the query."""
    num_key_value_heads: SearchableInt[_Heads]
    """Number of heads of key and value, a divisor of `num_query_heads`."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        query, value, key = inputs if len(inputs) == 3 else (*inputs, inputs[1])
        if {len(query), len(value), len(key)} != {2} or value[0] != key[0] or query[1] != value[1]:
            raise ValueError(
                "grouped_query_attention takes sequences of steps, channels: query and value, and possibly key, with "
                f"as many steps as value; found {show_all(inputs)}"
            )
        heads, shared = sampled_value(self.num_query_heads), sampled_value(self.num_key_value_heads)
        if heads % shared:
            raise ValueError(f"num_query_heads {heads} is no multiple of num_key_value_heads {shared}")
        width = sampled_value(self.head_dim)
        return self._count(query, value, key, (heads, shared), (width, width, query[-1]))
