"""`make bench-six`: the exercises over HTTP, on a worker that has never seen them and on one that has, and as a script.

Each round has a service of its own, in an empty folder; the script is a process of its own, too.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.examples import example_documents
from benchmarks.service import Service

_POLL_SECONDS = 0.02
_SCRIPT_FLAG = "--as-script"


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.six", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds, whose medians are printed")
    parser.add_argument(_SCRIPT_FLAG, action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.as_script:
        sys.stdout.write(f"{_train_plainly()}\n")
        return
    rows: dict[str, list[float]] = {}
    for number in range(1, flags.rounds + 1):
        for name, seconds in _round().items():
            rows.setdefault(name, []).append(seconds)
        sys.stderr.write(f"round {number}: " + ", ".join(f"{k} {v[-1]:.2f}" for k, v in rows.items()) + "\n")
    medians = {name: statistics.median(seconds) for name, seconds in rows.items()}
    script = medians["a plain script, after its imports"]
    lines = ["| the six exercises, one after the other | seconds | of the script |", "| --- | ---: | ---: |"]
    lines += [f"| {name} | {seconds:.2f} | {seconds / script:.2f} |" for name, seconds in medians.items()]
    sys.stdout.write("\n".join(lines) + "\n")


def _round() -> dict[str, float]:
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.six", _SCRIPT_FLAG]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = {
        "a plain script, from its command": time.perf_counter() - started,
        "a plain script, after its imports": float(done.stdout.split()[-1]),
    }
    with TemporaryDirectory() as folder:
        for name in ("cold", "programs on disk"):
            with Service(Path(folder)) as service:
                found[f"over HTTP, a worker just started, {name}"] = _seconds(service)
                if name == "programs on disk":
                    found["over HTTP, programs known"] = _seconds(service)
    return found


def _seconds(service: Service) -> float:
    """Submit each exercise, and wait for its end."""
    started = time.perf_counter()
    for document in example_documents().values():
        experiment = service.client.submit(document)
        while (state := service.client.get_experiment(experiment.id).state) != "completed":
            if state == "failed":
                raise RuntimeError(f"{document['name']} failed")
            time.sleep(_POLL_SECONDS)
        service.client.get_experiment_history(experiment.id)
    return time.perf_counter() - started


def _train_plainly() -> float:
    """Train the exercises with Keras alone; return the seconds after the imports."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras  # noqa: PLC0415 - in this process alone

    from benchmarks.work import arrays_of  # noqa: PLC0415

    started = time.perf_counter()
    for document in example_documents().values():
        for layers, optimizer in _models(document):
            arrays = arrays_of(document)
            model = keras.Sequential([keras.layers.Dense(layer["units"], layer["activation"]) for layer in layers])
            model.compile(keras.optimizers.get(optimizer), document["loss"], metrics=document["metrics"])
            stops = document.get("early_stopping")
            validation = None if arrays.x_validation is None else (arrays.x_validation, arrays.y_validation)
            model.fit(
                arrays.x, arrays.y, epochs=document["fit"]["epochs"], validation_data=validation, verbose=0,
                callbacks=[keras.callbacks.EarlyStopping(**stops)] if stops else [],
            )  # fmt: skip
    return time.perf_counter() - started


def _models(document: Mapping[str, Any]) -> list[tuple[list[dict[str, Any]], Any]]:
    """Return the layers and the optimizer of each trial, as a person would write them in a loop."""
    models = document.get("models", {"model": document.get("model")})
    optimizer = document["optimizer"]
    optimizers: list[Any] = [optimizer]
    if isinstance(optimizer, dict):
        optimizers = [
            {"class_name": optimizer["name"], "config": {"learning_rate": float(rate)}}
            for rate in optimizer["learning_rate"]["choice"]
        ]
    return [(model["layers"], one) for model in models.values() for one in optimizers]


if __name__ == "__main__":
    main()
