"""The event loop under heavy requests: none holds up everybody else, be its sender known or not."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from models.child_processes import own_code_first
from models.settings import Settings
from models.sql.api_keys import Scope, create_key
from models.sql.database import Database
from tests.app.api.heavy_requests import REQUESTS as HEAVY
from tests.app.api.heavy_requests import Heavy
from tests.app.api.malformed_bodies import BODIES, body_of
from tests.e2e.service import free_port
from tests.serving import assert_problem

pytestmark = pytest.mark.e2e

REQUESTS = HEAVY | {f"malformed: {name}": Heavy(422, body=body_of(name)) for name in BODIES}
"""Everything a stranger may send that is known to have cost something, or to be refused for what it says."""
MAX_STALL_SECONDS = 0.05
"""On a machine that needs `_USUAL_SECONDS`; a slower one has more."""
_USUAL_SECONDS = 0.00125
"""Seconds of a processor that `slowness` works for on the machine on which the limit was set."""
_TRIES = 5
"""A stall that is the request's doing comes each time; one that is the machine's does not."""


def slowness() -> float:
    """Return by which factor this machine is slower, now, than the one on which the limit was set; at least 1."""
    spent: list[float] = []
    for _ in range(5):
        begun = time.thread_time()
        sum(number * number for number in range(20_000))
        spent.append(time.thread_time() - begun)
    return max(1.0, min(spent) / _USUAL_SECONDS)


@dataclass(frozen=True)
class Watched:
    """A server whose event loop is watched."""

    http: httpx.Client
    process: subprocess.Popen[str]

    def worst_stall(self) -> float:
        """Return the longest stall since the last question, in seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("worst\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def stall_of(self, heavy: Heavy) -> tuple[httpx.Response, float]:
        """Send a request; return its answer, and the shortest of its stalls in some tries, as on the usual machine."""
        stalls: list[float] = []
        for _ in range(_TRIES):
            self.worst_stall()
            answer = self.http.request(heavy.method, heavy.path, content=heavy.body, headers=heavy.headers)
            stalls.append(self.worst_stall() / slowness())
            if stalls[-1] <= MAX_STALL_SECONDS:
                break
        return answer, min(stalls)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Yield a server that asks for no key."""
    yield from _serve(tmp_path_factory.mktemp("open"))


@pytest.fixture(scope="module")
def watched_with_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Yield a server that asks for a key."""
    folder = tmp_path_factory.mktemp("closed")
    for watched in _serve(folder):
        database = Database(Settings(data_dir=folder / "data").database_location)
        with database.writing() as session:
            create_key(session, project="one", name="test", scope=Scope.ADMIN)
        database.close()
        while watched.http.get("/v1/workers").status_code != 401:
            pass
        yield watched


def _serve(folder: Path) -> Iterator[Watched]:
    port = free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.app.api.watched_server", folder / "data", str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=own_code_first(),
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as http:
            while process.poll() is None:
                try:
                    http.get("/livez")
                    break
                except httpx.TransportError:
                    continue
            yield Watched(http, process)
    finally:
        process.terminate()
        process.communicate()


def test_table_is_long() -> None:
    assert len(REQUESTS) >= 200


@pytest.mark.parametrize("name", REQUESTS)
def test_heavy_request_does_not_stall_the_loop(watched: Watched, name: str) -> None:
    heavy = REQUESTS[name]
    answer, stall = watched.stall_of(heavy)
    if heavy.status >= 400:
        assert_problem(answer, heavy.status)
    else:
        assert answer.status_code == heavy.status, answer.text[:500]
    assert stall <= MAX_STALL_SECONDS


OF_ROUTES = [name for name, heavy in HEAVY.items() if heavy.path.startswith("/v1/") and heavy.status != 405]


@pytest.mark.parametrize("name", [name for name in OF_ROUTES if name != "a path of many parts"])
def test_heavy_request_without_a_key_is_not_read(watched_with_keys: Watched, name: str) -> None:
    answer, stall = watched_with_keys.stall_of(REQUESTS[name])
    assert_problem(answer, 401)
    assert stall <= MAX_STALL_SECONDS / 2
