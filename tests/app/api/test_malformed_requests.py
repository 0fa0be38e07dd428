"""Malformed requests over HTTP: each kind gets its 4xx, and nothing is changed by it."""

import base64
import datetime as dt
import json
import socket

import httpx
import pytest

from app.api import connection_limits, request_bodies
from app.api.conditional_requests import to_cursor
from fittingroom.specs.limits import MAX_BODY_BYTES
from models.sql.experiment_list import Position
from tests.app.api.malformed_bodies import BODIES, HUGE, SPEC, body_of, spec
from tests.serving import assert_problem

JSON = {"Content-Type": "application/json"}
NOBODY = "0" * 32
OVER_HTTP = [
    "null",
    "an array",
    "two documents",
    "cut off",
    "UTF-16",
    "a lone surrogate",
    "arrays nested a hundred thousand deep",
    "a key twice, deep",
    "ten thousand unknown keys",
    "NaN",
    "a number of a million digits",
    "a billion trials",
    "a Lambda layer",
    "a name of a megabyte",
    "Keras's JSON: a module of somebody else",
    "a graph: an input from nowhere",
]
"""One of each kind of fault; `test_malformed_bodies` has all."""


@pytest.mark.usefixtures("database_unchanged")
@pytest.mark.parametrize("name", OVER_HTTP)
def test_submit_malformed_body_answers_422(shared_http: httpx.Client, name: str) -> None:
    _, pointer, words = BODIES[name]
    answer = shared_http.post("/v1/experiments", content=body_of(name), headers=JSON)
    assert_problem(answer, 422)
    problem = answer.json()
    first = problem["errors"][0]
    assert first["pointer"] == pointer
    assert words in first["detail"]
    assert first["detail"] in problem["detail"]


@pytest.mark.usefixtures("database_unchanged")
def test_submit_empty_body_answers_422(shared_http: httpx.Client) -> None:
    answer = shared_http.post("/v1/experiments", content=b"", headers=JSON)
    assert_problem(answer, 422)
    assert "required" in answer.json()["detail"]


@pytest.mark.usefixtures("database_unchanged")
@pytest.mark.parametrize("is_announced", [True, False], ids=["announced", "chunked"])
def test_submit_body_over_limit_answers_413(shared_http: httpx.Client, is_announced: bool) -> None:  # noqa: FBT001 - a parameter
    body = spec(name="x" * MAX_BODY_BYTES).encode()
    assert len(body) < 1.001 * MAX_BODY_BYTES
    content = body if is_announced else iter([body[:1_000], body[1_000:]])
    assert_problem(shared_http.post("/v1/experiments", content=content, headers=JSON), 413)


@pytest.mark.usefixtures("database_unchanged")
def test_submit_body_at_limit_is_read(shared_http: httpx.Client) -> None:
    body = spec(name="x" * (MAX_BODY_BYTES - len(spec(name="")))).encode()
    assert len(body) == MAX_BODY_BYTES
    answer = shared_http.post("/v1/experiments", content=body, headers=JSON)
    assert_problem(answer, 422)
    assert answer.json()["errors"][0]["pointer"] == "/name"


def cursor_of(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


BEFORE_ALL_TIMES = cursor_of("created_at", "0001-01-01T00:00:00+14:00", f"exp_{NOBODY}")
OF_TIMES = to_cursor("created_at", Position(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), f"exp_{NOBODY}"))

