"""Dropouts and noise in training, with the names and defaults of Keras."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fittingroom.specs.base import Real
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape
from fittingroom.specs.layers.shape_rules import spatial
from fittingroom.specs.search.searchable import SearchableReal

Rate = Annotated[Real, Field(ge=0, lt=1)]


class Dropout(LayerSpec):
    """Sets a random fraction of its inputs to 0 during training (`keras.layers.Dropout`)."""

    type: Literal["dropout"]
    rate: SearchableReal[Rate]
    """Fraction of inputs set to 0, from 0 to below 1."""


class _Random(LayerSpec):
    """Fields of other layers that draw random numbers in training."""

    draws = True
    keeps_rows_apart = False  # as numbers are drawn for a whole batch


class AlphaDropout(_Random):
    """Dropout that keeps mean and variance of its inputs (`keras.layers.AlphaDropout`)."""

    type: Literal["alpha_dropout"]
    rate: SearchableReal[Rate]
    """Fraction of inputs set to the value of saturation, from 0 to below 1."""


class GaussianDropout(_Random):
    """Multiplies by normally distributed noise in training (`keras.layers.GaussianDropout`)."""

    type: Literal["gaussian_dropout"]
    rate: SearchableReal[Rate]
    """Fraction as in `dropout`; the noise has the standard deviation sqrt(rate / (1 - rate))."""


class GaussianNoise(_Random):
    """Adds normally distributed noise in training (`keras.layers.GaussianNoise`)."""

    type: Literal["gaussian_noise"]
    stddev: SearchableReal[Annotated[Real, Field(ge=0, le=1)]]
    """Standard deviation of the noise."""


class _SpatialDropout(_Random):
    """Fields of dropouts of whole channels."""

    rank: ClassVar[int]
    """Number of spatial axes."""

    rate: SearchableReal[Rate]
    """Fraction of channels set to 0, from 0 to below 1."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        spatial(self, inputs[0], self.rank)
        return Measured(inputs[0])


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of a series (`keras.layers.SpatialDropout1D`)."""

    rank = 1
    type: Literal["spatial_dropout1d"]


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of an image (`keras.layers.SpatialDropout2D`)."""

    rank = 2
    type: Literal["spatial_dropout2d"]


class SpatialDropout3D(_SpatialDropout):
    """Dropout of whole channels of a volume (`keras.layers.SpatialDropout3D`)."""

    rank = 3
    type: Literal["spatial_dropout3d"]
