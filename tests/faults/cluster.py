"""A service to break: an API, a worker that rescues, and workers that meet their faults; real processes all."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from fittingroom import Client
from fittingroom.views.resources import ExperimentView, TrialSummaryView
from models.settings import Settings
from models.sql.database import Database
from models.sql.experiments import list_trials
from models.storage import Storage
from tests.conftest import REDIS
from tests.e2e.service import free_port, is_alive, until
from tests.factories import document
from workers.saving.artifacts import read_artifact

ROOT = Path(__file__).parents[2]
SWEEP = document(
    name="to be disturbed",
    optimizer={"name": "adam", "learning_rate": {"choice": [0.01, 0.001]}},
    fit={"epochs": 1500, "batch_size": 16, "validation_split": 0.3},
    early_stopping={"monitor": "val_loss", "patience": 1400},
)
"""Two trials that train for some seconds."""
SETTINGS = {
    "FITTINGROOM_LEASE_SECONDS": "3",
    "FITTINGROOM_RESEND_SECONDS": "1",
    "FITTINGROOM_CHECKPOINT_SECONDS": "0.3",
}


class Cluster:
    """One store, and the processes over it."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        self.folder, self.redis_port = folder, free_port()
        self.environment = os.environ | SETTINGS | {"FITTINGROOM_DATA_DIR": str(folder / "data")}
        self.environment["PYTHONPATH"] = str(ROOT)
        self.is_server = database_url is not None
        self.redis: subprocess.Popen[bytes] | None = None
        if database_url is not None:
            self.environment["FITTINGROOM_DATABASE_URL"] = database_url
            self.environment["FITTINGROOM_BROKER_URL"] = f"{REDIS.rpartition(':')[0]}:{self.redis_port}/0"
            self.start_redis()
        self.queue = folder / "data" / "queue"
        self.storage = Storage(str(folder / "data" / "storage"))
        self.run("-m", "fittingroom", "migrate")
        self.database = Database(database_url or Settings(data_dir=folder / "data").database_location)
        self.processes: list[subprocess.Popen[bytes]] = []
        port = free_port()
        self.api = self.start("-m", "fittingroom", "api", "--port", str(port))
        self.client, self.http = Client(f"http://127.0.0.1:{port}"), httpx.Client(base_url=f"http://127.0.0.1:{port}")
        until(self._answers)
        self.rescuer = self.worker()
        until(lambda: self.client.get_health().workers)
        first = self.client.wait(self.client.submit(SWEEP).id, timeout=300)
        self.undisturbed, self.undisturbed_weights = self.histories(first), self.weights(first.id)
        self.freeze(self.rescuer)

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.http.get("/livez").is_success
        return False

    def start_redis(self) -> None:
        command = ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", ""]
        self.redis = subprocess.Popen([*command, "--dir", str(self.folder)], stdout=subprocess.DEVNULL)
        time.sleep(0.3)

    def stop_redis(self) -> None:
        assert self.redis is not None
        self.redis.kill()
        self.redis.wait()

    def start(self, *arguments: str, **settings: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], env=self.environment | settings, stdout=log, stderr=log, cwd=self.folder
            )
        self.processes.append(process)
        return process

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, *arguments], env=self.environment, check=False, capture_output=True, text=True, timeout=300
        )

    def worker(self, fault: str = "none", **settings: str) -> "subprocess.Popen[bytes]":
        """Return a worker that meets its fault."""
        return self.start("-m", "tests.faults.worker", fault, **settings)

    @contextlib.contextmanager
    def rescued(self) -> Iterator[None]:
        """While the rescuing worker runs."""
        self.rescuer.send_signal(signal.SIGCONT)
        yield
        until(lambda: all(worker["cohort_id"] is None for worker in self.workers()))
        self.freeze(self.rescuer)

    def freeze(self, process: "subprocess.Popen[bytes]") -> None:
        """Stop a process where it stands, but not within a write to SQLite: nobody could write after that."""
        with self.database.writing() as session:
            session.connection()
            process.send_signal(signal.SIGSTOP)
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)

    def workers(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.http.get("/v1/workers").json()["items"]
        return items

    def end(self, process: "subprocess.Popen[bytes]", seconds: float = 30) -> int:
        """Ask a process to end; gives its exit code."""
        process.send_signal(signal.SIGTERM)
        return process.wait(seconds)

    def trials(self, experiment_id: str) -> list[TrialSummaryView]:
        return self.client.list_trials(experiment_id)

    def histories(self, view: ExperimentView) -> list[dict[str, Any]]:
        return [trial.history for trial in self.client.get_experiment_history(view.id).trials]

    def wait_for_epochs(self, experiment_id: str, count: int = 50) -> None:
        until(lambda: self.client.get_experiment(experiment_id).progress.epochs_completed >= count)

    def weights(self, experiment_id: str) -> list[tuple[int | None, str | None]]:
        """Return the epoch of each trial's stored weights, and a digest of them."""
        found: list[tuple[int | None, str | None]] = []
        with self.database.reading() as session:
            for row in list_trials(session, experiment_id):
                digest = None
                if row.artifact is not None:
                    kept = read_artifact(self.storage, row.artifact, row.id).weights
                    digest = hashlib.sha256(b"".join(array.tobytes() for array in kept)).hexdigest()[:16]
                found.append((row.artifact_epoch, digest))
        return found

    def assert_kept(
        self, experiment_id: str, attempts: int | None = None, faults: int | None = None, *, weights: bool = True
    ) -> None:
        """Check that an experiment ends with the history and weights of an undisturbed run, and leaves no files."""
        view = self.client.wait(experiment_id, timeout=300)
        trials = self.trials(experiment_id)
        assert view.state.value == "completed", [trial.fault for trial in trials]
        assert self.histories(view) == self.undisturbed
        assert view.progress.epochs_completed == sum(len(history["epoch"]) for history in self.undisturbed)
        if attempts is not None:
            assert {trial.attempt for trial in trials} == {attempts}
        if faults is not None:
            assert self.ask("SELECT sum(faults) FROM cohorts WHERE experiment_id = :id", id=experiment_id) == faults
        expected = self.undisturbed_weights if weights else [(None, None)] * len(trials)
        assert self.weights(experiment_id) == expected
        until(lambda: not self.storage.list_names(f"{experiment_id}/checkpoints"))

    def ask(self, sql: str, **values: Any) -> Any:
        with self.database.engine.connect() as connection:
            return connection.execute(text(sql), values).scalar()

    def tell(self, sql: str) -> None:
        with self.database.engine.begin() as connection:
            connection.execute(text(sql))

    def close(self) -> None:
        for process in self.processes:
            if is_alive(process.pid):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        if self.redis is not None:
            self.stop_redis()
        self.client.close()
        self.http.close()
        self.database.close()
