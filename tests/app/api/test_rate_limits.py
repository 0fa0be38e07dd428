"""Rate limits that several processes count together."""

import asyncio
import contextlib
import multiprocessing
import socket
import sqlite3
import stat
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Barrier
from unittest.mock import patch

import pytest

from app.api import rate_limits
from app.api.rate_limits import RateLimits
from models.identifiers import new_id
from tests.conftest import REDIS
from tests.serving import early_in_a_minute

FOLDER = "filesystem://localhost//"


@pytest.fixture(params=["file", pytest.param("redis", marks=pytest.mark.servers)])
def broker_url(request: pytest.FixtureRequest) -> str:
    """Return a broker's URL, which chooses where requests are counted."""
    return {"file": FOLDER, "redis": f"{REDIS}/15"}[request.param]


@asynccontextmanager
async def counting(broker_url: str, folder: Path, processes: int) -> AsyncIterator[list[RateLimits]]:
    """Yield the limits of API processes of one service."""
    limits = [RateLimits(broker_url, folder) for _ in range(processes)]
    yield limits
    for one in limits:
        await one.close()


def hits(broker_url: str, folder: str, key: str, now: float, begin: Barrier) -> int:
    """Count 40 requests in a process of its own, whose clock stands; returns how many are within 50 a minute."""

    async def run() -> int:
        async with counting(broker_url, Path(folder), 1) as [limits]:
            return [await limits.hit(key, 50) for _ in range(40)].count(None)

    with patch.object(time, "time", lambda: now):
        begin.wait()
        return asyncio.run(run())


def test_processes_count_together(broker_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with counting(broker_url, tmp_path, 3) as (one, two, three):
            key = new_id("key")
            assert [await limits.hit(key, 5) for limits in (one, two, three, one, two)] == [None] * 5
            for limits in (one, two, three):
                seconds = await limits.hit(key, 5)
                assert seconds is not None
                assert 1 <= seconds <= 60
            assert await one.hit(new_id("key"), 5) is None, "each key for itself"

    early_in_a_minute()
    asyncio.run(run())


def test_concurrent_processes_admit_the_limit_exactly(broker_url: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(4) as pool:
        given = broker_url, str(tmp_path), new_id("key"), time.time(), manager.Barrier(4)
        assert sum(pool.starmap(hits, [given] * 4)) == 50


@pytest.mark.parametrize("broker", ["redis://127.0.0.1:1/0", FOLDER])
def test_requests_without_shared_counts_are_limited(broker: str, tmp_path: Path) -> None:
    (tmp_path / "requests.db").mkdir()

    async def run() -> None:
        async with counting(broker, tmp_path, 1) as [limits]:
            assert [await limits.hit("a", 3) for _ in range(3)] == [None] * 3
            assert await limits.hit("a", 3)

    early_in_a_minute()
    asyncio.run(run())


def test_counts_are_shared_again_after_an_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "_RETRY_SECONDS", 0.0)
    obstacle = tmp_path / "requests.db"
    obstacle.mkdir()

    async def run() -> None:
        async with counting(FOLDER, tmp_path, 2) as (one, two):
            assert await one.hit("a", 1) is None
            obstacle.rmdir()
            assert await one.hit("a", 1) is None, "nothing of it was shared"
            assert await two.hit("a", 1)

    early_in_a_minute()
    asyncio.run(run())


def test_damaged_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "_RETRY_SECONDS", 0.0)
    (tmp_path / "requests.db").write_bytes(b"this is none of SQLite's files" * 100)

    async def run() -> None:
        async with counting(FOLDER, tmp_path, 2) as (one, two):
            assert await one.hit("a", 1) is None
            assert await one.hit("b", 1) is None
            assert await two.hit("b", 1), "shared again"

    early_in_a_minute()
    asyncio.run(run())


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_failures_leave_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "_RETRY_SECONDS", 0.0)

    async def run() -> None:
        async with counting(FOLDER, tmp_path, 1) as [limits]:
            before = open_files()
            for number in range(20):
                (tmp_path / "requests.db").write_bytes(b"this is none of SQLite's files" * 100)
                await limits.hit(f"key {number}", 1)
            assert open_files() <= before

    asyncio.run(run())


def test_locked_file_does_not_hold_up_the_event_loop(tmp_path: Path) -> None:
    async def run() -> None:
        async with counting(FOLDER, tmp_path, 1) as [limits]:
            assert await limits.hit("a", 2) is None
            with contextlib.closing(sqlite3.connect(tmp_path / "requests.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                waiting = asyncio.create_task(limits.hit("a", 2))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert not waiting.done(), "it waits, and others go on"
                other.execute("ROLLBACK")
                assert await waiting is None
            assert await limits.hit("a", 2), "all three were counted in the file"

    early_in_a_minute()
    asyncio.run(run())


def test_redis_that_hangs_delays_one_request_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "_RETRY_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        async def run() -> None:
            async with counting(f"redis://127.0.0.1:{port}/0", tmp_path, 1) as [limits]:
                assert await limits.hit("a", 100) is None
                monkeypatch.setattr(rate_limits, "_RETRY_SECONDS", 3_600.0)
                first = asyncio.create_task(limits.hit("a", 100))
                await asyncio.sleep(0)
                others = await asyncio.gather(*(limits.hit("a", 100) for _ in range(15)))
                assert others == [None] * 15
                assert not first.done(), "the others were answered while it asked"
                assert await first is None

        asyncio.run(run())


@pytest.mark.servers
@pytest.mark.parametrize("query", ["visibility_timeout=60", "ssl_cert_reqs=CERT_NONE", "socket_keepalive=true"])
def test_options_of_celery_do_not_keep_counts_apart(tmp_path: Path, query: str) -> None:
    async def run() -> None:
        async with counting(f"{REDIS}/15?{query}", tmp_path, 2) as (one, two):
            key = new_id("key")
            assert await one.hit(key, 1) is None
            assert await two.hit(key, 1)

    asyncio.run(run())


@pytest.mark.parametrize("word", ["CERT_NONE", "CERT_OPTIONAL", "CERT_REQUIRED", "none", "required"])
def test_certificate_options_of_celery_are_understood(word: str) -> None:
    pool = rate_limits._connection_pool(f"rediss://127.0.0.1/0?ssl_cert_reqs={word}")  # noqa: SLF001
    assert pool.make_connection().ssl_context.cert_reqs.name == f"CERT_{word.removeprefix('CERT_').upper()}"


def test_expired_counts_are_deleted_and_the_file_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with counting(FOLDER, tmp_path, 1) as [limits]:
            assert limits._file is not None  # noqa: SLF001 - what is stored
            for _ in range(3):
                assert await limits.hit("a", 1) is None
                now["seconds"] += 3_600
            assert len(await limits._file._execute("SELECT key FROM counts")) == 1  # noqa: SLF001

    now = {"seconds": time.time()}
    monkeypatch.setattr(time, "time", lambda: now["seconds"])
    asyncio.run(run())
    assert stat.S_IMODE((tmp_path / "requests.db").stat().st_mode) == 0o600
