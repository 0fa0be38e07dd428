"""`make bench-rivals`: a sweep of learning rates over HTTP against what people use today, each with all cores.

The rivals have an environment of their own, whose Python is named by RIVALS.
"""

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.service import Service, over_http
from benchmarks.work import EPOCHS, WORK, Work

_TRIALS = 16
_SCRIPT = Path(__file__).with_name("sweep.py")
_NAMES = {
    "loop": "`keras.fit` in a loop",
    "pool": "`keras.fit` in a `multiprocessing` pool",
    "optuna": "Optuna, a thread per core",
    "keras_tuner": "KerasTuner",
    "ray_tune": "Ray Tune, a process per core",
}


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds, whose medians are printed")
    rounds = parser.parse_args().rounds
    work = next(work for work in WORK if work.name == "Titanic 10-100-100-2")
    with Service() as service:
        cold, known = over_http(service, work, _TRIALS)
    lines = [
        f"| {work.name}, {_TRIALS} rates, {EPOCHS} epochs | seconds | ours, cold, is faster | ours, known, is faster |",
        "| --- | ---: | ---: | ---: |",
        f"| over HTTP, cold | {cold:.2f} | | |",
        f"| over HTTP, known | {known:.2f} | | |",
    ]
    for name, title in _NAMES.items():
        seconds = statistics.median(_seconds(name, work) for _ in range(rounds))
        sys.stderr.write(f"{name} {seconds:.1f}\n")
        lines.append(f"| {title} | {seconds:.1f} | {seconds / cold:.0f} times | {seconds / known:.0f} times |")
    sys.stdout.write("\n".join(lines) + "\n")


def _seconds(name: str, work: Work) -> float:
    """Return the time of a rival from the end of its imports."""
    arrays = work.arrays()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "arrays.npz"
        names = ("x", "y", "x_validation", "y_validation")
        np.savez(file, **{name: getattr(arrays, name) for name in names})
        command = [os.environ["RIVALS"], str(_SCRIPT), name, str(file), str(_TRIALS), str(EPOCHS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(done.stdout.splitlines()[-1].split()[0])


if __name__ == "__main__":
    main()
