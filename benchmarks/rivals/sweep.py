"""The sweep of `make bench-rivals` as people write it with other tools; run by the Python of their own environment.

Usage: `python sweep.py TOOL ARRAYS.npz TRIALS EPOCHS`. It prints the seconds from the end of its imports, and the
lowest validation loss.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

Arrays = dict[str, Any]


def network(rate: float) -> keras.Model:
    """Return the network of the sweep, compiled with a learning rate."""
    layers = [keras.layers.Dense(100, "relu"), keras.layers.Dense(100, "relu"), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
    return model


def lowest_loss(rate: float, arrays: Arrays, epochs: int) -> float:
    """Train one trial; return its lowest validation loss."""
    keras.utils.set_random_seed(0)
    validation = (arrays["x_validation"], arrays["y_validation"])
    fitted = network(rate).fit(arrays["x"], arrays["y"], epochs=epochs, validation_data=validation, verbose=0)
    return min(fitted.history["val_loss"])


def loop(rates: list[float], arrays: Arrays, epochs: int) -> float:
    """Train one after the other."""
    return min(lowest_loss(rate, arrays, epochs) for rate in rates)


def pool(rates: list[float], arrays: Arrays, epochs: int) -> float:
    """Train in one process per core, each with a Keras of its own."""
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as processes:
        return min(processes.starmap(lowest_loss, [(rate, arrays, epochs) for rate in rates], chunksize=1))


def optuna(rates: list[float], arrays: Arrays, epochs: int) -> float:
    """Run a study on a grid, in as many threads as cores."""
    import optuna  # noqa: PLC0415 - a rival

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"rate": rates}))
    study.optimize(
        lambda trial: lowest_loss(trial.suggest_float("rate", min(rates), max(rates)), arrays, epochs),
        n_trials=len(rates), n_jobs=os.cpu_count() or 1,
    )  # fmt: skip
    return float(study.best_value)


def keras_tuner(rates: list[float], arrays: Arrays, epochs: int) -> float:
    """Search a grid; it has one process."""
    import keras_tuner  # noqa: PLC0415 - a rival

    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.GridSearch(
            lambda space: network(space.Choice("rate", rates)), "val_loss", max_trials=len(rates), directory=folder
        )
        validation = (arrays["x_validation"], arrays["y_validation"])
        tuner.search(arrays["x"], arrays["y"], epochs=epochs, validation_data=validation, verbose=0)
        return min(trial.score for trial in tuner.oracle.get_best_trials(len(rates)))


def ray_tune(rates: list[float], arrays: Arrays, epochs: int) -> float:
    """Search a grid, in one process per core."""
    import ray  # noqa: PLC0415 - a rival
    from ray import tune  # noqa: PLC0415

    def train(config: dict[str, float]) -> None:
        tune.report({"val_loss": lowest_loss(config["rate"], arrays, epochs)})

    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            train, param_space={"rate": tune.grid_search(rates)},
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )  # fmt: skip
        return float(tuner.fit().get_best_result("val_loss", "min").metrics["val_loss"])


TOOLS = {"loop": loop, "pool": pool, "optuna": optuna, "keras_tuner": keras_tuner, "ray_tune": ray_tune}

if __name__ == "__main__":
    name, file, trials, epochs_ = sys.argv[1:]
    with np.load(file) as saved:
        given = dict(saved)
    swept = [float(rate) for rate in np.geomspace(1e-4, 1e-2, int(trials))]
    started = time.perf_counter()
    best = TOOLS[name](swept, given, int(epochs_))
    sys.stdout.write(f"{time.perf_counter() - started} {best}\n")
