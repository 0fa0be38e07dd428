"""The API on a real socket, in a thread of this process; requests and checks that many tests share."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from app.main import create_app
from app.server import configuration
from models.settings import Settings
from tests.e2e.service import until
from tests.factories import document

MakeKey = Callable[..., tuple[str, dict[str, str]]]
"""Type of the fixture `make_key`: id and request headers of a new API key."""


@contextlib.contextmanager
def other_server(body: bytes) -> Iterator[str]:
    """Yield the URL of a server that is none of ours: it answers every GET with these bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextlib.contextmanager
def served(settings: Settings, application: FastAPI | None = None) -> Iterator[httpx.Client]:
    """Yield a client of an API over these settings; a fresh one, if none is given."""
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


def early_in_a_minute() -> None:
    """Wait until a minute has some seconds left: rate limits are counted by the minutes of the clock."""
    until(lambda: time.time() % 60 < 50)


def submit(http: httpx.Client, **changes: object) -> str:
    """Submit `document(**changes)` and return the experiment's id."""
    answer = http.post("/v1/experiments", json=document(**changes))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def assert_problem(answer: httpx.Response, status: int) -> None:
    """Check that an answer is a problem document of bounded size, without a traceback."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert 10 < len(problem["detail"]) < 3_000
    assert "Traceback" not in answer.text
    assert len(answer.content) < 200_000


@contextlib.contextmanager
def later(seconds: float, work: Callable[[], Any]) -> Iterator[None]:
    """Run `work` in another thread after a delay, and wait for its end when the block ends."""
    timer = threading.Timer(seconds, work)
    timer.start()
    yield
    timer.join()


class Clock:
    """Stands for the module `time` in one module of the service; its clocks can be set forward."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def advance(self, seconds: float) -> None:
        """Let so many seconds have passed."""
        self._ahead += seconds

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def time(self) -> float:
        return time.time() + self._ahead
