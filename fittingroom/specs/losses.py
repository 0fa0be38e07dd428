"""Loss functions, and the form of the target that each takes."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from fittingroom.specs.base import Bool, Real, Spec
from fittingroom.specs.named import expand_name
from fittingroom.specs.search_space import SearchableReal

TargetForm = Literal["one_hot", "index", "number"]
"""Form of a target: a one-hot row, the class number, or a single number (0 or 1 of two classes)."""

Smoothing = Annotated[Real, Field(ge=0, lt=1)]


class CategoricalCrossentropy(Spec):
    """Cross-entropy with one output per class and one-hot targets (`keras.losses.CategoricalCrossentropy`)."""

    name: Literal["categorical_crossentropy"]
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""
    label_smoothing: SearchableReal[Smoothing] = 0.0
    """Label smoothing: fraction of the target spread evenly over all classes."""


class SparseCategoricalCrossentropy(Spec):
    """Cross-entropy with class numbers as targets (`keras.losses.SparseCategoricalCrossentropy`)."""

    name: Literal["sparse_categorical_crossentropy"]
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""


class BinaryCrossentropy(Spec):
    """Binary cross-entropy with one output, or one output per class (`keras.losses.BinaryCrossentropy`)."""

    name: Literal["binary_crossentropy"]
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""
    label_smoothing: SearchableReal[Smoothing] = 0.0
    """Label smoothing: fraction by which the target is drawn towards 0.5."""


class MeanSquaredError(Spec):
    """Mean squared error (`keras.losses.MeanSquaredError`)."""

    name: Literal["mse"]


class MeanAbsoluteError(Spec):
    """Mean absolute error (`keras.losses.MeanAbsoluteError`)."""

    name: Literal["mae"]


class Huber(Spec):
    """Huber loss: quadratic for small errors, linear for large ones (`keras.losses.Huber`)."""

    name: Literal["huber"]
    delta: SearchableReal[Annotated[Real, Field(gt=0, le=1e6)]] = 1.0
    """Error at which the loss turns from quadratic to linear."""


class MeanAbsolutePercentageError(Spec):
    """Mean absolute error in percent of the target (`keras.losses.MeanAbsolutePercentageError`)."""

    name: Literal["mape"]


class MeanSquaredLogarithmicError(Spec):
    """Mean squared error of logarithms of 1 + value (`keras.losses.MeanSquaredLogarithmicError`)."""

    name: Literal["msle"]


class LogCosh(Spec):
    """Logarithm of the hyperbolic cosine of the error (`keras.losses.LogCosh`)."""

    name: Literal["log_cosh"]


class Poisson(Spec):
    """Poisson loss of counts: output - target * log(output) (`keras.losses.Poisson`)."""

    name: Literal["poisson"]


class BinaryFocalCrossentropy(Spec):
    """Binary cross-entropy that weighs well classified rows less (`keras.losses.BinaryFocalCrossentropy`)."""

    name: Literal["binary_focal_crossentropy"]
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


class CategoricalFocalCrossentropy(Spec):
    """Cross-entropy that weighs well classified rows less (`keras.losses.CategoricalFocalCrossentropy`)."""

    name: Literal["categorical_focal_crossentropy"]
    alpha: SearchableReal[Annotated[Real, Field(ge=0, le=1)]] = 0.25
    """Weight of all classes."""
    gamma: SearchableReal[Annotated[Real, Field(ge=0, le=100)]] = 2.0
    """Focusing parameter: the larger, the less a well classified row weighs."""
    from_logits: Bool = False
    """True if the outputs are logits rather than probabilities."""
    label_smoothing: SearchableReal[Smoothing] = 0.0
    """Label smoothing: fraction of the target spread evenly over all classes."""


class KLDivergence(Spec):
    """Kullback-Leibler divergence from output to target (`keras.losses.KLDivergence`)."""

    name: Literal["kl_divergence"]


class Hinge(Spec):
    """Hinge loss: outputs from -1 to 1 for targets -1 and 1, which 0 and 1 become (`keras.losses.Hinge`)."""

    name: Literal["hinge"]


class SquaredHinge(Spec):
    """Square of the hinge loss (`keras.losses.SquaredHinge`)."""

    name: Literal["squared_hinge"]


class CategoricalHinge(Spec):
    """Hinge loss between the right class and the best of the others (`keras.losses.CategoricalHinge`)."""

    name: Literal["categorical_hinge"]


class CosineSimilarity(Spec):
    """Cosine of the angle between outputs and targets, negative (`keras.losses.CosineSimilarity`)."""

    name: Literal["cosine_similarity"]


Probabilistic = (
    CategoricalCrossentropy
    | SparseCategoricalCrossentropy
    | BinaryCrossentropy
    | BinaryFocalCrossentropy
    | CategoricalFocalCrossentropy
    | KLDivergence
)
"""Losses that compare classes, and read outputs as probabilities, or as logits where they may."""
OfClasses = Probabilistic | Hinge | SquaredHinge | CategoricalHinge | CosineSimilarity
OfSeveralOutputs = (
    CategoricalCrossentropy
    | SparseCategoricalCrossentropy
    | CategoricalFocalCrossentropy
    | KLDivergence
    | CategoricalHinge
    | CosineSimilarity
)
"""Losses for one output per class, which mean nothing with one output."""
_OfNumbers = (
    MeanSquaredError
    | MeanAbsoluteError
    | Huber
    | MeanAbsolutePercentageError
    | MeanSquaredLogarithmicError
    | LogCosh
    | Poisson
)
_InFull = Annotated[OfClasses | _OfNumbers, Field(discriminator="name")]
_Name = Literal[
    "categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_focal_crossentropy", "kl_divergence", "hinge",
    "squared_hinge", "categorical_hinge", "cosine_similarity", "mse", "mae", "huber", "mape", "msle", "log_cosh",
    "poisson",
]  # fmt: skip
Loss = Annotated[_InFull, BeforeValidator(expand_name, json_schema_input_type=_Name | _InFull)]


def target_form(loss: Loss, units: int) -> TargetForm:
    """Return the form of the target for a loss and a last layer of `units` outputs.

    Holds for specs that passed `fittingroom.specs.validation.trainability`: there, one output means two classes or a
    number.
    """
    if isinstance(loss, SparseCategoricalCrossentropy):
        return "index"
    return "number" if units == 1 else "one_hot"
