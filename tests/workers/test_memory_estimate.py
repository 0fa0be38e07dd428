"""The estimate of memory against what training takes at its peak, each network in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

from fittingroom.specs.experiment import ExperimentSpec
from models.planning.memory import PROGRAM_BYTES, slots_per_weight
from models.planning.plan import plan_experiment
from tests.factories import DENSE_10, document
from tests.workers.engines.trials import trial_spec
from workers.builders.optimizers import build_optimizer

MOST_OFF = 0.3
SGD = {"name": "sgd", "learning_rate": 0.01}
IMAGE = {"type": "reshape", "target_shape": [28, 28, 1]}
POOL, FLAT = {"type": "max_pooling2d"}, {"type": "flatten"}


def dense(units: int) -> dict[str, Any]:
    return {"type": "dense", "units": units, "activation": "relu"}


def conv(filters: int, size: int = 3) -> dict[str, Any]:
    return {"type": "conv2d", "filters": filters, "kernel_size": size, "activation": "relu", "padding": "same"}


def network(layers: list[dict[str, Any]], batch: int, rows: int = 2_000, **changes: Any) -> dict[str, Any]:
    """Return an experiment on digits."""
    changes = {"optimizer": {"name": "adam"}} | changes
    return document(
        dataset={"name": "mnist-sample", "rows": rows}, model={"layers": [*layers, DENSE_10]},
        fit={"epochs": 2, "batch_size": batch, "validation_split": 0.2}, **changes,
    )  # fmt: skip


NETWORKS = {
    "wide, Adam": network([dense(8_192), dense(1_024)], 32),
    "wide, SGD": network([dense(8_192), dense(2_048)], 32, optimizer=SGD),
    "wide, momentum": network([dense(4_096), dense(4_096)], 32, optimizer=SGD | {"momentum": 0.9}),
    "deep": network([dense(1_024)] * 20, 64),
    "large batch": network([dense(4_096)] * 3, 1_600, optimizer=SGD),
    "dropout": network([dense(4_096), {"type": "dropout", "rate": 0.5}] * 4, 1_600, optimizer=SGD),
    "batch normalization": network([dense(2_048), {"type": "batch_normalization"}] * 6, 1_600, optimizer=SGD),
    "convolutions": network([IMAGE, conv(32), conv(32), POOL, FLAT, dense(64)], 256),
    "wide convolutions": network([IMAGE, conv(64), conv(64), conv(64), POOL, conv(128), FLAT, dense(128)], 256, 1_000),
    "large kernels": network([IMAGE, conv(48, 5), POOL, conv(96, 5), FLAT, dense(256)], 512, 1_000),
    "many rows": network([dense(512)] * 30, 4_000, 5_000, optimizer=SGD),
    "many rows, dropout": network([dense(512), {"type": "dropout", "rate": 0.2}] * 20, 4_000, 5_000),
}


def main() -> None:
    """Train what the argument names, and print by how many bytes the process has grown at its peak."""
    from tests.workers.engines.trials import cohort_of, fused_engine, trained, trial_specs  # noqa: PLC0415

    engine = fused_engine()
    trained(engine, cohort_of(trial_specs(document())))  # what any first training takes is the worker's own
    cohort = cohort_of(trial_specs(NETWORKS[sys.argv[1]]))
    Path("/proc/self/clear_refs").write_text("5")
    before = _bytes_of("VmRSS")
    trained(engine, cohort)
    sys.stdout.write(f"{_bytes_of('VmHWM') - before}\n")


def _bytes_of(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))


@pytest.mark.nightly
@pytest.mark.parametrize("name", NETWORKS)
def test_estimate_is_near_the_measured_peak(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.workers.test_memory_estimate", name],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    measured = json.loads(done.stdout.splitlines()[-1])
    plan = plan_experiment(ExperimentSpec.model_validate(NETWORKS[name]))
    estimated = PROGRAM_BYTES + plan.memory_bytes[1]
    assert (1 - MOST_OFF) * measured < estimated < (1 + MOST_OFF) * measured, f"{estimated:,} for {measured:,}"


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD, SGD | {"momentum": 0.9}, {"name": "lion"}, {"name": "adagrad"}, {"name": "rmsprop"},
        {"name": "rmsprop", "momentum": 0.5, "centered": True}, {"name": "adam"}, {"name": "adam", "amsgrad": True},
        {"name": "adamw"}, {"name": "nadam"}, {"name": "adadelta"}, {"name": "adamax"},
        {"name": "ftrl"}, {"name": "lamb"}, {"name": "adafactor"},
    ],
    ids=str,
)  # fmt: skip
def test_slots_are_those_that_keras_makes(optimizer: dict[str, Any]) -> None:
    given = trial_spec(optimizer=optimizer).optimizer
    built = build_optimizer(given)
    weight = keras.Variable([[0.0] * 7] * 11)
    built.build([weight])
    assert sum(1 for variable in built.variables if variable.shape == weight.shape) == slots_per_weight(given)


if __name__ == "__main__":
    main()
