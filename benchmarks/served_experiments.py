"""Servers as processes, and experiments in their database whose epochs are written here: what API benchmarks share."""

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx

from app.examples import example_documents
from fittingroom.views.states import StopReason
from models.sql import experiments as repository
from models.sql import transitions
from models.sql.database import Database
from models.sql.epochs import BestEpoch, EpochRecord, mark_epochs
from models.sql.leases import Claim

METRICS = {"loss": 0.6123456, "accuracy": 0.71234, "val_loss": 0.6234567, "val_accuracy": 0.6912345}


class Server:
    """A server process; a context manager."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: dict[str, str],
        *,
        command: str = sys.executable,
        alive: str = "/livez",
    ) -> None:
        """Set up.

        Args:
            arguments: after the command, with {port}.
            environment: beside this process's own.
            command: by default this Python.
            alive: the path that answers as soon as it is up.
        """
        self._alive = alive
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._command = [command, *(argument.format(port=self.port) for argument in arguments)]
        self._environment = os.environ | environment

    def __enter__(self) -> Self:
        """Start it, and wait until it answers."""
        started = time.perf_counter()
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}{self._alive}").raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.01)
            else:
                break
        self.start_seconds = time.perf_counter() - started
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.client.close()
        self._process.terminate()
        self._process.wait(30)

    @property
    def process_id(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def memory_mb(self) -> float:
        """Resident memory, in MB."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    def forget_peak(self) -> None:
        """Count the most memory from now on; see `clear_refs` in proc(5)."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    @property
    def peak_mb(self) -> float:
        """The most it has had in memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        return int(kilobytes) * 1024 / 1e6


class Experiment:
    """An experiment, and the worker that writes its epochs."""

    def __init__(self, database: Database, server: Server, trials: int, epochs: int) -> None:
        """Submit it and claim it."""
        document = example_documents()["validation"] | {"seeds": list(range(trials))}
        document["fit"] = document["fit"] | {"epochs": epochs}
        self._database, self._epoch = database, 0
        self.path = server.client.post("/v1/experiments", json=document).raise_for_status().headers["location"]
        self.id = self.path.rpartition("/")[2]
        with database.writing() as session:
            self.trials = [trial.id for trial in repository.list_trials(session, self.id)]
            [cohort] = repository.list_cohorts(session, self.id)
            claim = transitions.mark_claimed(session, cohort.id, "wrk_bench", 600, "tensorflow")
        assert claim is not None  # noqa: S101 - nobody else is there
        self._claim: Claim = claim

    def write(self, epochs: int = 1, database: Database | None = None) -> None:
        """Write the next epochs of all trials, in one transaction, as a worker does; in another process, to its own."""
        numbers = range(self._epoch + 1, self._epoch + epochs + 1)
        records = [EpochRecord(trial, epoch, 0.1, METRICS) for epoch in numbers for trial in self.trials]
        best = {trial: BestEpoch(self._epoch + epochs, 0.5, METRICS) for trial in self.trials}
        with (database or self._database).writing() as session:
            mark_epochs(session, self._claim, records, best, 600)
        self._epoch += epochs

    def __getstate__(self) -> dict[str, object]:
        """Leave out what no other process can have."""
        return self.__dict__ | {"_database": None}

    def end(self) -> None:
        """Mark all trials as completed."""
        with self._database.writing() as session:
            for trial in self.trials:
                transitions.mark_completed(session, self._claim, trial, StopReason.EPOCHS)
