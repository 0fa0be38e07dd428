"""Normalizations, with the names and defaults of Keras."""

import math
from typing import Annotated, Literal

from pydantic import Field

from fittingroom.specs.base import Int, Real
from fittingroom.specs.layers.activations import Axes
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape, type_of
from fittingroom.specs.layers.shape_rules import axis_of, show
from fittingroom.specs.layers.weights import GammaBeta, Initializer
from fittingroom.specs.limits import MAX_UNITS
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.search.searchable import SearchableInt, SearchableReal

_Rate = Annotated[Real, Field(ge=0, lt=1)]
_Epsilon = Annotated[Real, Field(gt=0, le=1)]
_OneAxis = Annotated[Int, Field(ge=-8, le=8)]


def lengths_of(axis: int | list[int], shape: Shape) -> list[int]:
    """Return the lengths of the axes."""
    places = [axis_of(one, shape) for one in (axis if isinstance(axis, list) else [axis])]
    if len(set(places)) < len(places):
        raise ValueError(f"an axis stands twice in {axis}")
    return [shape[place] for place in places]


class BatchNormalization(GammaBeta, LayerSpec):
    """Batch normalization (`keras.layers.BatchNormalization`)."""

    keeps_rows_apart = False
    type: Literal["batch_normalization"]
    axis: _OneAxis = -1
    """Axis of the features."""
    momentum: SearchableReal[_Rate] = 0.99
    """Momentum of the moving averages."""
    epsilon: SearchableReal[_Epsilon] = 1e-3
    """Small number added to the variance to avoid division by zero."""
    moving_mean_initializer: Initializer = "zeros"
    """Initializer of the moving mean."""
    moving_variance_initializer: Initializer = "ones"
    """Initializer of the moving variance."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        # Two of the vectors are the moving mean and variance.
        vectors = 2 + bool(sampled_value(self.center)) + bool(sampled_value(self.scale))
        return Measured(inputs[0], vectors * inputs[0][axis_of(self.axis, inputs[0])])


class LayerNormalization(GammaBeta, LayerSpec):
    """Layer normalization (`keras.layers.LayerNormalization`)."""

    type: Literal["layer_normalization"]
    axis: Axes = -1
    """Axis, or axes, over which each row is normalized."""
    epsilon: SearchableReal[_Epsilon] = 1e-3
    """Small number added to the variance to avoid division by zero."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        vectors = bool(sampled_value(self.center)) + bool(sampled_value(self.scale))
        return Measured(inputs[0], vectors * math.prod(lengths_of(self.axis, inputs[0])))


class GroupNormalization(GammaBeta, LayerSpec):
    """Group normalization: channels in groups, each row by itself (`keras.layers.GroupNormalization`)."""

    type: Literal["group_normalization"]
    groups: SearchableInt[Annotated[Int, Field(ge=-1, le=MAX_UNITS)]] = 32
    """Number of groups; -1 for as many as there are channels."""
    axis: _OneAxis = -1
    """Axis of the channels."""
    epsilon: SearchableReal[_Epsilon] = 1e-3
    """Small number added to the variance to avoid division by zero."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        channels = inputs[0][axis_of(self.axis, inputs[0])]
        groups = sampled_value(self.groups)
        if groups == 0 or channels % groups:
            raise ValueError(f"{type_of(self)} cannot divide {channels} channels into {groups} groups")
        vectors = bool(sampled_value(self.center)) + bool(sampled_value(self.scale))
        return Measured(inputs[0], vectors * channels)


class RMSNormalization(LayerSpec):
    """Normalization by the root mean square (`keras.layers.RMSNormalization`)."""

    type: Literal["rms_normalization"]
    axis: Axes = -1
    """Axis, or axes, over which each row is normalized."""
    epsilon: SearchableReal[_Epsilon] = 1e-6
    """Small number added to the mean square to avoid division by zero."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        lengths = lengths_of(self.axis, inputs[0])
        if list(inputs[0][-len(lengths) :]) != lengths:
            raise ValueError(
                f"axis {self.axis} of {type_of(self)} must name the last axes of {show(inputs[0])} in order"
            )
        return Measured(inputs[0], math.prod(lengths))


class UnitNormalization(LayerSpec):
    """Scales each row to the norm 1 (`keras.layers.UnitNormalization`)."""

    type: Literal["unit_normalization"]
    axis: Axes = -1
    """Axis, or axes, of the norm."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        lengths_of(self.axis, inputs[0])
        return Measured(inputs[0])
