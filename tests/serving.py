"""The API on a real socket, in a thread of this process."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import uvicorn
from fastapi import FastAPI

from app.main import create_app
from app.server import configuration
from models.settings import Settings


@contextlib.contextmanager
def served(settings: Settings, application: FastAPI | None = None) -> Iterator[httpx.Client]:
    """A client of an API over these settings; a fresh one, if none is given."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(configuration(application or create_app(settings), "127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()