REQUESTS: dict[str, tuple[str, str, dict[str, str | bytes], int]] = {
    "no media type": ("POST", "/v1/experiments", {"Content-Type": ""}, 422),
    "a form": ("POST", "/v1/experiments", {"Content-Type": "application/x-www-form-urlencoded"}, 422),
    "XML's media type": ("POST", "/v1/experiments", {"Content-Type": "application/xml"}, 422),
    "a compressed body": ("POST", "/v1/experiments", JSON | {"Content-Encoding": "gzip"}, 415),
    "a body compressed in an unknown way": ("POST", "/v1/experiments", JSON | {"Content-Encoding": "x"}, 415),
    "an empty idempotency key": ("POST", "/v1/experiments", JSON | {"Idempotency-Key": ""}, 422),
    "an idempotency key without end": ("POST", "/v1/experiments", JSON | {"Idempotency-Key": "x" * 5_000}, 422),
    "an idempotency key of no text": ("POST", "/v1/experiments", JSON | {"Idempotency-Key": b"\xff\xfe"}, 422),
    "another method": ("PUT", "/v1/experiments", JSON, 405),
    "an id of another kind": ("GET", f"/v1/experiments/trl_{NOBODY}", {}, 404),
    "an id in capitals": ("GET", f"/v1/experiments/EXP_{NOBODY}", {}, 404),
    "an id with a wildcard": ("GET", "/v1/experiments/exp_%25", {}, 404),
    "an id with NUL": ("GET", f"/v1/experiments/exp_{NOBODY}%00", {}, 404),
    "an id with a line": ("GET", f"/v1/experiments/exp_{NOBODY}%0d%0aSet-Cookie:x", {}, 404),
    "an id that is no text": ("GET", "/v1/experiments/%ff%fe", {}, 404),
    "an id of full-width digits": ("GET", "/v1/experiments/exp_" + "%EF%BC%90" * 32, {}, 404),
    "an id without end": ("GET", "/v1/experiments/exp_" + "0" * 10_000, {}, 404),
    "a path out of the house": ("GET", "/v1/experiments/..%2f..%2f..%2fetc%2fpasswd", {}, 404),
    "the docs' files out of their folder": ("GET", "/docs/assets/..%2f..%2fmain.py", {}, 404),
    "the docs' files by a full path": ("GET", "/docs/assets/%2fetc%2fpasswd", {}, 404),
    "a dataset out of its folder": ("GET", "/v1/datasets/..%2ftitanic.csv", {}, 404),
    "a limit without end": ("GET", f"/v1/experiments?limit={HUGE}", {}, 422),
    "a negative limit": ("GET", "/v1/experiments?limit=-1", {}, 422),
    "a limit in another base": ("GET", "/v1/experiments?limit=0x10", {}, 422),
    "a sort that is SQL": ("GET", "/v1/experiments?sort=name;DROP%20TABLE%20trials", {}, 422),
    "a cursor that is none": ("GET", "/v1/experiments?cursor=AAAA", {}, 422),
    "a cursor that is JSON of ours no more": ("GET", "/v1/experiments?cursor=WyJuYW1lIiwgMSwgMl0", {}, 422),
    "a cursor nested deep": ("GET", "/v1/experiments?cursor=" + "W1tb" * 240, {}, 422),
    "a cursor of another order": ("GET", f"/v1/experiments?sort=name&cursor={OF_TIMES}", {}, 422),
    "a cursor with half a character": (
        "GET", f"/v1/experiments?sort=name&cursor={cursor_of('name', chr(0xD800), f'exp_{NOBODY}')}", {}, 422,
    ),
    "a cursor with NUL": (
        "GET", f"/v1/experiments?sort=name&cursor={cursor_of('name', chr(0), f'exp_{NOBODY}')}", {}, 422,
    ),
    "a cursor before all times": (
        "GET", f"/v1/experiments?sort=created_at&cursor={BEFORE_ALL_TIMES}", {}, 422,
    ),
    "a cursor of numbers": ("GET", f"/v1/experiments?sort=name&cursor={cursor_of('name', 7, 'exp_')}", {}, 422),
    "a cursor of lists": ("GET", f"/v1/experiments?sort=name&cursor={cursor_of('name', [], [])}", {}, 422),
    "a time before all times": ("GET", "/v1/experiments?created_after=0001-01-01T00:00:00%2B14:00", {}, 422),
    "a time after all times": ("GET", "/v1/experiments?created_before=9999-12-31T23:59:59-14:00", {}, 422),
    "an override in a filter": ("GET", "/v1/experiments?name=%E2%80%AE", {}, 422),
    "a time that is none": ("GET", "/v1/experiments?created_after=yesterday", {}, 422),
    "a time beyond all calendars": ("GET", "/v1/experiments?created_after=99999-01-01T00:00:00Z", {}, 422),
    "NUL in a filter": ("GET", "/v1/experiments?dataset=%00", {}, 422),
    "a version that is none": ("GET", f"/v1/experiments/exp_{NOBODY}?wait=1&version=x", {}, 422),
    "a version without end": ("GET", f"/v1/experiments/exp_{NOBODY}?wait=1&version={HUGE}", {}, 422),
    "waiting for ever": ("GET", f"/v1/experiments/exp_{NOBODY}?wait=1e9", {}, 422),
    "waiting for no number": ("GET", f"/v1/experiments/exp_{NOBODY}?wait=nan", {}, 422),
    "waiting backwards": ("GET", f"/v1/experiments/exp_{NOBODY}?wait=-1", {}, 422),
    "history after the end of numbers": ("GET", f"/v1/experiments/exp_{NOBODY}/history?after={2**70}", {}, 422),
    "a last event that is none": ("GET", f"/v1/experiments/exp_{NOBODY}/events", {"Last-Event-ID": "7; x"}, 422),
    "an ETag that is none": ("GET", f"/v1/experiments/exp_{NOBODY}", {"If-None-Match": '"' * 5_000}, 404),
    "a metric with a line": ("GET", f"/v1/experiments/exp_{NOBODY}/plot.svg?metric=%0a", {}, 422),
}  # fmt: skip


@pytest.mark.usefixtures("database_unchanged")
@pytest.mark.parametrize("name", REQUESTS)
def test_request_malformed_answers_4xx(shared_http: httpx.Client, name: str) -> None:
    method, path, headers, status = REQUESTS[name]
    content = SPEC.encode() if method in {"POST", "PUT"} else None
    assert_problem(shared_http.request(method, path, headers=headers, content=content), status)


@pytest.mark.usefixtures("database_unchanged")
def test_connection_without_http_is_answered_and_closed(shared_http: httpx.Client) -> None:
    """Below what a client library would send."""
    port = shared_http.base_url.port
    assert port is not None
    cases = {
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": b"400",  # TLS
        b"BREW /v1/experiments HTTP/1.1\r\nHost: x\r\n\r\n": b"400",
        b"GET / HTTP/9.9\r\n\r\n": b"400",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n": b"400",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": b"400",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": b"400",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 200_000 + b"\r\n\r\n": b"431",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"A: x\r\n" * 40_000 + b"\r\n": b"431",
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n": b"431",
    }
    for sent, status in cases.items():
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(sent)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 " + status), (sent[:60], answer[:200])


@pytest.mark.usefixtures("database_unchanged")
def test_connection_silent_past_timeout_answers_408(shared_http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(request_bodies, "BODY_SECONDS", 0.3)
    head = (
        b"POST /v1/experiments%s HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    )
    upload = head.replace(b"experiments%s", b"datasets?name=x").replace(b"application/json", b"text/csv")
    for sent in (b"", b"GET /livez HTTP/1.1\r\nHost", head % b"", head % b"/batch", upload):
        with socket.create_connection(("127.0.0.1", shared_http.base_url.port), timeout=10) as connection:
            connection.sendall(sent)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 408"), (sent[:60], answer[:200])
        assert b"application/problem+json" in answer
