"""`make bench-compilers`: what a graph and XLA take to make a program and to run it, beside what the rule chooses.

The constants of `workers.engines.compilers` are read off this table.
"""

import os
import statistics
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

from benchmarks import contestants
from benchmarks.work import WORK, Work
from workers.engines.backends.chosen import backend
from workers.engines.compilers import USES
from workers.engines.fused.engine import FusedEngine

_EPOCHS = 16
_MAX_TRIALS = 64
_NAMES = ("Titanic", "digits", "dropout", "batch norm", "small CNN")
_ROUNDS = 3


def main() -> None:
    """Measure, and print Markdown."""
    columns = [
        "work", "trials", "steps", "graph: s to make", "ms per step", "XLA: s to make", "ms per step",
        "XLA pays from epochs", f"from epochs, in {USES} uses",
    ]  # fmt: skip
    sys.stdout.write("| " + " | ".join(columns) + " |\n| --- " + "| ---: " * (len(columns) - 1) + "|\n")
    contestants.fused(WORK[0], 1, FusedEngine(compiler="graph"), 1)  # what a process does once
    for work in WORK:
        for trials in work.trials if work.name.startswith(_NAMES) else ():
            if trials <= _MAX_TRIALS:
                sys.stdout.write(_row(work, trials) + "\n")
                sys.stdout.flush()


def _row(work: Work, trials: int) -> str:
    steps = -(-len(work.arrays().x) // 32)
    made, stepped = [], []
    for compiler in backend.COMPILERS:
        engine = FusedEngine(compiler=compiler)
        _, _, record = contestants.fused(work, trials, engine, 1 if "CNN" in work.name else _EPOCHS)
        made.append(record["compile_seconds"])
        epochs = 3 if "CNN" in work.name else 2 * _EPOCHS
        seconds = [contestants.fused(work, trials, engine, epochs)[0] for _ in range(_ROUNDS)]
        stepped.append(statistics.median(seconds) / steps)
    saved, longer = steps * (stepped[0] - stepped[1]), made[1] - made[0]
    pays = [f"{longer / uses / saved:.0f}" if saved > 0 else "never" for uses in (1, USES)]
    cells = [
        work.name, str(trials), str(steps),
        *(text for make, step in zip(made, stepped, strict=True) for text in (f"{make:.2f}", f"{step * 1e3:.2f}")),
        *pays,
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
