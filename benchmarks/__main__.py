"""`make bench`: what the fused engine gains, as ratios of one process run.

Every ratio is the time of the other one divided by ours, so that more is better for us, but in the columns that say
"ours / theirs".
"""

import argparse
import datetime as dt
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import replace
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np
from rich.console import Console
from rich.markdown import Markdown

from benchmarks import contestants, handwritten_jax
from benchmarks.service import Service, over_http
from benchmarks.work import EPOCHS, LARGE, WARM_EPOCHS, WORK, Work
from workers.engines.base import Arrays
from workers.engines.fused.engine import FusedEngine

_HTTP = {("Titanic 10-100-100-2", 16), ("Titanic 10-10-10-2", 64), ("digits 784-50-50-10", 3), ("dropout 784-50-10", 3)}


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--no-http", action="store_true", help="leave the service out")
    flags = parser.parse_args()
    chosen = [work for work in WORK if flags.only in work.name]
    peak = contestants.peak_flops()
    lines = [_heading(peak), "", *_table_head()]
    say = Console(stderr=True)
    if flags.no_http:
        lines += [line for work in chosen for line in _rows(work, peak, None, say)]
    else:
        with Service() as service:
            over_http(service, replace(WORK[0], name="warm-up"), 1, 2)
            lines += [line for work in chosen for line in _rows(work, peak, service, say)]
    if not flags.only:
        lines += ["", *_growth_of_trials(), "", *_growth_of_rows()]
    text = "\n".join(lines)
    sys.stdout.write(text + "\n")
    say.print(Markdown(text))


def _heading(peak: float) -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout  # noqa: S607 - whose git is first
    cores = len(os.sched_getaffinity(0))
    return (
        f"Measured {dt.datetime.now(dt.UTC):%Y-%m-%d} at {commit.strip()}, Keras on {os.environ['KERAS_BACKEND']}, on "
        f"{cores} cores ({platform.machine()}; a large matrix product reaches {peak / 1e9:.0f} GFLOP/s), "
        f"{EPOCHS} epochs, batch 32, validation 0.3."
    )


def _table_head() -> list[str]:
    columns = [
        "work", "trials", "`keras.fit` ms", "fused ms", "**faster than `keras.fit`**", "20 epochs, cold program",
        "over HTTP: cold", "over HTTP: known", "ours / JAX by hand", "faster than scikit-learn", "of peak", "how",
    ]  # fmt: skip
    return ["| " + " | ".join(columns) + " |", "| --- " + "| ---: " * (len(columns) - 2) + "| --- |"]


def _rows(work: Work, peak: float, service: Service | None, say: Console) -> list[str]:
    epochs = 6 if work.name in LARGE else WARM_EPOCHS
    plain, _ = contestants.keras_fit(work, min(epochs, EPOCHS))
    _, plain_whole = contestants.keras_fit(work, EPOCHS)
    rival = contestants.sklearn(work)
    lines = []
    for trials in work.trials:
        engine = FusedEngine()
        _, cold, _ = contestants.fused(work, trials, engine, EPOCHS)
        ours, jax, record = _beside_jax(work, trials, engine, epochs)
        http = ["", ""]
        if service is not None and (work.name, trials) in _HTTP:
            http = [f"{trials * plain_whole / seconds:.0f}" for seconds in over_http(service, work, trials)]
        cells = [
            work.name, str(trials), f"{plain * 1e3:.1f}", f"{ours / trials * 1e3:.2f}",
            f"**{trials * plain / ours:.0f}**" if trials * plain / ours >= 10 else f"**{trials * plain / ours:.1f}**",
            f"{trials * plain_whole / cold:.1f}", *http,
            "" if jax is None else f"{ours / jax:.2f}", "" if rival is None else f"{trials * rival / ours:.1f}",
            f"{contestants.flops(work) * trials / ours / peak:.0%}",
            f"{record['trials_per_program']} for {record['epochs_per_call']} a call, {record['compiler']}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
        say.print(lines[-1])
    return lines


def _beside_jax(work: Work, trials: int, engine: FusedEngine, epochs: int) -> tuple[float, float | None, Any]:
    """Both by turns, as the machine is not the same from one second to the next: medians of the rounds."""
    ours, theirs, record = [], [], None
    for _ in range(1 if work.name in LARGE else 3):
        seconds, _, record = contestants.fused(work, trials, engine, epochs)
        ours.append(seconds)
        theirs.append(handwritten_jax.train(work, trials, epochs))
    return statistics.median(ours), None if theirs[0] is None else statistics.median(filter(None, theirs)), record


def _growth_of_trials() -> list[str]:
    work = next(work for work in WORK if work.name == "Titanic 10-10-10-2")
    lines = ["| trials of Titanic 10-10-10-2 | ms per epoch | ms per trial-epoch |", "| ---: | ---: | ---: |"]
    engine = FusedEngine()
    for trials in (1, 4, 16, 64, 256, 1000):
        seconds, _, _ = contestants.fused(work, trials, engine, WARM_EPOCHS)
        lines.append(f"| {trials:,} | {seconds * 1e3:.1f} | {seconds / trials * 1e3:.3f} |")
    return lines


def _growth_of_rows() -> list[str]:
    """Digits repeated where there are no more of them: time does not depend on what they show."""
    work = next(work for work in WORK if work.name == "digits 784-50-50-10")
    lines = ["| rows of 784-50-50-10, 3 trials | ms per epoch | µs per row and trial |", "| ---: | ---: | ---: |"]
    few = replace(work, dataset={"name": "mnist-sample"}).arrays()
    for rows in (1_000, 5_000, 20_000, 70_000):
        seconds, _, _ = contestants.fused(work, 3, FusedEngine(), 6, arrays=_repeated(few, rows))
        lines.append(f"| {rows:,} | {seconds * 1e3:.0f} | {seconds / rows / 3 * 1e6:.2f} |")
    return lines


def _repeated(arrays: Arrays, rows: int) -> Arrays:
    x, y = (np.resize(values, (rows, values.shape[1])) for values in (arrays.x, arrays.y))
    cut = int(rows * 0.7)
    return Arrays(f"repeated {rows}", x[:cut], y[:cut], x[cut:], y[cut:])


if __name__ == "__main__":
    main()
