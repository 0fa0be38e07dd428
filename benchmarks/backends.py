"""`make bench-backends`: Keras's two backends beside each other, as ratios of one run.

Each backend is a process of its own, as Keras has but one in a process; they take turns, so that both see the machine
at its better and at its worse.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BACKENDS = ("tensorflow", "jax")
ROUNDS = 3
_CASES = [
    ("Titanic 10-10-10-2", 1), ("Titanic 10-10-10-2", 16), ("Titanic 10-100-100-2", 1), ("Titanic 10-100-100-2", 16),
    ("digits 784-50-50-10", 1), ("digits 784-50-50-10", 8), ("dropout 784-50-10", 3), ("batch norm 10-50-2", 1),
    ("small CNN", 1), ("784-1024-1024-10", 1),
]  # fmt: skip
_FLAG = "--measure"


def main() -> None:
    """Measure, and print Markdown."""
    found = {backend: [_asked(backend) for _ in range(ROUNDS)] for backend in BACKENDS}
    lines = [
        "| work | trials | TensorFlow ms | JAX ms | **TensorFlow / JAX** | cold: TensorFlow s | JAX s |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for place, (name, trials) in enumerate(_CASES):
        warm, cold = (
            [statistics.median(each[place][kind] for each in found[backend]) for backend in BACKENDS] for kind in (0, 1)
        )
        lines.append(
            f"| {name} | {trials} | {warm[0] * 1e3:.2f} | {warm[1] * 1e3:.2f} | **{warm[0] / warm[1]:.1f}** "
            f"| {cold[0]:.1f} | {cold[1]:.1f} |"
        )
    ready = [statistics.median(_first_claim(backend) for _ in range(ROUNDS)) for backend in BACKENDS]
    lines += ["", f"From the command to a worker's first claim: TensorFlow {ready[0]:.1f} s, JAX {ready[1]:.1f} s."]
    sys.stdout.write("\n".join(lines) + "\n")


def _asked(backend: str) -> list[tuple[float, float]]:
    """Seconds of an epoch of all trials, and of twenty epochs with making the program, for each case."""
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "benchmarks.backends", _FLAG]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [(warm, cold) for warm, cold in json.loads(answer.stdout)]


def _measured() -> list[tuple[float, float]]:
    from benchmarks import contestants  # noqa: PLC0415 - loads Keras
    from benchmarks.work import EPOCHS, LARGE, WARM_EPOCHS, WORK  # noqa: PLC0415
    from workers.engines.fused.engine import FusedEngine  # noqa: PLC0415

    seconds = []
    for name, trials in _CASES:
        work, engine = next(work for work in WORK if work.name == name), FusedEngine()
        _, cold, _ = contestants.fused(work, trials, engine, EPOCHS)
        warm, _, _ = contestants.fused(work, trials, engine, 6 if work.name in LARGE else WARM_EPOCHS)
        seconds.append((warm, cold))
    return seconds


def _first_claim(backend: str) -> float:
    """Seconds from the command of a worker until it has claimed what waits for it."""
    from app.examples import example_documents  # noqa: PLC0415
    from fittingroom.specs.experiment import ExperimentSpec  # noqa: PLC0415
    from models.messaging.broker import create_celery, publish  # noqa: PLC0415
    from models.planning.plan import plan_experiment  # noqa: PLC0415
    from models.settings import Settings  # noqa: PLC0415
    from models.sql.database import Database  # noqa: PLC0415
    from models.sql.experiments import get_cohort  # noqa: PLC0415
    from models.sql.plans.submissions import Submission, add_experiments  # noqa: PLC0415

    spec = ExperimentSpec.model_validate(example_documents()["validation"])
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        settings.make_folders()
        database = Database(settings.database_location)
        database.migrate()
        with database.writing() as session:
            [stored] = add_experiments(session, [Submission("default", spec, plan_experiment(spec))])
        publish(create_celery(settings), stored.cohorts, {})  # type: ignore[union-attr]
        [cohort] = stored.cohorts  # type: ignore[union-attr]
        environment = os.environ | {"FITTINGROOM_DATA_DIR": folder, "FITTINGROOM_KERAS_BACKEND": backend}
        started = time.perf_counter()
        worker = subprocess.Popen(
            [sys.executable, "-m", "fittingroom", "worker"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            with database.reading() as session:
                if get_cohort(session, cohort.cohort_id).attempt:
                    break
            if worker.poll() is not None:
                raise RuntimeError(f"the worker on {backend} ended with exit code {worker.returncode}")
            time.sleep(0.01)
        seconds = time.perf_counter() - started
        worker.terminate()
        worker.wait()
        database.close()
    return seconds


if __name__ == "__main__":
    if _FLAG in sys.argv:
        json.dump(_measured(), sys.stdout)
    else:
        main()
