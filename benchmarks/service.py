"""A sweep over HTTP: from the submit to the last epoch that can be read, on a worker that is warm.

The service runs as processes of its own, as `fittingroom serve` starts them.
"""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import httpx

from benchmarks.work import EPOCHS, Work
from fittingroom.client.sync_client import Client, ProblemError

INITIALIZERS = ("glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal")
"""Each makes another program of the same work, so that a program can be cold more than once."""
_POLL_SECONDS = 0.02


class Service:
    """`fittingroom serve`; a context manager."""

    def __init__(self, folder: Path | None = None, workers: int = 1) -> None:
        """Set up.

        Args:
            folder: of its data; None: one that goes away.
            workers: number of worker processes.
        """
        self._folder, self._workers = folder, workers

    def __enter__(self) -> Self:
        """Start it, and wait until it can work."""
        self._own_folder = tempfile.TemporaryDirectory()
        folder = self._folder or Path(self._own_folder.name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = os.environ | {"FITTINGROOM_DATA_DIR": str(folder / "data")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fittingroom", "serve", "--port", str(port), "--workers", str(self._workers)],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.client = Client(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError, ProblemError):  # not up yet
                if self.client.get_health().workers == self._workers:
                    return self
            time.sleep(0.2)
        raise TimeoutError("the service did not start")

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(60)
        self._own_folder.cleanup()

    def seconds(self, work: Work, trials: int, epochs: int, initializer: str) -> float:
        """Submit a sweep, and poll its history until all epochs of all trials are there."""
        document = work.document(trials, epochs, initializer)
        started = time.perf_counter()
        experiment = self.client.submit(document)
        while True:
            view = self.client.get_experiment(experiment.id)
            if view.state in ("completed", "failed"):
                break
            time.sleep(_POLL_SECONDS)
        history = self.client.get_experiment_history(experiment.id)
        seconds = time.perf_counter() - started
        read = sum(len(trial.history["epoch"]) for trial in history.trials)
        if read != trials * epochs:
            raise RuntimeError(f"{read} of {trials * epochs} epochs were read")
        return seconds


def over_http(service: Service, work: Work, trials: int, epochs: int = EPOCHS) -> tuple[float, float]:
    """Medians of five sweeps each with a program that the worker does not know, and with one that it does."""
    cold = [service.seconds(work, trials, epochs, initializer) for initializer in INITIALIZERS]
    known = [service.seconds(work, trials, epochs, initializer) for initializer in INITIALIZERS]
    return statistics.median(cold), statistics.median(known)
