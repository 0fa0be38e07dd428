"""The API as a process: uvicorn, with its limits, and an end that makes nobody wait."""

import gc
import resource
import socket
import sys
from collections.abc import Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.api.connection_limits import MAX_CONNECTIONS, GuardedProtocol
from app.main import create_app
from app.services.reads.version_watcher import Versions
from models.settings import Settings

GRACE_SECONDS = 5
FURTHER_FILES = 500
"""Open files beside those of connections: of the database, of uploads, of child processes."""
SWITCH_SECONDS = 0.001
"""Thread switch interval, in seconds: with Python's 5 ms, long answers delay short ones."""


class _Server(uvicorn.Server):
    """Server that ends long polls and streams at shutdown."""

    versions: Versions

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.versions.release()
        super().handle_exit(sig, frame)


def configuration(application: FastAPI, host: str, port: int) -> uvicorn.Config:
    """Return uvicorn's configuration."""
    return uvicorn.Config(
        application, host=host, port=port, http=GuardedProtocol, ws="none", log_config=None, access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )  # fmt: skip


def _allow_many_files() -> None:
    """Allow as many open files as connections need; by default a process has 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + FURTHER_FILES
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def run_server(settings: Settings, host: str, port: int, listening: Sequence[int] = ()) -> None:
    """Serve until a signal ends it; on listening sockets that are inherited, if given."""
    application = create_app(settings)
    server = _Server(configuration(application, host, port))
    server.versions = application.state.versions
    # What is there now stays: without it, each full collection would look through all of it, and hold up everybody.
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
    _allow_many_files()
    server.run([socket.socket(fileno=number) for number in listening] or None)
