"""`make bench-gpu`: what a GPU makes of 1 to 4,096 trials, against a `keras.fit` loop on the same GPU.

For each network: time per trial-epoch, how busy the GPU was, how far it is from what arithmetic and memory traffic
alone would take, and whether the numbers are those of the CPU. Without a GPU it says so, and measures nothing, unless
`--anyway` asks for a run on the CPU that only shows that it works.
"""

import argparse
import math
import os
import subprocess
import sys
import threading
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np

from benchmarks import contestants
from benchmarks.work import WORK, Work
from models.errors import UsageFault
from workers.devices import configure_devices, environment
from workers.engines.backends.chosen import backend
from workers.engines.fused.engine import FusedEngine

TRIALS = (1, 16, 256, 1024, 4096)
EPOCHS = 48
MEMORY_BYTES = 48 * 1024**3
_CASES = ("Titanic 10-10-10-2", "digits 784-50-50-10", "small CNN")
_AGREEMENT_EPOCHS = 5


class _Watch(threading.Thread):
    """Asks the driver ten times a second how busy the GPU is."""

    def __init__(self, gpu: int) -> None:
        super().__init__(daemon=True)
        self._gpu, self._ending = gpu, threading.Event()
        self._seen: list[float] = []

    def run(self) -> None:
        """Sample until `end`."""
        command = ["nvidia-smi", f"--id={self._gpu}", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._ending.wait(0.1):
            try:
                self._seen.append(float(subprocess.run(command, capture_output=True, check=True, text=True).stdout))
            except (OSError, subprocess.CalledProcessError, ValueError):
                return

    def end(self) -> str:
        """Return the mean utilisation."""
        self._ending.set()
        self.join()
        return f"{np.mean(self._seen):.0f}%" if self._seen else "not known"


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--trials", default=",".join(map(str, TRIALS)), help="comma-separated")
    parser.add_argument("--anyway", action="store_true", help="on the CPU: only to see that it works")
    flags = parser.parse_args()
    try:
        devices = configure_devices(-1 if flags.anyway else flags.gpu)
    except UsageFault as fault:
        sys.exit(f"{fault}; nothing was measured")
    with backend.precision("float32"):  # for all: each library alone would use TF32
        _measure(flags, devices)


def _measure(flags: argparse.Namespace, devices: list[str]) -> None:
    peak, bandwidth = contestants.peak_flops(8192 if not flags.anyway else 1024), _bandwidth(flags.anyway)
    sys.stdout.write(
        f"{environment(devices)}\n\nA large float32 product reaches {peak / 1e12:.1f} TFLOP/s, a copy "
        f"{bandwidth / 1e9:.0f} GB/s. Floors: the arithmetic, and the state read and written once a step.\n\n"
        "| network | trials | trials, epochs a call | ms per epoch of all | µs per trial-epoch | **faster than "
        "`keras.fit`** | busy | time / arithmetic | time / bytes | largest difference from the CPU |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    )
    for name in _CASES:
        work = next(work for work in WORK if work.name == name)
        plain, _ = contestants.keras_fit(work, 4)
        for trials in map(int, flags.trials.split(",")):
            sys.stdout.write(_row(work, trials, plain, peak, bandwidth, flags.gpu) + "\n")
            sys.stdout.flush()


def _row(work: Work, trials: int, plain: float, peak: float, bandwidth: float, gpu: int) -> str:
    engine = FusedEngine(memory_bytes=MEMORY_BYTES)
    contestants.fused(work, trials, engine, EPOCHS)
    watch = _Watch(gpu)
    watch.start()
    seconds, _, record = contestants.fused(work, trials, engine, EPOCHS)
    busy = watch.end()
    arithmetic = contestants.flops(work) * trials / peak
    traffic = _bytes_per_epoch(work) * trials / bandwidth
    difference = f"{_difference(work):.1e}" if trials == 1 else ""
    return (
        f"| {work.name} | {trials:,} | {record['trials_per_program']}, {record['epochs_per_call']} "
        f"| {seconds * 1e3:.2f} | {seconds / trials * 1e6:.1f} | **{plain * trials / seconds:,.0f}** "
        f"| {busy} | {seconds / arithmetic:.1f} | {seconds / traffic:.1f} | {difference} |"
    )


def _bandwidth(is_small: bool) -> float:  # noqa: FBT001 - one caller
    """Bytes per second of reading and writing a large array once."""
    size = 2**22 if is_small else 2**28
    array = backend.to_device(np.zeros(size, np.float32))
    times = []
    for _ in range(7):
        started = time.perf_counter()
        backend.to_numpy((array + 1.0)[:1])
        times.append(time.perf_counter() - started)
    return 2 * 4 * size / min(times[1:])


def _bytes_per_epoch(work: Work) -> float:
    """Return the bytes of one trial per epoch: weights and optimizer slots, read and written once a step."""
    [spec] = work.specs(1)
    arrays = work.arrays()
    model = contestants.build_compiled(spec, features=arrays.x.shape[1])
    model.optimizer.build(model.trainable_variables)
    kept = sum(math.prod(v.shape) for v in [*model.trainable_variables, *model.optimizer.variables])
    return 2 * 4 * kept * -(-len(arrays.x) // 32)


def _difference(work: Work) -> float:
    """Return the largest relative difference between the metrics of a few epochs here and without a GPU."""
    found = _metrics(work)
    command = [
        sys.executable,
        "-c",
        f"import benchmarks.gpu as g; g.configure_devices(-1); print(g.asked({work.name!r}))",
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = np.array([float(value) for value in answer.strip().split()])
    return float(np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1e-6)))


def asked(name: str) -> str:
    """Return the metrics of a few epochs of one trial, as text: what another process asks for."""
    return " ".join(map(repr, _metrics(next(work for work in WORK if work.name == name)).tolist()))


def _metrics(work: Work) -> np.ndarray:
    cohort = work.cohort(1, _AGREEMENT_EPOCHS)
    clock = contestants.Clock(cohort, _AGREEMENT_EPOCHS)
    FusedEngine().train(cohort, clock)
    return np.array([value for epoch in clock.metrics for values in epoch.values() for value in values.values()])


if __name__ == "__main__":
    main()
