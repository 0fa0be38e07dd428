"""Learning curves of 2,000 random configurations, trained once by the fused engine and kept in `.benchmarks`.

A table is 2,000 configurations by 81 epochs of the best objective so far, of a small network on Titanic or on digits.
"""

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray

from benchmarks.contestants import Clock
from benchmarks.work import arrays_of
from fittingroom.specs.experiment import ExperimentSpec, TrialSpec
from models.planning.plan import plan_experiment
from workers.engines.base import Cohort, CohortTrial
from workers.engines.fused.engine import FusedEngine

CONFIGURATIONS, EPOCHS = 2_000, 81
_FOLDER = Path(__file__).parents[2] / ".benchmarks" / "curves"
_PER_EXPERIMENT, _PER_COHORT = 1_000, 250


@dataclass(frozen=True)
class Curves:
    """A table of learning curves."""

    name: str
    metric: str
    is_minimized: bool
    specs: Sequence[TrialSpec]
    structures: NDArray[np.int64]
    """Number of the network of each configuration; those of one train side by side."""
    reached: NDArray[np.float64]
    """Best objective so far, (configurations, epochs); infinitely bad before there is one."""

    @property
    def target(self) -> float:
        """An objective within 1 % of the best of the table."""
        return 1.01 * float(self.reached.min()) if self.is_minimized else 0.99 * float(self.reached.max())

    def meets_target(self) -> NDArray[np.bool_]:
        """Return which configurations have reached the target after each epoch."""
        return self.reached <= self.target if self.is_minimized else self.reached >= self.target


_TASKS: dict[str, dict[str, Any]] = {
    "Titanic, val_loss": {
        "dataset": {"name": "titanic", "standardize": True}, "units": [4, 16, 64, 256], "outputs": 2,
        "metric": "val_loss",
    },
    "digits, val_accuracy": {
        "dataset": {"name": "mnist-sample", "rows": 600}, "units": [8, 16, 32, 64], "outputs": 10,
        "metric": "val_accuracy",
    },
}  # fmt: skip


def load_curves() -> list[Curves]:
    """Return the tables, and make those that are not there yet: some minutes."""
    return [_load(name, task) for name, task in _TASKS.items()]


def _load(name: str, task: Mapping[str, Any]) -> Curves:
    specs = [trial.spec for seed in range(CONFIGURATIONS // _PER_EXPERIMENT) for trial in _plan(task, seed)]
    digest = hashlib.sha256("".join(spec.model_dump_json() for spec in specs).encode()).hexdigest()[:12]
    file = _FOLDER / f"{name.partition(',')[0].lower()}-{digest}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, _train(specs, task))
    values = np.load(file)
    is_minimized = task["metric"] == "val_loss"
    worst = np.inf if is_minimized else -np.inf
    values = np.where(np.isfinite(values), values, worst)
    reached = np.minimum.accumulate(values, axis=1) if is_minimized else np.maximum.accumulate(values, axis=1)
    structures = np.array([task["units"].index(spec.model.layers[0].units) for spec in specs])
    return Curves(name, task["metric"], is_minimized, specs, structures, reached)


def _plan(task: Mapping[str, Any], seed: int) -> list[Any]:
    hidden = {"type": "dense", "units": {"choice": task["units"]}, "activation": "relu"}
    spec = _document(task) | {
        "model": {"layers": [hidden, {"type": "dense", "units": task["outputs"], "activation": "softmax"}]},
        "sampler": {"name": "random", "trials": _PER_EXPERIMENT, "seed": seed},
    }
    return plan_experiment(ExperimentSpec.model_validate(spec)).trials


def _document(task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": "learning curves", "dataset": task["dataset"],
        "model": {"layers": [{"type": "dense", "units": task["outputs"], "activation": "softmax"}]},
        "optimizer": {
            "name": "sgd", "learning_rate": {"log_uniform": [1e-5, 1.0]}, "momentum": {"uniform": [0.01, 0.99]},
        },
        "loss": "categorical_crossentropy", "metrics": ["accuracy"], "objective": {"metric": task["metric"]},
        "fit": {"epochs": EPOCHS, "validation_split": 0.3}, "sampler": {"name": "random", "trials": 1},
    }  # fmt: skip


def _train(specs: Sequence[TrialSpec], task: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the objective of each configuration after each epoch."""
    arrays, engine = arrays_of(_document(task)), FusedEngine()
    values = np.full((len(specs), EPOCHS), np.nan)
    by_units: dict[int, list[int]] = {}
    for number, spec in enumerate(specs):
        by_units.setdefault(spec.model.layers[0].units, []).append(number)
    for numbers in by_units.values():
        for start in range(0, len(numbers), _PER_COHORT):
            some = numbers[start : start + _PER_COHORT]
            cohort = Cohort([CohortTrial(str(number), specs[number]) for number in some], arrays)
            clock = Clock(cohort, EPOCHS)
            engine.train(cohort, clock)
            for epoch, metrics in enumerate(clock.metrics):
                values[some, epoch] = [float(metrics[str(number)][task["metric"]]) for number in some]
            print(f"trained {np.isfinite(values[:, -1]).sum():,} of {len(specs):,}", file=sys.stderr)  # noqa: T201
    return values
