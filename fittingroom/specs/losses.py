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


_InFull = Annotated[
    CategoricalCrossentropy
    | SparseCategoricalCrossentropy
    | BinaryCrossentropy
    | MeanSquaredError
    | MeanAbsoluteError
    | Huber,
    Field(discriminator="name"),
]
_Name = Literal[
    "categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy", "mse", "mae", "huber"
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
