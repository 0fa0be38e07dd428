"""Reads that clients repeat: 304, long polls, server-sent events, and what they cost the database."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sse_starlette.sse import AppStatus

from app.main import create_app
from app.services.reads.response_cache import CachedResponse, ResponseCache
from app.services.reads.version_watcher import TICK_SECONDS, Versions
from models.settings import Settings
from models.sql.database import Database, Session
from models.sql.versions import find_versions
from tests.e2e.service import until
from tests.factories import SWEEP
from tests.factories import store as store_experiment
from tests.serving import later, served, submit
from tests.training import Writer


def test_get_with_current_etag_is_304_and_with_old_etag_200(
    shared_http: httpx.Client, shared_database: Database
) -> None:
    experiment_id = submit(shared_http)
    writer = Writer(shared_database, experiment_id)
    trial_id = writer.trials[0].id
    paths = [f"/v1/experiments/{experiment_id}{rest}" for rest in ("", "/trials", "/history")]
    paths += [f"/v1/trials/{trial_id}", f"/v1/trials/{trial_id}/history"]
    for path in paths:
        first = shared_http.get(path)
        known = {"If-None-Match": first.headers["etag"]}
        assert shared_http.get(path, headers=known).status_code == 304
        writer.write()
        second = shared_http.get(path, headers=known)
        assert second.status_code == 200
        assert second.headers["etag"] != first.headers["etag"]
        assert second.content != first.content


def test_the_table_is_not_taken_for_the_document(shared_http: httpx.Client) -> None:
    path = f"/v1/experiments/{submit(shared_http)}/history"
    known = {"If-None-Match": shared_http.get(path).headers["etag"]}
    assert shared_http.get(path, headers=known | {"Accept": "text/csv"}).status_code == 200
    assert shared_http.get(path, headers=known).status_code == 304


def test_a_long_poll_wakes_when_an_epoch_is_written(shared_http: httpx.Client, shared_database: Database) -> None:
    experiment_id = submit(shared_http)
    writer = Writer(shared_database, experiment_id)
    path = f"/v1/experiments/{experiment_id}"
    version = shared_http.get(path).json()["version"]
    for by_parameter in (True, False):
        params = {"wait": 20, "version": version} if by_parameter else {"wait": 20}
        headers = {} if by_parameter else {"If-None-Match": f'W/"{version}"'}
        written_at: list[float] = []

        def write(times: list[float] = written_at) -> None:
            writer.write()
            times.append(time.monotonic())

        with later(0.3, write):
            view = shared_http.get(path, params=params, headers=headers).json()
        assert view["version"] == version + 1
        assert 0 < time.monotonic() - written_at[0] < 10, "it waited to the end"
        version = view["version"]
    history = f"{path}/history"
    with later(0.2, writer.write):
        answer = shared_http.get(history, params={"after": version, "wait": 20}).json()
    assert [trial["history"]["epoch"] for trial in answer["trials"]] == [[3]]


def test_long_poll_without_a_change_answers_the_current_version(shared_http: httpx.Client) -> None:
    path = f"/v1/experiments/{submit(shared_http)}"
    first = shared_http.get(path)
    started = time.monotonic()
    assert shared_http.get(path, params={"wait": 0.3}).json() == first.json()
    assert (
        shared_http.get(path, params={"wait": 0.3}, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    )
    assert time.monotonic() - started >= 0.6
    assert shared_http.get(path, params={"wait": 61}).status_code == 422


def test_long_poll_of_a_deleted_experiment_is_404(shared_http: httpx.Client) -> None:
    path = f"/v1/experiments/{submit(shared_http)}"
    with later(0.2, lambda: httpx.delete(shared_http.base_url.join(path))):
        assert shared_http.get(path, params={"wait": 20}).status_code == 404


def events_in(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        elif event.keys() - {""}:
            yield event
            event = {}


def test_events_resume_after_last_event_id(shared_http: httpx.Client, shared_database: Database) -> None:
    experiment_id = submit(shared_http, **SWEEP)
    writer = Writer(shared_database, experiment_id)
    path = f"/v1/experiments/{experiment_id}/events"
    writer.write(0, 1)
    with shared_http.stream("GET", path) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = events_in(stream.iter_lines())
        first = next(events)
        assert [trial["history"]["epoch"] for trial in json.loads(first["data"])["trials"]] == [[1], [1]]
        writer.write(0)
        second = json.loads(next(events)["data"])
        # Only what has changed since.
        assert [(trial["number"], trial["history"]["epoch"]) for trial in second["trials"]] == [(1, [2])]
    writer.write(1)
    writer.end()
    with shared_http.stream("GET", path, headers={"Last-Event-ID": first["id"]}) as stream:
        resumed = list(events_in(stream.iter_lines()))
    assert [event["event"] for event in resumed] == ["history", "end"]
    last = json.loads(resumed[0]["data"])
    assert [trial["history"]["epoch"] for trial in last["trials"]] == [[2], [2]]
    assert last["state"] == "completed"
    assert shared_http.get(path, headers={"Last-Event-ID": resumed[-1]["id"]}).status_code == 204
    assert shared_http.get(path, headers={"Last-Event-ID": "x"}).status_code == 422


def test_stream_is_not_cut_at_sigterm(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "app.services.reads.version_watcher.TICK_SECONDS", 1.0
    )  # the library has heard of the end before we let go
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url)
    application = create_app(settings)
    with served(settings, application) as http:
        events = f"/v1/experiments/{submit(http)}/events"
        with http.stream("GET", events) as answer:
            lines = answer.iter_lines()
            assert "event: history" in [next(lines), next(lines)]
            until(lambda: application.state.versions._waiters)  # noqa: SLF001 - it waits for the next change now
            monkeypatch.setattr(AppStatus, "should_exit", True)
            application.state.versions.release()
            assert [line for line in lines if line.startswith("event")] == []


def test_versions_of_a_thousand_callers_share_queries(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [store_experiment(database)[0] for _ in range(20)]
    versions = Versions(database)
    queries: list[int] = []

    def counted(session: Session, wanted: Any) -> Any:
        queries.append(len(wanted))
        return find_versions(session, wanted)

    monkeypatch.setattr("app.services.reads.version_watcher.find_versions", counted)

    async def ask() -> None:
        found = await asyncio.gather(*(versions.get(ids[number % 20]) for number in range(1000)))
        assert {standing.version for standing in found if standing} == {1}
        assert len(queries) <= 2
        queries.clear()
        started = time.monotonic()
        waiting = [asyncio.create_task(versions.wait(ids[number % 20], 1, 100)) for number in range(1000)]
        while len(queries) < 10:  # noqa: ASYNC110 - a thread counts them
            await asyncio.sleep(TICK_SECONDS)
        assert len(queries) <= 2 + (time.monotonic() - started) / TICK_SECONDS
        assert max(queries) == 20
        writer = await asyncio.to_thread(Writer, database, ids[3])
        woken = await asyncio.wait_for(waiting[3], 30)
        assert woken is not None
        assert woken.version == 2
        assert sum(task.done() for task in waiting) == 50
        assert writer.trials
        versions.release()
        left = await asyncio.wait_for(asyncio.gather(*waiting), 30)
        assert {standing.version for standing in left if standing} == {1, 2}

    asyncio.run(ask())
    versions.close()


def test_an_answer_is_made_once_and_the_oldest_goes() -> None:
    made: list[int] = []
    all_have_asked = threading.Event()

    def make(number: int) -> CachedResponse:
        made.append(number)
        assert all_have_asked.wait(30)
        return CachedResponse(number, f"{number}", b"x" * 1000)

    async def ask() -> None:
        cache = ResponseCache(capacity_bytes=2_500)
        asking = [asyncio.create_task(cache.get(("a",), 1, lambda: make(1))) for _ in range(50)]
        await asyncio.sleep(0)  # each runs to its first wait
        all_have_asked.set()
        await asyncio.gather(*asking)
        assert made == [1]
        await cache.get(("a",), 2, lambda: make(2))
        await cache.get(("a",), 1, lambda: make(1))  # a later one serves as well
        await cache.get(("b",), 1, lambda: make(1))
        assert made == [1, 2, 1]
        await cache.get(("c",), 1, lambda: make(1))
        await cache.get(("b",), 1, lambda: make(1))
        assert made == [1, 2, 1, 1]
        await cache.get(("a",), 2, lambda: make(2))
        assert made == [1, 2, 1, 1, 2]
        small = ResponseCache(capacity_bytes=10)
        assert (await small.get(("a",), 1, lambda: make(1))).version == 1, "larger than the cache"

    asyncio.run(ask())
