"""Layers that change images at random in training, with the names and defaults of Keras.

They draw from the trial's seed and the number of the batch, so that a resumed trial goes on bit for bit.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fittingroom.specs.base import Int, Real
from fittingroom.specs.layers.images import ImageLayer, Pixel, PixelRange
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape, type_of
from fittingroom.specs.layers.shape_rules import show, spatial
from fittingroom.specs.search.searchable import SearchableReal


def _odd(number: int) -> int:
    if number % 2 == 0:
        raise ValueError(f"expected an odd number, found {number}")
    return number


_Part = Annotated[Real, Field(ge=0, le=1)]
_Signed = Annotated[Real, Field(ge=-1, le=1)]
_Odd = Annotated[Int, Field(ge=1, le=63), AfterValidator(_odd)]
_FillMode = Literal["constant", "nearest", "wrap", "reflect"]
_Interpolation = Literal["nearest", "bilinear"]


class _RandomImage(ImageLayer):
    """Fields of layers that change images at random in training."""

    draws = True
    keeps_rows_apart = False  # as numbers are drawn for a whole batch
    validates_apart = False  # as many draw then as well, though they do not use it


class _Colored(_RandomImage):
    """Fields of layers that change the colours of images at random."""

    value_range: PixelRange = (0, 255)
    """Lowest and highest value of a pixel."""


class _OfThreeColors(_Colored):
    """Fields of layers that need red, green and blue."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        return _of_three_colors(self, inputs[0])


def _of_three_colors(layer: LayerSpec, shape: Shape) -> Measured:
    if spatial(layer, shape, 2)[1] != 3:
        raise ValueError(f"{type_of(layer)} takes images of three colours; found {show(shape)}")
    return Measured(shape)


class RandomFlip(_RandomImage):
    """Mirrors images at random in training (`keras.layers.RandomFlip`)."""

    type: Literal["random_flip"]
    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal_and_vertical"
    """Directions."""


class _Moved(_RandomImage):
    """Fields of layers that move the pixels of images at random."""

    fill_mode: _FillMode = "reflect"
    """Filling where there was no pixel."""
    fill_value: Pixel = 0.0
    """Value of such pixels with the mode `constant`."""
    interpolation: _Interpolation = "bilinear"
    """Values between pixels."""


class RandomRotation(_Moved):
    """Turns images at random in training (`keras.layers.RandomRotation`)."""

    type: Literal["random_rotation"]
    factor: SearchableReal[_Part] | tuple[_Signed, _Signed]
    """Largest angle, as a part of a full turn; or the lowest and the highest one."""


class RandomTranslation(_Moved):
    """Shifts images at random in training (`keras.layers.RandomTranslation`)."""

    type: Literal["random_translation"]
    height_factor: SearchableReal[_Part] | tuple[_Signed, _Signed]
    """Largest shift as a part of the height; or the lowest and the highest one."""
    width_factor: SearchableReal[_Part] | tuple[_Signed, _Signed]
    """Largest shift as a part of the width; or the lowest and the highest one."""


class RandomZoom(_Moved):
    """Enlarges or shrinks images at random in training (`keras.layers.RandomZoom`)."""

    type: Literal["random_zoom"]
    height_factor: SearchableReal[_Part] | tuple[_Signed, _Signed]
    """Largest change as a part of the height; or the lowest and the highest one."""
    width_factor: SearchableReal[_Part] | tuple[_Signed, _Signed] | None = None
    """The same of the width. Default: as the height, so that proportions stay."""


class RandomShear(_Moved):
    """Shears images at random in training (`keras.layers.RandomShear`)."""

    type: Literal["random_shear"]
    x_factor: SearchableReal[_Part] | tuple[_Part, _Part] = 0.0
    """Largest shear along the width; or the lowest and the highest one."""
    y_factor: SearchableReal[_Part] | tuple[_Part, _Part] = 0.0
    """Largest shear along the height; or the lowest and the highest one."""


class RandomBrightness(_Colored):
    """Makes images brighter or darker at random in training (`keras.layers.RandomBrightness`)."""

    type: Literal["random_brightness"]
    factor: SearchableReal[_Part] | tuple[_Signed, _Signed]
    """Largest change as a part of the range; or the lowest and the highest one."""


class RandomContrast(_Colored):
    """Changes the contrast of images at random in training (`keras.layers.RandomContrast`)."""

    type: Literal["random_contrast"]
    factor: SearchableReal[_Part] | tuple[_Part, _Part]
    """Largest change; or the lowest and the highest one."""


class RandomColorDegeneration(_OfThreeColors):
    """Takes colour away at random in training (`keras.layers.RandomColorDegeneration`)."""

    type: Literal["random_color_degeneration"]
    factor: SearchableReal[_Part] | tuple[_Signed, _Signed]
    """Largest part of the colour; or the lowest and the highest one."""


