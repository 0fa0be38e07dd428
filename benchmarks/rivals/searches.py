"""Searches with other tools until a target is reached, run by the Python of their own environment.

Usage: `python searches.py TOOL ARRAYS.npz TASK SEED`. It prints the seconds from the end of its imports until a trial
had reached the target, or that none had within the time allowed. Each tool has all cores, if it can use them.
"""

import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

Arrays = dict[str, Any]
SECONDS = 240.0
"""Time after which a search is given up."""


@dataclass(frozen=True)
class Task:
    """Search space and target."""

    metric: str
    target: float
    epochs: int
    units: tuple[int, ...]
    rates: tuple[float, float]
    outputs: int

    def is_reached(self, value: float) -> bool:
        """Return True if a value is good enough."""
        return value >= self.target if self.metric == "val_accuracy" else value <= self.target

    @property
    def direction(self) -> str:
        """Direction of the metric."""
        return "maximize" if self.metric == "val_accuracy" else "minimize"


TASKS = {
    "titanic": Task("val_loss", 0.385, 20, (4, 8, 16, 32), (1e-5, 1.0), 2),
    "digits": Task("val_accuracy", 0.938, 10, (25, 50, 100, 200, 400), (1e-5, 0.3), 10),
}


def network(task: Task, units: int, rate: float) -> keras.Model:
    """Return a compiled network."""
    model = keras.Sequential([keras.layers.Dense(units, "relu"), keras.layers.Dense(task.outputs, "softmax")])
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
    return model


def best_value(task: Task, units: int, rate: float, arrays: Arrays, callbacks: tuple[Any, ...] = ()) -> float:
    """Train one trial; return its best value."""
    keras.utils.set_random_seed(0)
    fitted = network(task, units, rate).fit(
        arrays["x"], arrays["y"], epochs=task.epochs, verbose=0, callbacks=list(callbacks),
        validation_data=(arrays["x_validation"], arrays["y_validation"]),
    )  # fmt: skip
    values = fitted.history[task.metric]
    return float(max(values) if task.direction == "maximize" else min(values))


def _optuna_worker(storage: str, task: Task, seed: int, file: str, reached: Any) -> None:
    import optuna  # noqa: PLC0415 - a rival

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    backend = optuna.storages.journal.JournalFileBackend(storage)
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend), study_name="search", load_if_exists=True,
        direction=task.direction, sampler=optuna.samplers.TPESampler(seed=seed),
    )  # fmt: skip
    with np.load(file) as saved:
        arrays = dict(saved)
    while not reached.is_set():
        trial = study.ask()
        units = trial.suggest_categorical("units", task.units)
        value = best_value(task, units, trial.suggest_float("rate", *task.rates, log=True), arrays)
        study.tell(trial, value)
        if task.is_reached(value):
            reached.set()


def optuna(task: Task, file: str, seed: int) -> bool:
    """Search by TPE, in a process per core that share a journal."""
    context = multiprocessing.get_context("spawn")
    reached = context.Event()
    with tempfile.TemporaryDirectory() as folder:
        storage = str(Path(folder) / "journal")
        workers = [
            context.Process(target=_optuna_worker, args=(storage, task, seed + place, file, reached), daemon=True)
            for place in range(os.cpu_count() or 1)
        ]
        for worker in workers:
            worker.start()
        found = reached.wait(SECONDS)
        for worker in workers:
            worker.kill()
    return bool(found)


def keras_tuner(task: Task, file: str, seed: int) -> bool:
    """Search by Hyperband; it has one process."""
    import keras_tuner as tuners  # noqa: PLC0415 - a rival

    with np.load(file) as saved:
        arrays = dict(saved)
    reached = threading.Event()

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            """See whether the target is reached."""
            del epoch
            if task.is_reached((logs or {})[task.metric]):
                reached.set()

    def build(space: Any) -> keras.Model:
        rate = space.Float("rate", *task.rates, sampling="log")
        return network(task, space.Choice("units", list(task.units)), rate)

    def search() -> None:
        with tempfile.TemporaryDirectory() as folder:
            tuner = tuners.Hyperband(
                build, tuners.Objective(task.metric, "max" if task.direction == "maximize" else "min"),
                max_epochs=task.epochs, hyperband_iterations=20, directory=folder, seed=seed,
            )  # fmt: skip
            validation = (arrays["x_validation"], arrays["y_validation"])
            tuner.search(
                arrays["x"], arrays["y"], epochs=task.epochs, validation_data=validation, verbose=0, callbacks=[Watch()]
            )

    threading.Thread(target=search, daemon=True).start()
    return reached.wait(SECONDS)


def ray_tune(task: Task, file: str, seed: int) -> bool:
    """Search at random with ASHA, in a process per core."""
    import ray  # noqa: PLC0415 - a rival
    from ray import tune  # noqa: PLC0415

    with np.load(file) as saved:
        arrays = dict(saved)

    class Report(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            """Report to the scheduler."""
            value = (logs or {})[task.metric]
            tune.report({task.metric: value, "epoch": epoch + 1, "done": task.is_reached(value)})

    def train(config: dict[str, Any]) -> None:
        best_value(task, config["units"], config["rate"], arrays, (Report(),))

    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    mode = "max" if task.direction == "maximize" else "min"
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            train,
            param_space={"units": tune.choice(list(task.units)), "rate": tune.loguniform(*task.rates)},
            tune_config=tune.TuneConfig(
                num_samples=10_000, time_budget_s=SECONDS,
                scheduler=tune.schedulers.ASHAScheduler("epoch", task.metric, mode, max_t=task.epochs, grace_period=1),
                search_alg=tune.search.basic_variant.BasicVariantGenerator(random_state=seed),
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, stop=_StopAll(task)),
        )  # fmt: skip
        found = tuner.fit().get_best_result(task.metric, mode, scope="all")
        return task.is_reached(float(found.metrics_dataframe[task.metric].agg(mode)))


class _StopAll:
    """Ends all trials as soon as one has reached the target."""

    def __new__(cls, task: Task) -> Any:
        from ray.tune import Stopper  # noqa: PLC0415 - a rival

        class Stop(Stopper):
            """Ends every trial once one was good enough."""

            is_over = False

            def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
                del trial_id
                self.is_over = self.is_over or task.is_reached(result[task.metric])
                return self.is_over

            def stop_all(self) -> bool:
                """Return True once a trial was good enough."""
                return self.is_over

        return Stop()


TOOLS: dict[str, Callable[[Task, str, int], bool]] = {
    "optuna": optuna, "keras_tuner": keras_tuner, "ray_tune": ray_tune,
}  # fmt: skip

if __name__ == "__main__":
    name, arrays_file, task_name, given_seed = sys.argv[1:]
    started = time.perf_counter()
    is_reached = TOOLS[name](TASKS[task_name], arrays_file, int(given_seed))
    sys.stdout.write(f"\n{time.perf_counter() - started if is_reached else 'not reached'}\n")
    sys.stdout.flush()
    os._exit(0)  # whatever still trains is of no interest
