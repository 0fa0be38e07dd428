"""Clients that send slowly, too much or too many at once: each is let go, and nobody else waits for it."""

import asyncio
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import Message

from app.api import connection_limits, request_bodies
from app.api.request_bodies import Bodies, TooManyBodiesError
from app.main import create_app
from fittingroom.specs.limits import MAX_BODY_BYTES
from models.settings import Settings
from tests.app.api.malformed_bodies import SPEC
from tests.serving import served

JSON = {"Content-Type": "application/json"}
PATIENCE_SECONDS = 20.0


def connected(http: httpx.Client) -> socket.socket:
    return socket.create_connection(("127.0.0.1", http.base_url.port), timeout=PATIENCE_SECONDS)


def head(path: str = "/v1/experiments", length: int = MAX_BODY_BYTES) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def all_from(connection: socket.socket) -> bytes:
    answer = b""
    while piece := connection.recv(65_536):
        answer += piece
    return answer


def trickled(connection: socket.socket, pause_seconds: float) -> bytes:
    """Send byte after byte, until something is answered; return the answer."""
    connection.settimeout(pause_seconds)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        connection.sendall(b" ")
        try:
            return connection.recv(65_536)
        except TimeoutError:
            continue
    raise AssertionError("nothing was answered")


def is_cut_off(connection: socket.socket) -> bool:
    """Go on sending until that is no longer possible."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            connection.sendall(b" ")
        except OSError:  # reset, or broken pipe
            return True
    return False


@pytest.fixture
def small_http(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """Yield a server in which three connections have room."""
    monkeypatch.setattr(connection_limits, "MAX_CONNECTIONS", 3)
    with served(settings) as http:
        yield http


@pytest.mark.parametrize("path", ["/v1/experiments", "/v1/experiments/plan"])
def test_body_of_a_byte_now_and_then_answers_408(
    shared_http: httpx.Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Each byte comes in time, and the whole does not."""
    monkeypatch.setattr(request_bodies, "BODY_SECONDS", 0.5)
    with connected(shared_http) as connection:
        connection.sendall(head(path))
        assert trickled(connection, 0.1).startswith(b"HTTP/1.1 408")


def test_bodies_have_so_much_room_together(settings: Settings, database_url: str) -> None:
    settings = settings.model_copy(update={"database_url": SecretStr(database_url)})
    application = create_app(settings)
    application.state.bodies = Bodies(2 * MAX_BODY_BYTES)
    with served(settings, application) as http:
        waiting = [connected(http) for _ in range(3)]
        for connection in waiting:
            connection.sendall(head() + b" " * (MAX_BODY_BYTES - 1))
        refused = next(_answers(waiting))
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after" in refused
        for connection in waiting:
            connection.close()
        status = None
        while status != 200:
            status = http.post("/v1/experiments/plan", content=SPEC, headers=JSON).status_code
            assert status in {200, 503}


def _answers(connections: list[socket.socket]) -> Iterator[bytes]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for connection in connections:
            connection.setblocking(False)  # noqa: FBT003 - the socket module's own way
            try:
                yield connection.recv(65_536)
            except BlockingIOError:
                continue


def test_room_is_given_back() -> None:
    bodies = Bodies(20)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * 8, "more_body": False}

    def request() -> Request:
        return Request({"type": "http", "method": "POST", "headers": []}, receive)

    async def gather() -> None:
        async with bodies.gather(request(), 100, "one") as body:
            assert body == b"x" * 8
            with pytest.raises(TooManyBodiesError):
                async with bodies.gather(request(), 100, "one"):
                    pass
            async with bodies.gather(request(), 100, "two") as of_another:
                assert of_another == b"x" * 8, "no project takes all of it"
                with pytest.raises(TooManyBodiesError):
                    async with bodies.gather(request(), 100, "three"):
                        pass
        async with bodies.gather(request(), 100, "one") as body:
            assert body == b"x" * 8

    asyncio.run(gather())


def test_connection_over_the_limit_answers_503(small_http: httpx.Client) -> None:
    waiting = [connected(small_http) for _ in range(3)]
    with connected(small_http) as one_more:
        answer = all_from(one_more)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"application/problem+json" in answer
    for connection in waiting:
        connection.close()
    while small_http.get("/livez").status_code != 200:
        pass


def test_unread_body_ends_its_connection(shared_http: httpx.Client) -> None:
    """The answer comes first; who goes on sending is cut off, and who is done may ask again."""
    with connected(shared_http) as connection:
        connection.sendall(head("/nowhere", 10))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 404")
        connection.sendall(b" " * 10 + b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
    with connected(shared_http) as connection:
        connection.sendall(head("/nowhere", 10**9))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 404")
        assert is_cut_off(connection)


def test_unread_answer_ends_its_connection(shared_http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "UNREAD_SECONDS", 0.2)
    with connected(shared_http) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(b"GET /static/plotly.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4)
        assert is_cut_off(connection)


GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_empty_line_after_an_answer_keeps_no_connection(
    shared_http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty line begins no request, but ends the wait for one."""
    with connected(shared_http) as connection:
        connection.sendall(GET)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        monkeypatch.setattr(connection_limits, "HEAD_SECONDS", 0.2)
        connection.sendall(b"\r\n")
        assert all_from(connection).startswith(b"HTTP/1.1 408")


def test_trailers_of_a_body_are_counted(shared_http: httpx.Client) -> None:
    head = (
        b"POST /v1/experiments/plan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    line = b"X-Trailer: " + b"x" * 1_000 + b"\r\n"
    sent = 0
    with connected(shared_http) as connection:
        connection.sendall(head + b"1\r\n{\r\n0\r\n")
        try:
            while sent < 50 * connection_limits.MAX_HEAD_BYTES:
                connection.sendall(line)
                sent += len(line)
        except OSError:  # it is cut off
            return
        answer = all_from(connection)
    assert answer.startswith(b"HTTP/1.1 431"), answer[:100]


def test_body_in_small_pieces_is_no_long_head(shared_http: httpx.Client) -> None:
    head = (
        b"POST /v1/experiments/plan HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    piece = b"400\r\n" + b" " * 1_024 + b"\r\n"
    with connected(shared_http) as connection:
        connection.sendall(head + piece * 200 + b"%x\r\n%s\r\n0\r\n\r\n" % (len(SPEC), SPEC.encode()))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def test_request_that_follows_a_refused_ones_body_is_answered(shared_http: httpx.Client) -> None:
    """The wait for a next request must not end while one is being answered."""
    with connected(shared_http) as connection:
        body = b" " * 2_000
        connection.sendall(head("/v1/nowhere", len(body)) + body[:10])
        assert connection.recv(65_536).startswith(b"HTTP/1.1 404")
        experiment = httpx.post(shared_http.base_url.join("/v1/experiments"), content=SPEC, headers=JSON).json()["id"]
        path = f"/v1/experiments/{experiment}?wait=7".encode()
        connection.sendall(body[10:] + b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