class RandomGrayscale(_RandomImage):
    """Makes some images grey in training (`keras.layers.RandomGrayscale`)."""

    type: Literal["random_grayscale"]
    factor: SearchableReal[_Part] = 0.5
    """Probability."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        return _of_three_colors(self, inputs[0])


class RandomHue(_OfThreeColors):
    """Shifts the hue of images at random in training (`keras.layers.RandomHue`)."""

    type: Literal["random_hue"]
    factor: SearchableReal[_Part] | tuple[_Part, _Part]
    """Largest change; or the lowest and the highest one."""


class RandomInvert(_Colored):
    """Inverts the colours of some images in training (`keras.layers.RandomInvert`)."""

    type: Literal["random_invert"]
    factor: SearchableReal[_Part] | tuple[_Part, _Part] = 1.0
    """Probability; or its lowest and highest value."""


class RandomPosterization(_Colored):
    """Leaves fewer bits of each colour in training (`keras.layers.RandomPosterization`)."""

    type: Literal["random_posterization"]
    factor: (
        Annotated[Int, Field(ge=1, le=8)] | tuple[Annotated[Int, Field(ge=1, le=8)], Annotated[Int, Field(ge=1, le=8)]]
    )
    """Number of bits; or the lowest and the highest one."""


class RandomSaturation(_OfThreeColors):
    """Changes the saturation of images at random in training (`keras.layers.RandomSaturation`)."""

    type: Literal["random_saturation"]
    factor: SearchableReal[_Part] | tuple[_Signed, _Signed]
    """Largest change; or the lowest and the highest one."""


class RandomSharpness(_Colored):
    """Changes the sharpness of images at random in training (`keras.layers.RandomSharpness`)."""

    type: Literal["random_sharpness"]
    factor: SearchableReal[_Part] | tuple[_Part, _Part]
    """Largest change; or the lowest and the highest one."""


class RandomErasing(_Colored):
    """Erases a rectangle of some images in training (`keras.layers.RandomErasing`)."""

    type: Literal["random_erasing"]
    factor: SearchableReal[_Part] | tuple[_Part, _Part] = 1.0
    """Probability; or its lowest and highest value."""
    scale: tuple[_Part, _Part] = (0.02, 0.33)
    """Lowest and highest part of the image."""
    fill_value: Pixel | None = None
    """Value of the rectangle. Default: noise."""


class RandomGaussianBlur(_Colored):
    """Blurs some images in training (`keras.layers.RandomGaussianBlur`)."""

    type: Literal["random_gaussian_blur"]
    factor: SearchableReal[_Part] | tuple[_Part, _Part] = 1.0
    """Probability; or its lowest and highest value."""
    kernel_size: _Odd | tuple[_Odd, _Odd] = 3
    """Size of the blur, in pixels: odd numbers."""
    sigma: SearchableReal[_Part] | tuple[_Part, _Part] = 1.0
    """Largest standard deviation of the blur; or the lowest and the highest one."""


class RandomPerspective(_RandomImage):
    """Changes the perspective of images at random in training (`keras.layers.RandomPerspective`)."""

    type: Literal["random_perspective"]
    factor: SearchableReal[_Part] | tuple[_Part, _Part] = 1.0
    """Probability; or its lowest and highest value."""
    scale: SearchableReal[_Part] = 1.0
    """Largest shift of a corner."""
    interpolation: _Interpolation = "bilinear"
    """Values between pixels."""
    fill_value: Pixel = 0.0
    """Value where there was no pixel."""


class Solarization(_RandomImage):
    """Inverts the bright pixels of images in training (`keras.layers.Solarization`)."""

    type: Literal["solarization"]
    addition_factor: SearchableReal[_Part] | tuple[_Part, _Part] = 0.0
    """Largest part of the range that is added first; or the lowest and the highest one."""
    threshold_factor: SearchableReal[_Part] | tuple[_Part, _Part] = 0.0
    """Largest part of the range from which pixels are inverted; or the lowest and the highest one."""
    value_range: PixelRange = (0, 255)
    """Lowest and highest value of a pixel."""


class RandomColorJitter(_OfThreeColors):
    """Changes brightness, contrast, saturation and hue in training (`keras.layers.RandomColorJitter`)."""

    type: Literal["random_color_jitter"]
    brightness_factor: SearchableReal[_Part] | tuple[_Signed, _Signed] | None = None
    """Largest change of brightness, as in `random_brightness`. Default: no change."""
    contrast_factor: SearchableReal[_Part] | tuple[_Part, _Part] | None = None
    """Largest change of contrast, as in `random_contrast`. Default: no change."""
    saturation_factor: SearchableReal[_Part] | tuple[_Part, _Part] | None = None
    """Largest change of saturation, as in `random_saturation`. Default: no change."""
    hue_factor: SearchableReal[_Part] | tuple[_Part, _Part] | None = None
    """Largest change of hue, as in `random_hue`. Default: no change."""


class RandAugment(_OfThreeColors):
    """Some of many random changes of images in training (`keras.layers.RandAugment`)."""

    type: Literal["rand_augment"]
    num_ops: Annotated[Int, Field(ge=1, le=10)] = 2
    """Number of changes."""
    factor: SearchableReal[_Part] | tuple[_Part, _Part] = 0.5
    """Strength; or its lowest and highest value."""
    interpolation: _Interpolation = "bilinear"
    """Values between pixels."""
