"""`make bench-search`: regret of samplers on twelve tables, and how long they take to draw.

Deterministic but for the times. Regret is 0 at the best of a table and 1 at its median, the mean over tables and seeds.
"""

import argparse
import datetime as dt
import itertools
import multiprocessing
import os
import platform
import time
from collections.abc import Callable
from functools import partial

# One thread for each process: that many run side by side, and arrays are small.
os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import numpy as np

from benchmarks.search.contestants import Found, by_optuna, drawn, ours
from benchmarks.search.tables import Table, load_tables
from models.planning.surrogates.cube import Cube, Observations
from models.planning.surrogates.evolution import propose_by_evolution
from models.planning.surrogates.gaussian_process import propose_by_gaussian_process
from models.planning.surrogates.parzen import propose_by_parzen

TRIALS = (25, 50, 100, 200)
CONTESTANTS: dict[str, Callable[[Table, int, int], Found]] = {
    "random": lambda table, trials, seed: drawn(table, "random", trials, seed),
    "quasi_random": lambda table, trials, seed: drawn(table, "quasi_random", trials, seed),
    "gp, rounds of 20": lambda table, trials, seed: ours(table, "gp", 20, trials, seed),
    "gp, rounds of 10": lambda table, trials, seed: ours(table, "gp", 10, trials, seed),
    "gp, rounds of 50": lambda table, trials, seed: ours(table, "gp", 50, trials, seed),
    "tpe, rounds of 20": lambda table, trials, seed: ours(table, "tpe", 20, trials, seed),
    "tpe, rounds of 5": lambda table, trials, seed: ours(table, "tpe", 5, trials, seed),
    "cma_es, rounds of 20": lambda table, trials, seed: ours(table, "cma_es", 20, trials, seed),
    "cma_es, rounds of 10": lambda table, trials, seed: ours(table, "cma_es", 10, trials, seed),
    "Optuna's TPE, one by one": lambda table, trials, seed: by_optuna(table, 1, trials, seed),
    "Optuna's TPE, rounds of 20": lambda table, trials, seed: by_optuna(table, 20, trials, seed),
}


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--only", default="", help="samplers whose name contains this")
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds (default 10)")
    flags = parser.parse_args()
    today = dt.datetime.now(dt.UTC).date()
    print(f"Measured {today} on {os.cpu_count()} cores ({platform.machine()}), {flags.seeds} seeds, twelve tables.\n")  # noqa: T201
    columns = [f"regret at {trials}" for trials in TRIALS]
    print(f"| sampler | {' | '.join(columns)} | standard error at 100 | ms to draw a round |")  # noqa: T201
    print(f"| --- {'| ---: ' * (len(TRIALS) + 2)}|")  # noqa: T201
    for name in CONTESTANTS:
        if flags.only in name:
            print(row_of(name, flags.seeds), flush=True)  # noqa: T201
    print("\n| drawing 20 after 1,000 trials | ms with 5 spaces | with 20 |\n| --- | ---: | ---: |")  # noqa: T201
    proposals = {"gp": propose_by_gaussian_process, "tpe": propose_by_parzen, "cma_es": propose_by_evolution}
    for name, propose in proposals.items():
        times = [1_000 * seconds_to_draw(partial(propose), dimensions) for dimensions in (5, 20)]
        print(f"| {name} | {times[0]:.0f} | {times[1]:.0f} |")  # noqa: T201


def row_of(name: str, seeds: int) -> str:
    """Return the row of one sampler."""
    with multiprocessing.Pool(initializer=_load) as pool:
        jobs = [(name, table, seed) for table in range(12) for seed in range(seeds)]
        results = pool.starmap(_search, jobs, chunksize=1)
    regrets = np.array([found for found, _ in results]).reshape(12, seeds, len(TRIALS))
    means = regrets.mean(axis=0)  # over the tables, for each seed
    error = means[:, TRIALS.index(100)].std(ddof=1) / np.sqrt(seeds) if seeds > 1 else float("nan")
    drawing = 1_000 * float(np.mean([seconds for _, seconds in results]))
    numbers = " | ".join(f"{number:.3f}" for number in means.mean(axis=0))
    return f"| {name} | {numbers} | {error:.3f} | {drawing:.0f} |"


_TABLES: list[Table] = []


def _load() -> None:
    _TABLES.extend(load_tables())


def _search(name: str, table: int, seed: int) -> tuple[list[float], float]:
    points, seconds = CONTESTANTS[name](_TABLES[table], max(TRIALS), seed)
    regrets = _TABLES[table].regrets(points)
    return [float(regrets[trials - 1]) for trials in TRIALS], seconds


def seconds_to_draw(propose: Callable[[Observations], object], dimensions: int) -> float:
    """Return the least time of three to draw 20 points after 1,000 results."""
    rng = np.random.default_rng(0)
    points = rng.random((1_000, dimensions))
    numbers = np.ones(dimensions, np.bool_)
    cube = Cube(np.zeros(dimensions, np.int64), numbers, np.arange(dimensions) < 1)
    values = np.sum((points - 0.3) ** 2, axis=1)

    def measure() -> float:
        began = time.perf_counter()
        list(itertools.islice(propose(Observations(cube, points, values, 5, np.random.default_rng(1), 20, 20)), 20))  # type: ignore[call-overload]
        return time.perf_counter() - began

    return min(measure() for _ in range(3))


if __name__ == "__main__":
    main()
