"""Search spaces in the document of a network's trials, and documents with a value in the place of each."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice, repeat
from typing import Any, NamedTuple

from fittingroom.specs.faults import Fault, InvalidSpec, pointer
from fittingroom.specs.limits import MAX_LAYERS, MAX_SPACES
from fittingroom.specs.search.search_space import search_space_kind
from models.planning.combinations import Combinations
from models.planning.paths import Path, Value, Values

_KINDS = ("schedule", "name")
"""Keys by whose value an option is called that is no layer."""
_LABELS = "\0labels"
_CLASS_WEIGHT = ("fit", "class_weight")
"""Path of an object whose keys may be any names."""
_Condition = tuple[Path, Value]
_Found = tuple[Path, dict[str, Any], _Condition | None]
_MAX_LABEL_LENGTH = 60
_LISTED = 5


class SearchSpaces(NamedTuple):
    """Search spaces of a document, and the places that refer to them."""

    combinations: Combinations
    same_as: Mapping[Path, Path]
    """Places that take the value of a search space elsewhere, and the place of that."""


def find_spaces(document: Mapping[str, Any], model_name: str | None) -> SearchSpaces:
    """Return the search spaces of a document, those within options of a choice included.

    Args:
        document: of the trials of a network.
        model_name: of the network under `models`, for pointers.

    Raises:
        InvalidSpec: there are too many spaces; or a place has the value of a space that is not there, or not always
            when that place is.
    """
    spaces: dict[Path, dict[str, Any]] = {}
    conditions: dict[Path, _Condition] = {}
    pointers: dict[Path, str] = {}
    by_pointer: dict[str, Path] = {}
    of_documents: set[str] = set()
    for path, found, condition in _found(document, (), None):
        place = pointer(in_experiment(path, model_name))
        if "same_as" in found:
            pointers[path] = found["same_as"]
            continue
        spaces[path] = found
        if condition is not None:
            conditions[path] = condition
        if _LABELS in found:
            spaces[path] = {"choice": found[_LABELS]}
            of_documents.add(place)
        else:
            by_pointer[place] = path
    if len(spaces) > MAX_SPACES:
        detail = f"{len(spaces):,} search spaces; at most {MAX_SPACES} fit one network and its training"
        raise InvalidSpec([Fault(pointer=pointer(in_experiment(("model",), model_name)), detail=detail)])
    same_as: dict[Path, Path] = {}
    for path, wanted in pointers.items():
        target = by_pointer.get(wanted)
        if target is None or not set(_options_of(target)) <= set(_options_of(path)):
            if target is not None:
                detail = "that search space stands in an option of a choice, and this place not within the same option"
            elif wanted in of_documents:
                detail = "the options of that choice are documents, which have no value"
            else:
                detail = _no_target(wanted, by_pointer)
            raise InvalidSpec([Fault(pointer=pointer(in_experiment(path, model_name)), detail=detail, found=wanted)])
        same_as[path] = target
    return SearchSpaces(Combinations(spaces, conditions), same_as)


def in_experiment(path: Path, model_name: str | None) -> Path:
    """Return a path of a trial's document as one of the experiment's."""
    return ("models", model_name, *path[1:]) if model_name is not None and path[:1] == ("model",) else path


class Chosen:
    """The document of a trial: one in which every search space has a value.

    Attributes:
        document: of the trial.
        origins: where parts of it stand in the document with the search spaces, if elsewhere; paths of both.
    """

    def __init__(
        self, document: Mapping[str, Any], spaces: SearchSpaces, values: Values, model_name: str | None
    ) -> None:
        """Put values into a document.

        Args:
            document: with search spaces.
            spaces: of the document.
            values: of the spaces.
            model_name: of the network under `models`, for pointers.

        Raises:
            InvalidSpec: layers are repeated by another value than an integer.
        """
        self._model_name = model_name
        self._combinations, self._same_as = spaces
        self._values = values
        self.origins: dict[Path, Path] = {}
        self.document: dict[str, Any] = self._of(dict(document), (), ())

    def _of(self, document: Any, path: Path, place: Path) -> Any:  # noqa: ANN401 - JSON
        """Return a part of the document.

        Args:
            document: the part, search spaces still in it.
            path: its place in the document with the search spaces.
            place: its place in the trial's document.
        """
        if isinstance(document, dict):
            return self._of_dict(document, path, place)
        if not isinstance(document, list):
            return document
        if path != ("model", "layers"):
            return [self._of(value, (*path, index), (*place, index)) for index, value in enumerate(document)]
        layers = []
        # One more is enough to refuse the trial.
        for index, (layer, origin) in enumerate(islice(self._layers(document, path), MAX_LAYERS + 1)):
            at = (*place, index)
            if origin != at:
                self.origins[at] = origin
            layers.append(self._of(layer, origin, at))
        return layers

    def _of_dict(self, document: dict[str, Any], path: Path, place: Path) -> Any:  # noqa: ANN401 - JSON
        if path in self._same_as:
            return self._values[self._same_as[path]]
        if path not in self._values:
            return {key: self._of(value, (*path, key), (*place, key)) for key, value in document.items()}
        number = self._option(path)
        option = None if number is None else document["choice"][number]
        if not isinstance(option, dict):
            return self._values[path]
        self.origins[place] = (*path, "choice", number or 0)
        return self._of(option, self.origins[place], place)

    def _layers(self, block: Any, path: Path) -> Iterator[tuple[Any, Path]]:  # noqa: ANN401 - JSON
        """Yield the layers of a block, of an option or of what is repeated, with the path of each."""
        if isinstance(block, list):
            for index, layer in enumerate(block):
                yield from self._layers(layer, (*path, index))
        elif path in self._values:
            number = self._option(path) or 0
            yield from self._layers(block["choice"][number], (*path, "choice", number))
        elif "repeat" in block:
            # One more than a network may have is enough to refuse it.
            layers = list(islice(self._layers(block["repeat"], (*path, "repeat")), MAX_LAYERS + 1))
            yield from chain.from_iterable(repeat(layers, self._times(block, path) if layers else 0))
        else:
            yield block, path

    def _times(self, block: Mapping[str, Any], path: Path) -> int:
        place = (*path, "times")
        times = self._of(block["times"], place, ())
        if type(times) is not int or not 1 <= times <= MAX_LAYERS:  # the value of another space may be anything
            place = in_experiment(place, self._model_name)
            detail = f"expected a number of repetitions from 1 to {MAX_LAYERS}"
            raise InvalidSpec([Fault(pointer=pointer(place), detail=detail, found=repr(times)[:80])])
        return times

    def _option(self, path: Path) -> int | None:
        """Return the number of the option that was chosen, from 0; None for a space that is no choice."""
        options = self._combinations.spaces[path].get("choice")
        return None if options is None else options.index(self._values[path])


def moved(fault: Fault, origins: Mapping[Path, Path]) -> Fault:
    """Return a fault of a trial's document as one of the document that a client gave.

    Args:
        fault: with a pointer into the trial's document.
        origins: where parts of that stand in the client's.
    """
    parts = fault.pointer.split("/")[1:]
    places = {tuple(map(str, place)): origin for place, origin in origins.items()}
    for length in range(len(parts), 0, -1):
        origin = places.get(tuple(parts[:length]))
        if origin is not None:
            return fault.model_copy(update={"pointer": "/".join([pointer(origin), *parts[length:]])})
    return fault


def _found(document: Any, path: Path, condition: _Condition | None) -> Iterator[_Found]:  # noqa: ANN401 - JSON
    """Yield every search space in a document, with its path and the option of a choice in which it stands.

    A choice of documents has its `_LABELS` too.
    """
    parts: Iterable[tuple[str | int, Any]] = ()
    if isinstance(document, list):
        parts = enumerate(document)
    elif search_space_kind(document) is None or path == _CLASS_WEIGHT:
        parts = document.items()
    elif any(isinstance(option, dict | list) for option in document.get("choice", ())):
        labels = _labels(document["choice"])
        yield path, document | {_LABELS: labels}, condition
        for number, option in enumerate(document["choice"]):
            if isinstance(option, dict | list):
                yield from _found(option, (*path, "choice", number), (path, labels[number]))
    else:
        yield path, document, condition
    for key, value in parts:
        if isinstance(value, dict | list):
            yield from _found(value, (*path, key), condition)


def _labels(options: list[Any]) -> list[Value]:
    """Return what the options of a choice are called in results: distinct, and plain values by themselves."""
    plain = {option for option in options if not isinstance(option, dict | list)}
    numbers = Counter(str(option) for option in plain)
    labels: list[Value] = []
    for option in options:
        if isinstance(option, dict | list):
            name = _label(option)
            numbers[name] += 1
            labels.append(name if numbers[name] == 1 else f"{name} {numbers[name]}")
        else:
            labels.append(option)
    return labels


def _label(option: dict[str, Any] | list[Any]) -> str:
    if isinstance(option, list):
        label = "+".join(map(_label, option)) or "none"
    elif "repeat" in option:
        label = f"repeat({_label(option['repeat'])})"
    elif "choice" in option:
        label = "choice"
    elif "type" in option:
        label = option["name"] or option["type"]
    else:
        label = next(str(option[key]) for key in _KINDS if key in option)
    return label if len(label) <= _MAX_LABEL_LENGTH else label[:_MAX_LABEL_LENGTH] + "…"


def _options_of(path: Path) -> Iterator[Path]:
    """Yield the options of choices in which a path lies."""
    for length, part in enumerate(path):
        if part == "choice":
            yield path[: length + 2]


def _no_target(wanted: str, by_pointer: Mapping[str, Path]) -> str:
    listed = ", ".join(islice(by_pointer, _LISTED)) or "none"
    more = f" and {len(by_pointer) - _LISTED} more" if len(by_pointer) > _LISTED else ""
    return f"no search space of the network or the training has the pointer {wanted[:200]!r}; there are: {listed}{more}"
