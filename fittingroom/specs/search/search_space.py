"""Search spaces, which may stand in place of a value or a document.

Where they may stand is said in `fittingroom.specs.search.searchable`; values are sampled in `models.planning.sampling`.
"""

from types import NoneType
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import Field

from fittingroom.specs.base import Int, Real, Spec
from fittingroom.specs.limits import MAX_CHOICES, MAX_POINTER_LENGTH

T = TypeVar("T")
_OPTIONS = [{"type": "number"}, {"type": "string"}, {"type": "boolean"}, {"type": "object"}]
_Value = Annotated[Any, Field(json_schema_extra={"anyOf": [*_OPTIONS, {"type": "array", "items": {"type": "object"}}]})]
_Number = Annotated[Any, Field(json_schema_extra={"type": "number"})]
_Integer = Annotated[Any, Field(json_schema_extra={"type": "integer"})]


class Choice(Spec):
    """One of the listed values.

    In place of the optimizer, a loss, a schedule or layers, the values are documents, which may hold further search
    spaces: these then count for the trials alone that have chosen their document. In place of a layer, a list is a
    block of layers, and `[]` no layer.
    """

    choice: list[_Value] = Field(min_length=1, max_length=MAX_CHOICES)
    """The values to try, without repeats."""


class Uniform(Spec):
    """Uniform distribution between two numbers. Needs a sampler that draws, such as `random`, unless it has a step."""

    uniform: tuple[_Number, _Number]
    """Lowest and highest value."""
    step: Annotated[Real, Field(gt=0)] | None = None
    """Distance of neighbouring values, counted from the lowest. Default: all numbers of the range."""


class LogUniform(Spec):
    """Log-uniform distribution: every order of magnitude is equally likely. Needs a sampler that draws."""

    log_uniform: tuple[_Number, _Number]
    """Lowest and highest value, both above 0."""


class IntUniform(Spec):
    """Integers from the first to the second number, both included. The `grid` sampler tries all of them."""

    int_uniform: tuple[_Integer, _Integer]
    """Lowest and highest value."""
    step: Annotated[Int, Field(ge=1, le=10**9)] | None = None
    """Distance of neighbouring values, counted from the lowest. Default: 1."""


class IntLogUniform(Spec):
    """Log-uniform distribution of integers: as many from 16 to 32 as from 32 to 64. The `grid` sampler tries all."""

    int_log_uniform: tuple[_Integer, _Integer]
    """Lowest and highest value, both at least 1."""


class SameAs(Spec):
    """The value that a search space elsewhere in the experiment has in the same trial."""

    same_as: Annotated[str, Field(max_length=MAX_POINTER_LENGTH)]
    """JSON Pointer to that search space, such as `/model/layers/0/units`."""


Space: TypeAlias = Choice | Uniform | LogUniform | IntUniform | IntLogUniform | SameAs

SPACES: dict[str, type[Space]] = {
    "choice": Choice,
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "int_uniform": IntUniform,
    "int_log_uniform": IntLogUniform,
    "same_as": SameAs,
}
"""Search spaces by the key that makes a document one."""


PLAIN_TYPES = {float, int, str, bool, NoneType}
"""Types that are never a search space: those of most values, which are asked for often."""


def search_space_kind(document: object) -> str | None:
    """Return the key that makes a JSON document a search space, or None if it is a plain value."""
    if isinstance(document, dict):
        return next((kind for kind in SPACES if kind in document), None)
    if type(document) in PLAIN_TYPES or not isinstance(document, Space):
        return None
    return next(kind for kind, space in SPACES.items() if isinstance(document, space))


def sampled_value(value: T | Space) -> T:
    """Return the plain value of a field that was already sampled.

    Raises:
        TypeError: the field still holds a search space, so this is no trial's document.
    """
    if isinstance(value, Space):
        raise TypeError(f"expected a sampled value, found the search space {value!r}")
    return value
