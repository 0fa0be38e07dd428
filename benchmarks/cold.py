"""`make bench-cold`: one trial of each network of the agreement suite, new to its process, against a plain `keras.fit`.

Both are timed from the spec to the last epoch, tracing and compiling included, without HTTP. Each number of epochs has
a process of its own, in which every network is met once.
"""

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.search.search_space import sampled_value
from tests.workers.engines.cases import KINDS
from tests.workers.engines.trials import arrays_of, cohort_of, trained, trial_specs
from workers.builders.heads import build_heads, compile_arguments, units_of
from workers.builders.networks import build_network
from workers.builders.optimizers import build_optimizer
from workers.engines.base import Arrays
from workers.engines.fused.engine import FusedEngine

_EPOCHS = (1, 3, 10, 30)


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold", description=__doc__)
    parser.add_argument("--epochs", type=int, help="number of epochs; by default 1, 3, 10 and 30, one after the other")
    epochs = parser.parse_args().epochs
    if epochs is not None:
        _measure(epochs)
        return
    columns = "| epochs | networks | median | nine in ten below | slowest | which, and its compiler |"
    sys.stdout.write(f"{columns}\n| ---: | ---: | ---: | ---: | ---: | --- |\n")
    for epochs in _EPOCHS:
        command = [sys.executable, "-m", "benchmarks.cold", "--epochs", str(epochs)]
        lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
        found = sorted((float(ratio), name) for name, ratio, _ in (line.split("\t") for line in lines))
        ratios = [ratio for ratio, _ in found]
        (slowest, name), high = found[-1], ratios[int(0.9 * len(ratios))]
        cells = (f"{statistics.median(ratios):.2f}", f"{high:.2f}", f"{slowest:.2f}", name)
        sys.stdout.write(f"| {epochs} | {len(ratios)} | " + " | ".join(cells) + " |\n")
        sys.stdout.flush()


def _measure(epochs: int) -> None:
    """Print a line for each network: its name, what ours takes of Keras's time, and ours."""
    for number, (name, document) in enumerate(KINDS.items()):
        [spec] = trial_specs(document | {"fit": document["fit"] | {"epochs": epochs}})
        arrays = arrays_of(spec)
        _forget_garbage()
        fit = _fit_seconds(spec, arrays)
        _forget_garbage()
        started = time.perf_counter()
        recorded = trained(FusedEngine(), cohort_of([spec]))
        ours = time.perf_counter() - started
        if number > 0:  # the first pays for what a process does once
            sys.stdout.write(f"{name}, {recorded.records[0]['compiler']}\t{ours / fit:.3f}\t{ours:.2f} s\n")
            sys.stdout.flush()


def _forget_garbage() -> None:
    """Have Python look for garbage before a measurement, and never again at what is left, as in a worker."""
    gc.collect()
    gc.freeze()


def _fit_seconds(spec: TrialSpec, arrays: Arrays) -> float:
    """Train it as a script does, with Keras's defaults."""
    validation = None if arrays.x_validation is None else (arrays.x_validation, arrays.y_validation)
    started = time.perf_counter()
    model = build_network(spec, arrays.x.shape[1])
    model.compile(build_optimizer(spec.optimizer), **compile_arguments(build_heads(spec, units_of(model))))
    model.fit(
        arrays.x, arrays.y, sample_weight=arrays.weight, validation_data=validation, verbose=0,
        epochs=sampled_value(spec.fit.epochs), batch_size=sampled_value(spec.fit.batch_size),
    )  # fmt: skip
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
