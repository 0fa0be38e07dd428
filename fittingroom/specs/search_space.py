"""Search spaces, which may stand in place of a number or a name.

Values are sampled in `models.planning.sampling`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from fittingroom.specs.base import Spec
from fittingroom.specs.limits import MAX_CHOICES

T = TypeVar("T")


class _Space(Spec):
    """Base class of search spaces."""

    # Pydantic reads docstrings from the source each time a generic class gets its bounds: half a second at import.
    model_config = ConfigDict(use_attribute_docstrings=False)

    @classmethod
    def model_parametrized_name(cls, params: tuple[Any, ...]) -> str:
        """Name of the space in the API's schema, and in clients generated from it."""
        return f"{cls.__name__}Of{_name_of(params[0])}"


def _name_of(value: Any) -> str:  # noqa: ANN401 - types as values
    """Return a name for the values of a space: `IntFrom1To64`, `NumberAbove0`, `ReluAndOthers`."""
    if get_origin(value) is Literal:
        words = [str(name) for name in get_args(value)]
        first = words[1] if words[0] == "linear" else words[0]
        return first.title().replace("_", "") + "AndOthers"
    kind, *conditions = get_args(value) if get_origin(value) is Annotated else (value,)
    name = {int: "Int", float: "Number", bool: "Flag", str: "Text"}.get(kind, "Value")
    for condition in conditions:
        for bound in getattr(condition, "metadata", ()):
            words_of = {"ge": "From", "gt": "Above", "le": "To", "lt": "Below"}
            name += "".join(
                f"{word}{getattr(bound, key):g}".replace("-", "Minus").replace("+", "").replace(".", "Point")
                for key, word in words_of.items()
                if hasattr(bound, key)
            )
    return name


class Choice(_Space, Generic[T]):
    """One of the listed values."""

    choice: list[T] = Field(min_length=1, max_length=MAX_CHOICES, description="The values to try, without repeats.")

    @model_validator(mode="after")
    def _no_repeats(self) -> "Choice[T]":
        if len({repr(value) for value in self.choice}) < len(self.choice):
            raise ValueError("a value stands twice; every value of a choice makes a trial, so name each once")
        return self


class Uniform(_Space, Generic[T]):
    """Uniform distribution between two numbers. Needs the `random` sampler."""

    uniform: tuple[T, T] = Field(description="Lowest and highest value.")

    @model_validator(mode="after")
    def _in_order(self) -> "Uniform[T]":
        return _ascending(self, self.uniform)


class LogUniform(_Space, Generic[T]):
    """Log-uniform distribution: every order of magnitude is equally likely. Needs the `random` sampler."""

    log_uniform: tuple[T, T] = Field(description="Lowest and highest value, both above 0.")

    @model_validator(mode="after")
    def _in_order_and_positive(self) -> "LogUniform[T]":
        low, _ = self.log_uniform
        if low <= 0:  # type: ignore[operator]  # T is a number here; the alias below sees to it
            raise ValueError(f"log_uniform needs a lowest value above 0, found {low}; use uniform for a range with 0")
        return _ascending(self, self.log_uniform)


class IntUniform(_Space, Generic[T]):
    """Integers from the first to the second number, both included. The `grid` sampler tries all of them."""

    int_uniform: tuple[T, T] = Field(description="Lowest and highest value.")

    @model_validator(mode="after")
    def _in_order(self) -> "IntUniform[T]":
        return _ascending(self, self.int_uniform)


Space = Choice[Any] | Uniform[Any] | LogUniform[Any] | IntUniform[Any]

_S = TypeVar("_S")


def _ascending(space: _S, ends: tuple[Any, Any]) -> _S:
    low, high = ends
    if not low < high:
        raise ValueError(f"expected [lowest, highest] with lowest < highest, found [{low}, {high}]")
    return space


_SPACES: dict[str, Any] = {"choice": Choice, "uniform": Uniform, "log_uniform": LogUniform, "int_uniform": IntUniform}


def space_key(document: object) -> str | None:
    """The word that makes a JSON document a search space, or None if it is a plain value."""
    if isinstance(document, dict):
        return next((key for key in _SPACES if key in document), None)
    if not isinstance(document, _Space):  # asked of every value of every document
        return None
    return next(key for key, space in _SPACES.items() if isinstance(document, space))


def _searchable(value: Any, spaces: tuple[str, ...], extra: Any = None) -> Any:  # noqa: ANN401 - types as values
    """The annotation: a value, or one of the spaces, each over values with the same bounds as the value's own."""
    members = [Annotated[value, Tag("value")]]
    members += [Annotated[_SPACES[key][value], Tag(key)] for key in spaces]
    if extra is not None:
        members.append(Annotated[extra, Tag("document")])
    shapes = ", ".join(f'{{"{key}": […]}}' for key in spaces)
    message = f"expected a plain value or a search space: {shapes}"
    if extra is not None:
        message += ', or a schedule: {"schedule": …}'
    return Annotated[
        Union[tuple(members)],  # noqa: UP007 - the members are only known at run time
        Discriminator(_tagger(spaces, extra), custom_error_type="not_a_search_space", custom_error_message=message),
    ]


def _tagger(spaces: tuple[str, ...], extra: object) -> Callable[[Any], str | None]:
    def tag(document: Any) -> str | None:  # noqa: ANN401 - JSON
        key = space_key(document)
        if key is not None:
            return key if key in spaces else None
        if extra is not None and (
            isinstance(document, Spec) or (isinstance(document, dict) and "schedule" in document)
        ):
            return "document"
        return None if isinstance(document, dict) else "value"

    return tag


if TYPE_CHECKING:
    SearchableReal: TypeAlias = T | Choice[T] | Uniform[T] | LogUniform[T]
    SearchableInt: TypeAlias = T | Choice[T] | IntUniform[T]
    SearchableName: TypeAlias = T | Choice[T]
    _Schedule = TypeVar("_Schedule")
    SearchableRealOr: TypeAlias = T | Choice[T] | Uniform[T] | LogUniform[T] | _Schedule
else:
    # Aliases with bounds inside (`Annotated[float, Field(gt=0)]`) do not survive typing's own substitution
    # into a generic pydantic model, so the annotation is built when it is subscripted.
    class SearchableReal:
        """A number, or a choice, uniform or log_uniform over such numbers."""

        def __class_getitem__(cls, value: Any) -> Any:  # noqa: ANN401 - types as values
            return _searchable(value, ("choice", "uniform", "log_uniform"))

    class SearchableRealOr:
        """A number, a space over such numbers, or a document that says `schedule`."""

        def __class_getitem__(cls, parts: tuple[Any, Any]) -> Any:  # noqa: ANN401 - types as values
            return _searchable(parts[0], ("choice", "uniform", "log_uniform"), parts[1])

    class SearchableInt:
        """A whole number, or a choice or int_uniform over such numbers."""

        def __class_getitem__(cls, value: Any) -> Any:  # noqa: ANN401 - types as values
            return _searchable(value, ("choice", "int_uniform"))

    class SearchableName:
        """A name or a flag, or a choice of such."""

        def __class_getitem__(cls, value: Any) -> Any:  # noqa: ANN401 - types as values
            return _searchable(value, ("choice",))


def fixed(value: T | Choice[T] | Uniform[T] | LogUniform[T] | IntUniform[T]) -> T:
    """The plain value of a field that was already sampled.

    Raises:
        TypeError: the field still holds a search space, so this is no trial's document.
    """
    if isinstance(value, Choice | Uniform | LogUniform | IntUniform):
        raise TypeError(f"expected a sampled value, found the search space {value!r}")
    return value
