"""Layers that prepare images, with the names and defaults of Keras."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fittingroom.specs.base import Bool, Int, Real
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape
from fittingroom.specs.layers.shape_rules import spatial
from fittingroom.specs.limits import MAX_AXIS_LENGTH


def _rising(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] >= values[1]:
        raise ValueError(f"expected [lowest, highest], found {list(values)}")
    return values


_Length = Annotated[Int, Field(ge=1, le=MAX_AXIS_LENGTH)]
Pixel = Annotated[Real, Field(ge=-1e9, le=1e9)]
PixelRange = Annotated[tuple[Pixel, Pixel], AfterValidator(_rising)]


class ImageLayer(LayerSpec):
    """Fields of layers of images."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        spatial(self, inputs[0], 2)
        return Measured(inputs[0])


class Resizing(ImageLayer):
    """Gives images another size (`keras.layers.Resizing`)."""

    type: Literal["resizing"]
    height: _Length
    """Height of the output."""
    width: _Length
    """Width of the output."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"] = "bilinear"
    """Values between the given ones."""
    crop_to_aspect_ratio: Bool = False
    """True to keep the proportions and cut off what is over."""
    pad_to_aspect_ratio: Bool = False
    """True to keep the proportions and fill what is missing."""
    fill_mode: Literal["constant"] = "constant"
    """Filling of what is missing."""
    fill_value: Pixel = 0.0
    """Value with which it is filled."""
    antialias: Bool = False
    """True to smooth before an image becomes smaller."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ValueError("crop_to_aspect_ratio and pad_to_aspect_ratio cannot both be true")
        _, channels = spatial(self, inputs[0], 2)
        return Measured((self.height, self.width, channels))


class CenterCrop(ImageLayer):
    """Middle of images (`keras.layers.CenterCrop`)."""

    type: Literal["center_crop"]
    height: _Length
    """Height of the output."""
    width: _Length
    """Width of the output."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        _, channels = spatial(self, inputs[0], 2)
        return Measured((self.height, self.width, channels))


class AutoContrast(ImageLayer):
    """Spreads the values of each image over the whole range (`keras.layers.AutoContrast`)."""

    type: Literal["auto_contrast"]
    value_range: PixelRange = (0, 255)
    """Lowest and highest value of a pixel."""


class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """Equalizes parts of images (`keras.layers.ContrastLimitedAdaptiveHistogramEqualization`)."""

    type: Literal["contrast_limited_adaptive_histogram_equalization"]
    value_range: PixelRange = (0, 255)
    """Lowest and highest value of a pixel."""
    clip_limit: Annotated[Real, Field(gt=0, le=1e6)] = 4.0
    """Limit of the contrast."""
    tile_grid_size: tuple[Annotated[Int, Field(ge=1, le=256)], Annotated[Int, Field(ge=1, le=256)]] = (8, 8)
    """Number of parts along height and width."""
