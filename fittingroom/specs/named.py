"""Documents of several kinds by `name`, such as losses and optimizers: a kind is one class.

A name alone is the short form: `"adam"` for `{"name": "adam"}`, as in `model.compile`.
"""

from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BeforeValidator, Field

from fittingroom.specs.base import Spec

_Kind = TypeVar("_Kind", bound="Named")


class Named(Spec):
    """Base of documents of several kinds; a kind gives its `name` as a literal."""

    name: str


def expand_name(value: object) -> object:
    """Write the short form out; leave everything else as it is."""
    return {"name": value} if isinstance(value, str) else value


def kinds(base: type[_Kind]) -> list[type[_Kind]]:
    """Return the classes below a base that have a name, in the order in which they are written."""
    found = [kind for below in base.__subclasses__() for kind in (below, *kinds(below))]
    return [kind for kind in found if get_origin(kind.model_fields["name"].annotation) is Literal]


def name_of(kind: type[Named]) -> str:
    """Return the name by which a spec names a class."""
    name: str = get_args(kind.model_fields["name"].annotation)[0]
    return name


def by_name(base: type[Named]) -> Any:  # noqa: ANN401 - a type
    """Return the type of a field that takes a name, or a document of any kind below a base."""
    classes = kinds(base)
    in_full: Any = Annotated[Union[tuple(classes)], Field(discriminator="name")]  # noqa: UP007 - of a list
    short: Any = Literal[tuple(map(name_of, classes))]
    return Annotated[in_full, BeforeValidator(expand_name, json_schema_input_type=short | in_full)]
