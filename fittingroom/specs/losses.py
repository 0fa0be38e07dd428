"""Loss functions. A loss is one class: its options and its traits."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from fittingroom.specs.base import Bool, Real
from fittingroom.specs.named import Named, by_name
from fittingroom.specs.search.searchable import SearchableReal
from fittingroom.specs.targets import Smoothing, Target

OutputKind = Literal["numbers", "probabilities", "signs", "positive"]
"""Outputs that a loss can read: any numbers, probabilities, numbers from -1 to 1, or numbers above 0."""


class LossSpec(Named):
    """Base of all losses; a class has the name of Keras's own."""

    is_of_classes: ClassVar[bool] = False
    """True if it compares classes."""
    is_per_class: ClassVar[bool] = False
    """True if it needs one output per class, and means nothing with one output."""
    is_of_tags: ClassVar[bool] = False
    """True if it compares each output by itself, with a target from 0 to 1."""
    is_of_vectors: ClassVar[bool] = False
    """True if it compares the outputs of a row as a vector, also where these are numbers to predict."""
    reads: ClassVar[OutputKind] = "numbers"
    takes_zeros: ClassVar[bool] = True
    """True if a row of zeros has a finite value and gradient."""


class CategoricalCrossentropy(LossSpec):
    """Cross-entropy with one output per class and one-hot targets (`keras.losses.CategoricalCrossentropy`)."""

    name: Literal["categorical_crossentropy"]
    is_of_classes: ClassVar[bool] = True
    is_per_class: ClassVar[bool] = True
    reads: ClassVar[OutputKind] = "probabilities"
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""
    label_smoothing: SearchableReal[Smoothing] = 0.0
    """Label smoothing: fraction of the target spread evenly over all classes."""


class SparseCategoricalCrossentropy(LossSpec):
    """Cross-entropy with class numbers as targets (`keras.losses.SparseCategoricalCrossentropy`)."""

    name: Literal["sparse_categorical_crossentropy"]
    is_of_classes: ClassVar[bool] = True
    is_per_class: ClassVar[bool] = True
    reads: ClassVar[OutputKind] = "probabilities"
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""


class BinaryCrossentropy(LossSpec):
    """Binary cross-entropy with one output, or one output per class (`keras.losses.BinaryCrossentropy`)."""

    name: Literal["binary_crossentropy"]
    is_of_classes: ClassVar[bool] = True
    is_of_tags: ClassVar[bool] = True
    reads: ClassVar[OutputKind] = "probabilities"
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""
    label_smoothing: SearchableReal[Smoothing] = 0.0
    """Label smoothing: fraction by which the target is drawn towards 0.5."""


class MeanSquaredError(LossSpec):
    """Mean squared error (`keras.losses.MeanSquaredError`)."""

    name: Literal["mse"]


class MeanAbsoluteError(LossSpec):
    """Mean absolute error (`keras.losses.MeanAbsoluteError`)."""

    name: Literal["mae"]


class Huber(LossSpec):
    """Huber loss: quadratic for small errors, linear for large ones (`keras.losses.Huber`)."""

    name: Literal["huber"]
    delta: SearchableReal[Annotated[Real, Field(gt=0, le=1e6)]] = 1.0
    """Error at which the loss turns from quadratic to linear."""


class MeanAbsolutePercentageError(LossSpec):
    """Mean absolute error in percent of the target (`keras.losses.MeanAbsolutePercentageError`)."""

    name: Literal["mape"]


class MeanSquaredLogarithmicError(LossSpec):
    """Mean squared error of logarithms of 1 + value (`keras.losses.MeanSquaredLogarithmicError`)."""

    name: Literal["msle"]


class LogCosh(LossSpec):
    """Logarithm of the hyperbolic cosine of the error (`keras.losses.LogCosh`)."""

    name: Literal["log_cosh"]


class Poisson(LossSpec):
    """Poisson loss of counts: output - target * log(output) (`keras.losses.Poisson`)."""

    name: Literal["poisson"]
    reads: ClassVar[OutputKind] = "positive"
    takes_zeros: ClassVar[bool] = False


