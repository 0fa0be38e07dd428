"""The losses, and which form of the target each of them is trained on."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from fittingroom.specs.base import Bool, Real, Spec
from fittingroom.specs.named import named
from fittingroom.specs.search_space import SearchableReal

TargetForm = Literal["one_hot", "index", "number"]
"""How a target reaches the loss: a row of 0 and 1, the class's number to count by, or one number to come close to (of
two classes 0 or 1)."""

Smoothing = Annotated[Real, Field(ge=0, lt=1)]


class CategoricalCrossentropy(Spec):
    """For one output per class, with one-hot targets (`keras.losses.CategoricalCrossentropy`)."""

    name: Literal["categorical_crossentropy"]
    from_logits: Bool = False
    """Whether the last layer's outputs are not yet probabilities."""
    label_smoothing: SearchableReal[Smoothing] = 0.0
    """How much of the target is spread over all classes."""


class SparseCategoricalCrossentropy(Spec):
    """For one output per class, with the class's number as target (`keras.losses.SparseCategoricalCrossentropy`)."""

    name: Literal["sparse_categorical_crossentropy"]
    from_logits: Bool = False
    """Whether the last layer's outputs are not yet probabilities."""


class BinaryCrossentropy(Spec):
    """For yes or no, with one output; or with one output per class (`keras.losses.BinaryCrossentropy`)."""

    name: Literal["binary_crossentropy"]
    from_logits: Bool = False
    """Whether the last layer's outputs are not yet probabilities."""
    label_smoothing: SearchableReal[Smoothing] = 0.0
    """How much of the target is drawn towards one half."""


class MeanSquaredError(Spec):
    """The mean of squared differences (`keras.losses.MeanSquaredError`)."""

    name: Literal["mse"]


class MeanAbsoluteError(Spec):
    """The mean of absolute differences (`keras.losses.MeanAbsoluteError`)."""

    name: Literal["mae"]


class Huber(Spec):
    """Squared for small differences, absolute for large ones (`keras.losses.Huber`)."""

    name: Literal["huber"]
    delta: SearchableReal[Annotated[Real, Field(gt=0, le=1e6)]] = 1.0
    """Where squared turns into absolute."""


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
Loss = Annotated[_InFull, BeforeValidator(named, json_schema_input_type=_Name | _InFull)]


def target_form(loss: Loss, units: int) -> TargetForm:
    """The form of the target for a loss and a last layer of `units` outputs.

    Holds for specs that passed `fittingroom.specs.validation.trainability`: there, one output means two classes or a
    number.
    """
    if isinstance(loss, SparseCategoricalCrossentropy):
        return "index"
    return "number" if units == 1 else "one_hot"
