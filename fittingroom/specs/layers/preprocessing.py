"""Layers that prepare numbers, categories and sounds, with the names and defaults of Keras."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fittingroom.specs.base import Bool, Int, Real
from fittingroom.specs.layers.activations import Axes
from fittingroom.specs.layers.layer_spec import LayerSpec, Measured, Shape
from fittingroom.specs.layers.shape_rules import axis_of, show, slide, spatial
from fittingroom.specs.limits import MAX_AXIS_LENGTH
from fittingroom.specs.search.searchable import SearchableName, SearchableReal

_MAX_NUMBERS = 10_000
_Number = Annotated[Real, Field(ge=-1e9, le=1e9)]
_Numbers = Annotated[list[_Number], Field(min_length=1, max_length=_MAX_NUMBERS)]
_Length = Annotated[Int, Field(ge=1, le=MAX_AXIS_LENGTH)]
_OutputMode = Literal["int", "one_hot", "multi_hot", "count"]


class Rescaling(LayerSpec):
    """Multiplies by a number and adds another (`keras.layers.Rescaling`)."""

    type: Literal["rescaling"]
    scale: SearchableReal[_Number] | _Numbers
    """Factor; or one for each channel."""
    offset: SearchableReal[_Number] | _Numbers = 0.0
    """Addend; or one number for each channel."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        for numbers in (self.scale, self.offset):
            if isinstance(numbers, list) and len(numbers) not in (1, inputs[0][-1]):
                raise ValueError(f"found {len(numbers)} numbers for the last axis of {show(inputs[0])}")
        return Measured(inputs[0])


class Normalization(LayerSpec):
    """Subtracts a mean and divides by a standard deviation (`keras.layers.Normalization`)."""

    type: Literal["normalization"]
    axis: Axes | None = -1
    """Axis, or axes, along which each place has numbers of its own; null for one mean and one variance of all."""
    mean: _Number | _Numbers | None = None
    """Mean, or one for each place. Default: measured on the training rows, as Keras's `adapt` does."""
    variance: Annotated[Real, Field(ge=0, le=1e18)] | Annotated[
        list[Annotated[Real, Field(ge=0, le=1e18)]], Field(min_length=1, max_length=_MAX_NUMBERS)
    ] | None = None  # fmt: skip
    """Variance, or one for each place. Default: measured on the training rows."""
    invert: SearchableName[Bool] = False
    """True to do the opposite: multiply by the standard deviation and add the mean."""

    @model_validator(mode="after")
    def _both(self) -> Self:
        if type(self.mean) is not type(self.variance):
            raise ValueError("give both mean and variance, or neither, to measure them on the training rows")
        return self

    @property
    def is_adapted(self) -> bool:
        """True if its numbers come from the training rows."""
        return self.mean is None

    def kept_axes(self, shape: Shape) -> list[int]:
        """Return the axes of a row that have numbers of their own, from 0."""
        given = [] if self.axis is None else self.axis if isinstance(self.axis, list) else [self.axis]
        return sorted({axis_of(axis, shape) for axis in given})

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        places = 1
        for axis in self.kept_axes(inputs[0]):
            places *= inputs[0][axis]
        for numbers in (self.mean, self.variance):
            if isinstance(numbers, list) and len(numbers) != places:
                raise ValueError(f"found {len(numbers)} numbers, expected {places} for {show(inputs[0])}")
        return Measured(inputs[0])


class _Categories(LayerSpec):
    """Fields of layers that give integers, or which of them there are."""

    def _encoded(self, shape: Shape, mode: str, depth: int) -> Measured:
        if mode == "int":
            return Measured(shape)
        if mode == "one_hot" and shape[-1] != 1:
            return Measured((*shape, depth))
        return Measured((*shape[:-1], depth))


class Discretization(_Categories):
    """Number of the interval in which a number lies (`keras.layers.Discretization`)."""

    type: Literal["discretization"]
    bin_boundaries: _Numbers
    """Boundaries of the intervals, rising."""
    output_mode: _OutputMode = "int"
    """`int` for the number of the interval, `one_hot`, `multi_hot` or `count` for a vector."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if any(later <= earlier for earlier, later in zip(self.bin_boundaries, self.bin_boundaries[1:], strict=False)):
            raise ValueError("bin_boundaries must rise")
        return self

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        if self.output_mode in {"multi_hot", "count"} and len(inputs[0]) > 1:
            raise ValueError(f"{self.output_mode} of discretization takes a vector; found {show(inputs[0])}")
        return self._encoded(inputs[0], self.output_mode, len(self.bin_boundaries) + 1)


class CategoryEncoding(_Categories):
    """Vector that says which integers there are (`keras.layers.CategoryEncoding`)."""

    type: Literal["category_encoding"]
    num_tokens: _Length
    """Number of integers, from 0 to `num_tokens` - 1."""
    output_mode: Literal["one_hot", "multi_hot", "count"] = "multi_hot"
    """`one_hot` for a vector for each integer, `multi_hot` or `count` for one of all integers of a row."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        if self.output_mode != "one_hot" and len(inputs[0]) > 1:
            raise ValueError(f"{self.output_mode} of category_encoding takes a vector; found {show(inputs[0])}")
        found = self._encoded(inputs[0], self.output_mode, self.num_tokens)
        return found._replace(numbers_within=math.prod(inputs[0]) * self.num_tokens)


