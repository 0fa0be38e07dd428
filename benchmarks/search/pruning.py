"""`make bench-search`, its second part: epochs that pruners spend until a trial is within 1 % of the best.

A search of 2,000 random configurations is replayed over learning curves that were trained once, the trials of one
network side by side: experiment after experiment, or round after round of one search. What is pruned is decided by the
workers' own code.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from benchmarks.search.curves import EPOCHS, Curves, load_curves
from fittingroom.specs.search.pruners import Pruner
from workers.engines.base import CohortTrial
from workers.reporting.pruning import Rungs

_PRUNERS: dict[str, dict[str, Any] | None] = {
    "none, one after the other": None,
    "successive_halving, by 3 from epoch 1": {"name": "successive_halving"},
    "successive_halving, by 3 from epoch 2": {"name": "successive_halving", "min_epochs": 2},
    "successive_halving, by 3 from epoch 3": {"name": "successive_halving", "min_epochs": 3},
    "successive_halving, by 4 from epoch 3": {"name": "successive_halving", "min_epochs": 3, "reduction_factor": 4},
    "successive_halving, by 5 from epoch 4": {"name": "successive_halving", "min_epochs": 4, "reduction_factor": 5},
    "hyperband, by 3": {"name": "hyperband"},
    "hyperband, by 3 from epoch 3": {"name": "hyperband", "min_epochs": 3},
    "top_k, 5 after epoch 1": {"name": "top_k", "k": 5},
    "top_k, 5 after epoch 5": {"name": "top_k", "k": 5, "epochs": 5},
    "top_k, 25 after epoch 3": {"name": "top_k", "k": 25, "epochs": 3},
}
_TRIALS = 500
"""Trials of an experiment; those of a network are a cohort."""
_ROUNDS = (500, 100, 20)
"""Trials of a round, where all are of one search."""


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.pruning", description=__doc__)
    parser.add_argument("--orders", type=int, default=20, help="number of random orders (default 20)")
    flags = parser.parse_args()
    for curves in load_curves():
        met = int(curves.meets_target()[:, -1].sum())
        print(f"{curves.name}: target {curves.target:.4g}, which {met:,} of {len(curves.specs):,} reach.\n")  # noqa: T201
        print("| pruner | epochs to the target, median | of those without | orders that reach it |")  # noqa: T201
        print("| --- | ---: | ---: | ---: |")  # noqa: T201
        full = 0.0
        for name, document in _PRUNERS.items():
            pruner = None if document is None else TypeAdapter(Pruner).validate_python(document)
            spent = [epochs_to_target(curves, pruner, seed) for seed in range(flags.orders)]
            median = float(np.median([np.inf if one is None else one for one in spent]))
            full = full or median
            reached = sum(one is not None for one in spent)
            part = "never" if np.isinf(median) else f"1/{full / median:.1f}"
            print(f"| {name} | {median:,.0f} | {part} | {reached}/{flags.orders} |", flush=True)  # noqa: T201
        print()  # noqa: T201


def epochs_to_target(curves: Curves, pruner: Pruner | None, seed: int) -> int | None:
    """Return the epochs trained until one trial has reached the target; None if none does."""
    order, met = np.random.default_rng(seed).permutation(len(curves.specs)), curves.meets_target()
    if pruner is None:
        first = next((place for place, number in enumerate(order) if met[number, -1]), None)
        return None if first is None else first * EPOCHS + int(np.argmax(met[order[first]])) + 1
    spent = 0
    for cohort in _cohorts(curves, order):
        for epochs, is_over in _prune(curves, pruner, cohort, met):
            spent += epochs
            if is_over:
                return spent
    return None


def _cohorts(curves: Curves, order: NDArray[np.int64]) -> Iterator[list[int]]:
    for start in range(0, len(order), _TRIALS):
        drawn = order[start : start + _TRIALS]
        for structure in np.unique(curves.structures):
            yield [int(number) for number in drawn if curves.structures[number] == structure]


def _prune(curves: Curves, pruner: Pruner, cohort: Sequence[int], met: NDArray[np.bool_]) -> Iterator[tuple[int, bool]]:
    """Yield for each epoch how many trials trained, and whether one of them has reached the target."""
    trials = [CohortTrial(str(number), curves.specs[number]) for number in cohort]
    rungs, going = Rungs(pruner, trials), list(cohort)
    for epoch in range(1, EPOCHS + 1):
        yield len(going), bool(met[going, epoch - 1].any())
        values = curves.reached[:, epoch - 1]
        reached = {str(number): float(values[number]) if np.isfinite(values[number]) else None for number in going}
        stopped = rungs.pruned(epoch, [str(number) for number in going], reached)
        going = [number for number in going if str(number) not in stopped]


if __name__ == "__main__":
    main()
