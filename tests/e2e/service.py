"""`fittingroom serve` as a process of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

from fittingroom import Client


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_alive(process_id: int) -> bool:
    """Return True if a process runs and is no zombie."""
    try:
        os.kill(process_id, 0)
        state = Path(f"/proc/{process_id}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def until(condition: Callable[[], Any], seconds: float = 180) -> Any:
    """Wait until something is so; gives what it is."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class Service:
    """Started when made; ended by `stop`, or at the end of a `with` block."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self.folder, self.environment = (
            folder,
            os.environ | environment | {"FITTINGROOM_DATA_DIR": str(folder / "data")},
        )
        self.port = free_port()
        self.log = folder / f"serve-{self.port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fittingroom", "serve", "--port", str(self.port), *arguments],
                env=self.environment,
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        self.client = Client(f"http://127.0.0.1:{self.port}")
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_until_ready(self, workers: int = 1) -> None:
        """Wait until the API answers and so many workers are alive."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx.TransportError):
                if self.client.get_health().workers >= workers:
                    return
            time.sleep(0.1)
        raise TimeoutError(self.log.read_text())

    def worker_processes(self) -> list[int]:
        return [worker["process_id"] for worker in self.http.get("/v1/workers").json()["items"]]

    def interrupt(self) -> float:
        """Press Ctrl-C and wait for the end; gives the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0, self.log.read_text()
        return time.monotonic() - began

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
        self.http.close()
        self.client.close()

    def start_worker(self, *arguments: str, **settings: str) -> "subprocess.Popen[bytes]":
        """Return a further worker over the same database and broker, with further settings."""
        with (self.folder / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "fittingroom", "worker", *arguments],
                env=self.environment | settings,
                stdout=log,
                stderr=log,
            )
