"""`make bench-search`, its second part: epochs that pruners spend until a trial is within 1 % of the best.

A search of 2,000 random configurations is replayed over learning curves that were trained once, the trials of one
network side by side: experiment after experiment, or round after round of one search. What is pruned is decided by the
workers' own code.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
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
    "median, from epoch 1": {"name": "median"},
    "median, from epoch 3": {"name": "median", "min_epochs": 3},
    "top_k, 5 after epoch 1": {"name": "top_k", "k": 5},
    "top_k, 5 after epoch 5": {"name": "top_k", "k": 5, "epochs": 5},
    "top_k, 25 after epoch 3": {"name": "top_k", "k": 25, "epochs": 3},
}
_TRIALS = 500
"""Trials of an experiment; those of a network are a cohort."""
_IN_ROUNDS = (
    "successive_halving, by 3 from epoch 3", "successive_halving, by 4 from epoch 3", "median, from epoch 1",
    "median, from epoch 3",
)  # fmt: skip
_ROUNDS = (100, 20)
"""Trials of a round, where all are of one search: it compares with earlier rounds."""


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
        rows = [(name, _TRIALS, False) for name in _PRUNERS if not name.startswith("median")]
        rows += [(name, size, True) for name in _IN_ROUNDS for size in _ROUNDS]
        for name, size, is_one_search in rows:
            document = _PRUNERS[name]
            pruner = None if document is None else TypeAdapter(Pruner).validate_python(document)
            spent = [
                epochs_to_target(curves, pruner, seed, size, is_one_search=is_one_search)
                for seed in range(flags.orders)
            ]
            median = float(np.median([np.inf if one is None else one for one in spent]))
            full = full or median
            reached = sum(one is not None for one in spent)
            part = "never" if np.isinf(median) else f"1/{full / median:.1f}"
            title = f"{name}, rounds of {size}" if is_one_search else name
            print(f"| {title} | {median:,.0f} | {part} | {reached}/{flags.orders} |", flush=True)  # noqa: T201
        print()  # noqa: T201


def epochs_to_target(curves: Curves, pruner: Pruner | None, seed: int, size: int, *, is_one_search: bool) -> int | None:
    """Return the epochs trained until one trial has reached the target; None if none does.

    Args:
        curves: of all configurations.
        pruner: of the experiments.
        seed: of the order of the configurations.
        size: number of trials of an experiment, or of a round.
        is_one_search: True for rounds of one experiment.
    """
    order, met = np.random.default_rng(seed).permutation(len(curves.specs)), curves.meets_target()
    if pruner is None:
        first = next((place for place, number in enumerate(order) if met[number, -1]), None)
        return None if first is None else first * EPOCHS + int(np.argmax(met[order[first]])) + 1
    spent = 0
    earlier: dict[int, list[float]] = {}
    for begin in range(0, len(order), size):
        drawn = order[begin : begin + size]
        at_rungs: dict[int, list[float]] = {epoch: [] for epoch in pruner.rungs(EPOCHS)}
        for structure in np.unique(curves.structures):
            cohort = [int(number) for number in drawn if curves.structures[number] == structure]
            for epoch, going in _prune(curves, pruner, cohort, earlier):
                spent += len(going)
                if met[going, epoch - 1].any():
                    return spent
                if epoch in at_rungs:
                    at_rungs[epoch] += curves.reached[going, epoch - 1].tolist()
        if is_one_search:
            earlier = {epoch: earlier.get(epoch, []) + values for epoch, values in at_rungs.items()}
    return None


def _prune(
    curves: Curves, pruner: Pruner, cohort: Sequence[int], earlier: Mapping[int, Sequence[float]]
) -> Iterator[tuple[int, list[int]]]:
    """Yield each epoch and the configurations of a cohort that train in it."""
    if not cohort:
        return
    trials = [CohortTrial(str(number), curves.specs[number]) for number in cohort]
    rungs, going = Rungs(pruner, trials, earlier), list(cohort)
    for epoch in range(1, EPOCHS + 1):
        yield epoch, going
        values = curves.reached[:, epoch - 1]
        reached = {str(number): float(values[number]) if np.isfinite(values[number]) else None for number in going}
        stopped = rungs.pruned(epoch, [str(number) for number in going], reached, {})
        going = [number for number in going if str(number) not in stopped]


if __name__ == "__main__":
    main()