class BinaryFocalCrossentropy(LossSpec):
    """Binary cross-entropy that weighs well classified rows less (`keras.losses.BinaryFocalCrossentropy`)."""

    name: Literal["binary_focal_crossentropy"]
    is_of_classes: ClassVar[bool] = True
    is_of_tags: ClassVar[bool] = True
    reads: ClassVar[OutputKind] = "probabilities"
    apply_class_balancing: Bool = False
    """True to weigh the classes by `alpha`."""
    alpha: SearchableReal[Annotated[Real, Field(ge=0, le=1)]] = 0.25
    """Weight of the second class; the first has 1 - alpha."""
    gamma: SearchableReal[Annotated[Real, Field(ge=0, le=100)]] = 2.0
    """Focusing parameter: the larger, the less a well classified row weighs."""
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""
    label_smoothing: SearchableReal[Smoothing] = 0.0
    """Label smoothing: fraction by which the target is drawn towards 0.5."""


class CategoricalFocalCrossentropy(LossSpec):
    """Cross-entropy that weighs well classified rows less (`keras.losses.CategoricalFocalCrossentropy`)."""

    name: Literal["categorical_focal_crossentropy"]
    is_of_classes: ClassVar[bool] = True
    is_per_class: ClassVar[bool] = True
    reads: ClassVar[OutputKind] = "probabilities"
    alpha: SearchableReal[Annotated[Real, Field(ge=0, le=1)]] = 0.25
    """Weight of all classes."""
    gamma: SearchableReal[Annotated[Real, Field(ge=0, le=100)]] = 2.0
    """Focusing parameter: the larger, the less a well classified row weighs."""
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""
    label_smoothing: SearchableReal[Smoothing] = 0.0
    """Label smoothing: fraction of the target spread evenly over all classes."""


class KLDivergence(LossSpec):
    """Kullback-Leibler divergence from output to target (`keras.losses.KLDivergence`)."""

    name: Literal["kl_divergence"]
    is_of_classes: ClassVar[bool] = True
    is_per_class: ClassVar[bool] = True
    is_of_vectors: ClassVar[bool] = True
    reads: ClassVar[OutputKind] = "probabilities"


class Hinge(LossSpec):
    """Hinge loss: outputs from -1 to 1 for targets -1 and 1, which 0 and 1 become (`keras.losses.Hinge`)."""

    name: Literal["hinge"]
    is_of_classes: ClassVar[bool] = True
    reads: ClassVar[OutputKind] = "signs"


class SquaredHinge(LossSpec):
    """Square of the hinge loss (`keras.losses.SquaredHinge`)."""

    name: Literal["squared_hinge"]
    is_of_classes: ClassVar[bool] = True
    reads: ClassVar[OutputKind] = "signs"


class CategoricalHinge(LossSpec):
    """Hinge loss between the right class and the best of the others (`keras.losses.CategoricalHinge`)."""

    name: Literal["categorical_hinge"]
    is_of_classes: ClassVar[bool] = True
    is_per_class: ClassVar[bool] = True


class CosineSimilarity(LossSpec):
    """Cosine of the angle between outputs and targets, negative (`keras.losses.CosineSimilarity`)."""

    name: Literal["cosine_similarity"]
    is_of_classes: ClassVar[bool] = True
    is_per_class: ClassVar[bool] = True
    is_of_vectors: ClassVar[bool] = True
    takes_zeros: ClassVar[bool] = False


if TYPE_CHECKING:
    Loss: TypeAlias = LossSpec
else:
    Loss = by_name(LossSpec)


def target_of(loss: Loss, units: int) -> Target:
    """Return the target for a loss and a last layer of `units` outputs.

    Holds for specs that passed `fittingroom.specs.validation.trainability`: there, one output means two classes or a
    number.
    """
    if isinstance(loss, SparseCategoricalCrossentropy):
        return Target("index", units)
    return Target("number" if units == 1 else "one_hot", units)
