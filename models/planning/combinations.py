"""Combinations of values of search spaces, some of which count where a choice has gone their way alone."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from models.planning.paths import Key, Path, Value, Values, dotted
from models.planning.spaces import coordinate_of, count_values, has_value, list_values, value_at

UNCOUNTED = 0.5
"""Coordinate of a space that does not count for a combination, so that it makes no difference."""


@dataclass(frozen=True)
class Combinations:
    """Search spaces of a network's trials, in the order in which they stand: a choice before what depends on it."""

    spaces: Mapping[Path, dict[str, Any]]
    conditions: Mapping[Path, tuple[Path, Value]] = field(default_factory=dict)
    """The choice in an option of which a space stands, and that option, where there is one."""

    def counts_for(self, path: Path, values: Values) -> bool:
        """Return True if a space counts for the values of those before it."""
        condition = self.conditions.get(path)
        return condition is None or values.get(condition[0]) == condition[1]

    @cached_property
    def count(self) -> int | float:
        """Number of combinations; 1 without a space, infinite with a continuous one."""
        of_options: dict[tuple[Path, Value] | None, int | float] = {}
        for path, space in reversed(list(self.spaces.items())):
            if path in self._choices_of_documents:
                counts = [of_options.get((path, label), 1) for label in list_values(space)]
                count = math.inf if math.inf in counts else sum(counts)
            else:
                count = count_values(space)
            condition = self.conditions.get(path)
            before = of_options.get(condition, 1)
            # A product of integers may be beyond any float.
            of_options[condition] = math.inf if math.inf in (before, count) else before * count
        return of_options.get(None, 1)

    def every_one(self) -> Iterator[Values]:
        """Yield all combinations; there must not be too many of them."""
        chosen: list[dict[Path, Value]] = [{}]
        for path in self._choices_of_documents:
            labels = list_values(self.spaces[path])
            chosen = [
                values | option
                for values in chosen
                for option in ([{path: label} for label in labels] if self.counts_for(path, values) else [{}])
            ]
        for values in chosen:
            counted = [path for path in self.spaces if self.counts_for(path, values)]
            listed = ([values[path]] if path in values else list_values(self.spaces[path]) for path in counted)
            yield from (dict(zip(counted, combination, strict=True)) for combination in itertools.product(*listed))

    def at(self, point: Sequence[float]) -> Values:
        """Return the combination at a point of the unit cube, which has a coordinate for each space."""
        values: dict[Path, Value] = {}
        for (path, space), coordinate in zip(self.spaces.items(), point, strict=True):
            if self.counts_for(path, values):
                values[path] = value_at(space, coordinate)
        return values

    def key(self, values: Values) -> Key:
        """Return the values of a combination in the order of the spaces."""
        return tuple(values.get(path) for path in self.spaces)

    def of_key(self, key: Key) -> Values:
        """Return a combination by its key."""
        return {path: value for path, value in zip(self.spaces, key, strict=True) if value is not None}

    def point(self, key: Key) -> list[float]:
        """Return the point of the unit cube of a combination, by its key."""
        return [
            UNCOUNTED if value is None else coordinate_of(space, value)
            for space, value in zip(self.spaces.values(), key, strict=True)
        ]

    def holds(self, hyperparameters: Mapping[str, Value]) -> bool:
        """Return True if there is a combination with these values by name, and no others."""
        values: dict[Path, Value] = {}
        for path, space in self.spaces.items():
            if self.counts_for(path, values):
                value = hyperparameters.get(self._names[path])
                if value is None or not has_value(space, value):
                    return False
                values[path] = value
        return len(values) == len(hyperparameters)

    def find(self, hyperparameters: Mapping[str, Value]) -> Values | None:
        """Return the combination with these values by name, of which some may have no space; None if there is none."""
        known = {name: value for name, value in hyperparameters.items() if name in self._names.values()}
        return self.of_names(known) if self.holds(known) else None

    def of_names(self, hyperparameters: Mapping[str, Value]) -> Values:
        """Return a combination by the names of its values."""
        values: dict[Path, Value] = {}
        for path in self.spaces:
            if self.counts_for(path, values):
                values[path] = hyperparameters[self._names[path]]
        return values

    @cached_property
    def _names(self) -> dict[Path, str]:
        return {path: dotted(path) for path in self.spaces}

    @cached_property
    def _choices_of_documents(self) -> list[Path]:
        choices = {path for path, _ in self.conditions.values()}
        return [path for path in self.spaces if path in choices]
