"""`make bench-targets`: seconds until a trial has reached a target, over HTTP against other tools' searches.

The rivals have an environment of their own, whose Python is named by RIVALS. Ours is measured from the submit, with a
worker that has started and knows no program of the search, and again with one that knows them.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.service import Service
from benchmarks.work import arrays_of

_SCRIPT = Path(__file__).parent / "rivals" / "searches.py"
_NAMES = {
    "optuna": "Optuna, TPE, a process per core",
    "keras_tuner": "KerasTuner, Hyperband",
    "ray_tune": "Ray Tune, ASHA, a process per core",
}
# The same spaces, epochs and targets as in `rivals/searches.py`.
_TASKS: dict[str, dict[str, Any]] = {
    "titanic": {
        "metric": "val_loss", "target": 0.385, "epochs": 20, "units": [4, 8, 16, 32], "rates": [1e-5, 1.0],
        "outputs": 2, "dataset": {"name": "titanic", "standardize": True},
    },
    "digits": {
        "metric": "val_accuracy", "target": 0.938, "epochs": 10, "units": [25, 50, 100, 200, 400],
        "rates": [1e-5, 0.3], "outputs": 10, "dataset": {"name": "mnist-sample", "rows": 2500},
    },
}  # fmt: skip


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.targets", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, whose medians are printed (default 3)")
    parser.add_argument("--only", default="", help="tools whose name contains this")
    parser.add_argument("--workers", type=int, default=1, help="number of our worker processes (default 1)")
    flags = parser.parse_args()
    print("| task | tool | seconds to the target, by seed | median |\n| --- | --- | --- | ---: |")  # noqa: T201
    for name, task in _TASKS.items():
        rows: dict[str, list[float]] = {"ours, cold": [], "ours, known programs": []}
        for seed in range(flags.seeds):
            with Service(workers=flags.workers) as service:
                for seconds in rows.values():
                    seconds.append(_ours(service, task, seed))
        for tool, title in _NAMES.items():
            if flags.only in tool:
                rows[title] = [_rival(tool, name, task, seed) for seed in range(flags.seeds)]
        for row, found in rows.items():
            shown = ", ".join("not within 240" if one == float("inf") else f"{one:.1f}" for one in found)
            goal = f"{name}: {task['metric']} {task['target']}"
            print(f"| {goal} | {row} | {shown} | {statistics.median(found):.1f} |", flush=True)  # noqa: T201


def _document(task: dict[str, Any], seed: int) -> dict[str, Any]:
    layers = [
        {"type": "dense", "units": {"choice": task["units"]}, "activation": "relu"},
        {"type": "dense", "units": task["outputs"], "activation": "softmax"},
    ]
    return {
        "name": "to a target", "dataset": task["dataset"], "model": {"layers": layers},
        "optimizer": {"name": "adam", "learning_rate": {"log_uniform": task["rates"]}},
        "loss": "categorical_crossentropy", "metrics": ["accuracy"],
        "fit": {"epochs": task["epochs"], "validation_split": 0.3},
        "objective": {"metric": task["metric"]},
        "sampler": {"name": "gp", "trials": 400, "round": 20, "seed": seed},
    }  # fmt: skip


def _ours(service: Service, task: dict[str, Any], seed: int) -> float:
    """Return the seconds until the best trial that can be read over HTTP has reached the target."""
    sign = 1 if task["metric"] == "val_loss" else -1
    began = time.perf_counter()
    experiment = service.client.submit(_document(task, seed))
    seconds = float("inf")
    while time.perf_counter() - began < 240:
        view = service.client.get_experiment(experiment.id)
        best = view.best_trial
        if best is not None and sign * float(best.metrics[task["metric"]]) <= sign * task["target"]:
            seconds = time.perf_counter() - began
            break
        if view.state in ("completed", "failed"):
            break
        time.sleep(0.02)
    service.client.cancel(experiment.id)
    service.client.wait(experiment.id, timeout=60)
    return seconds


def _rival(tool: str, name: str, task: dict[str, Any], seed: int) -> float:
    """Return the seconds from the end of a rival's imports, infinite where it did not reach the target."""
    document = _document(task, seed)
    document["model"]["layers"][0]["units"] = 4
    document["optimizer"]["learning_rate"] = 0.01
    arrays = arrays_of(document | {"sampler": {"name": "grid"}})
    with TemporaryDirectory() as folder:
        file = Path(folder) / "arrays.npz"
        names = ("x", "y", "x_validation", "y_validation")
        np.savez(file, **{one: getattr(arrays, one) for one in names})  # type: ignore[arg-type]
        command = [os.environ["RIVALS"], str(_SCRIPT), tool, str(file), name, str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    last = done.stdout.splitlines()[-1]
    sys.stderr.write(f"{tool} {name} {seed} {last}\n")
    return float("inf") if last == "not reached" else float(last)


if __name__ == "__main__":
    main()