class STFTSpectrogram(LayerSpec):
    """Spectra of short parts of a sound (`keras.layers.STFTSpectrogram`)."""

    takes_zeros = False  # there is no logarithm of 0
    type: Literal["stft_spectrogram"]
    mode: Literal["log", "magnitude", "psd", "real", "imag", "angle"] = "log"
    """Part of the spectrum that is given."""
    frame_length: Annotated[Int, Field(ge=2, le=MAX_AXIS_LENGTH)] = 256
    """Length of a part."""
    frame_step: _Length | None = None
    """Distance between parts. Default: half of `frame_length`."""
    fft_length: _Length | None = None
    """Length of the transform. Default: the power of 2 from `frame_length`."""
    window: Literal["hann", "hamming"] | None = "hann"
    """Window of a part."""
    periodic: Bool = False
    """True for a periodic window."""
    scaling: Literal["density", "spectrum"] | None = "density"
    """Scale of the spectrum."""
    padding: Literal["valid", "same"] = "valid"
    """`valid` for whole parts only."""
    expand_dims: Bool = False
    """True to give an image with one channel."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self._transform() < self.frame_length or self._step() > self.frame_length:
            raise ValueError("fft_length must be at least, and frame_step at most, the frame_length")
        return self

    def _transform(self) -> int:
        return self.fft_length or 1 << (self.frame_length - 1).bit_length()

    def _step(self) -> int:
        return self.frame_step or max(1, self.frame_length // 2)

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        lengths, channels = spatial(self, inputs[0], 1)
        [steps] = slide(lengths, (self.frame_length,), (self._step(),), self.padding)
        bands = self._transform() // 2 + 1
        output = (steps, bands, channels) if self.expand_dims else (steps, bands * channels)
        kernel = bands * self.frame_length * (1 if self.mode in {"real", "imag"} else 2)
        return Measured(output, kernel, kernel * steps * channels, 2 * steps * bands * channels)


class MelSpectrogram(LayerSpec):
    """Mel spectrogram of a sound (`keras.layers.MelSpectrogram`)."""

    keeps_rows_apart = False  # the highest value of a batch decides how low decibels are
    validates_apart = False
    type: Literal["mel_spectrogram"]
    fft_length: _Length = 2048
    """Length of the transform."""
    sequence_stride: _Length = 512
    """Distance between parts."""
    sequence_length: _Length | None = None
    """Length of a part. Default: `fft_length`."""
    window: Literal["hann", "hamming"] | None = "hann"
    """Window of a part."""
    sampling_rate: _Length = 16000
    """Samples per second."""
    num_mel_bins: Annotated[Int, Field(ge=1, le=4096)] = 128
    """Number of bands."""
    min_freq: Annotated[Real, Field(ge=0, le=1e6)] = 20.0
    """Lowest frequency, in Hz."""
    max_freq: Annotated[Real, Field(gt=0, le=1e6)] | None = None
    """Highest frequency, in Hz. Default: half of `sampling_rate`."""
    power_to_db: Bool = True
    """True to give decibels."""
    top_db: Annotated[Real, Field(ge=0, le=1e6)] = 80.0
    """Range of the decibels below the highest."""
    mag_exp: Annotated[Real, Field(gt=0, le=100)] = 2.0
    """Exponent of the magnitude."""
    min_power: Annotated[Real, Field(gt=0, le=1e6)] = 1e-10
    """Lowest power."""
    ref_power: Annotated[Real, Field(gt=0, le=1e6)] = 1.0
    """Power of 0 decibels."""

    def measured(self, *inputs: Shape) -> Measured:
        """See the base."""
        if self.fft_length % 2 or (self.sequence_length or 0) > self.fft_length:
            raise ValueError("mel_spectrogram needs an even fft_length, and a sequence_length of at most that")
        if len(inputs[0]) == 1 and inputs[0][0] <= self.fft_length // 2:
            raise ValueError(f"an fft_length of {self.fft_length} needs more than {self.fft_length // 2} numbers")
        if len(inputs[0]) != 1:
            raise ValueError(
                f"mel_spectrogram takes a sound of one channel, as numbers in a row; found {show(inputs[0])}"
            )
        parts = (inputs[0][0] + self.sequence_stride + 1) // self.sequence_stride
        bands = self.fft_length // 2 + 1
        return Measured(
            (self.num_mel_bins, parts),
            multiplications=parts * bands * self.num_mel_bins,
            numbers_within=bands * (self.num_mel_bins + 2 * parts),
        )
