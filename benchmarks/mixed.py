"""A thousand pollers of what trains, and submits beside them: how long each waits, and how soon after a write.

A third polls its experiment's history once a second for what is new (`after`), a third waits for it (`after`, `wait`),
a third follows the event stream. Meanwhile 64 trials in eight experiments complete fifty epochs a second together.
"""

import asyncio
import json
import multiprocessing
import os
import random
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from app.examples import example_documents
from benchmarks.api import Row
from benchmarks.connections import Connection, request
from benchmarks.served_experiments import Experiment, Server
from models.sql import experiments as repository
from models.sql.database import Database

POLLERS = 333
"""Number of pollers of each of the three kinds."""
EXPERIMENTS, TRIALS = 8, 8
EPOCHS_PER_SECOND, SUBMITS_PER_SECOND = 50.0, 20.0
SECONDS = 20.0
_SETTLE_SECONDS = 5.0
_VERSION = re.compile(rb'"version":(\d+)')
_EVENT_ID = re.compile(rb"id: (\d+)")


@dataclass
class _Seen:
    """Figures of the counted time."""

    until: float
    """End of the counted time, on `perf_counter`."""
    begins: float
    requests: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each request by kind."""
    arrivals: list[tuple[str, str, int, float]] = field(default_factory=list)
    """Kind, experiment, version, and when it arrived."""

    @property
    def is_over(self) -> bool:
        """True once the counted time is over."""
        return time.perf_counter() >= self.until

    def took(self, kind: str, started: float) -> None:
        """Note the end of a request."""
        if started >= self.begins:
            self.requests.setdefault(kind, []).append(time.perf_counter() - started)

    def arrived(self, kind: str, experiment_id: str, version: int) -> None:
        """Note that a version is there."""
        now = time.perf_counter()
        if now >= self.begins:
            self.arrivals.append((kind, experiment_id, version, now))


def mixed_rows(database: Database, location: str, server: Server) -> Iterator[Row]:
    """Measure for some seconds.

    Args:
        database: of the server.
        location: the same, for another process.
        server: that is loaded.
    """
    begun = [Experiment(database, server, TRIALS, 1_000) for _ in range(EXPERIMENTS)]
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    writer = multiprocessing.get_context("spawn").Process(target=_write, args=(location, begun, theirs), daemon=True)
    writer.start()
    ours.recv()  # it has begun
    cpu = _cpu_seconds(server.process_id)
    started = time.perf_counter()
    seen = asyncio.run(_load(server, [experiment.id for experiment in begun]))
    share = (_cpu_seconds(server.process_id) - cpu) / (time.perf_counter() - started)
    ours.send(None)
    written: dict[tuple[str, int], float] = ours.recv()
    writer.join()
    lags: dict[str, list[float]] = {}
    for kind, experiment_id, version, arrived in seen.arrivals:
        if (experiment_id, version) in written:
            lags.setdefault(kind, []).append(arrived - written[experiment_id, version])
    for kind, seconds in sorted(lags.items()):
        yield f"{3 * POLLERS} pollers: from the write to {kind}", _shown(seconds), "p99 ≤ 150 ms"
    for kind, seconds in sorted(seen.requests.items()):
        yield f"the same: {kind}", _shown(seconds), "≤ 250 ms"
    yield "the same: CPU of the API", f"{share:.0%} of a core", ""


def _shown(seconds: list[float]) -> str:
    p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    return f"p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, at the most {max(seconds) * 1e3:.0f} ms ({len(seconds):,})"


def _cpu_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _write(location: str, begun: list[Experiment], pipe: Pipe) -> None:
    """Write epochs until something comes through the pipe, and send when each version was committed."""
    database = Database(location)
    written: dict[tuple[str, int], float] = {}
    interval = TRIALS / EPOCHS_PER_SECOND
    pipe.send(None)
    number, next_at = 0, time.perf_counter()
    while not pipe.poll(max(0.0, next_at - time.perf_counter())):
        experiment = begun[number % len(begun)]
        experiment.write(database=database)
        now = time.perf_counter()
        with database.reading() as session:
            written[experiment.id, repository.get_experiment(session, experiment.id).version] = now
        number, next_at = number + 1, next_at + interval
    pipe.send(written)
    database.close()


async def _load(server: Server, experiment_ids: list[str]) -> _Seen:
    now = time.perf_counter()
    seen = _Seen(until=now + _SETTLE_SECONDS + SECONDS, begins=now + _SETTLE_SECONDS)
    async with asyncio.TaskGroup() as group:
        group.create_task(_submit(server, seen))
        for number in range(POLLERS):
            experiment_id = experiment_ids[number % len(experiment_ids)]
            for poll in (_poll, _wait, _follow):
                group.create_task(poll(server, experiment_id, seen))
    return seen


async def _opened(server: Server) -> Connection:
    await asyncio.sleep(random.uniform(0.0, _SETTLE_SECONDS / 2))  # noqa: S311 - no secret
    connection = Connection(server.port)
    await connection.open()
    return connection


async def _poll(server: Server, experiment_id: str, seen: _Seen) -> None:
    connection, version = await _opened(server), 0
    while not seen.is_over:
        started = time.perf_counter()
        version = await _ask(connection, f"/v1/experiments/{experiment_id}/history?after={version}")
        seen.took("a poll with `after`", started)
        await asyncio.sleep(started + 1.0 - time.perf_counter())
    connection.close()


async def _wait(server: Server, experiment_id: str, seen: _Seen) -> None:
    connection, version = await _opened(server), 0
    while not seen.is_over:
        version = await _ask(connection, f"/v1/experiments/{experiment_id}/history?after={version}&wait=10")
        seen.arrived("a long poll", experiment_id, version)
    connection.close()


async def _ask(connection: Connection, path: str) -> int:
    status, body = await connection.ask(request("GET", path))
    found = _VERSION.search(body)
    if status != 200 or found is None:
        raise RuntimeError(f"{status}: {body[:200]!r}")
    return int(found[1])


async def _follow(server: Server, experiment_id: str, seen: _Seen) -> None:
    connection = await _opened(server)
    connection.send(request("GET", f"/v1/experiments/{experiment_id}/events"))
    while not seen.is_over:
        line = await connection.read_until(b"\n")
        if found := _EVENT_ID.match(line):
            seen.arrived("an event stream", experiment_id, int(found[1]))
    connection.close()


async def _submit(server: Server, seen: _Seen) -> None:
    connection = await _opened(server)
    document = json.dumps(example_documents()["validation"]).encode()
    while not seen.is_over:
        started = time.perf_counter()
        status, body = await connection.ask(request("POST", "/v1/experiments", document))
        if status != 202:
            raise RuntimeError(f"{status}: {body[:200]!r}")
        seen.took("a submit", started)
        await asyncio.sleep(started + 1.0 / SUBMITS_PER_SECOND - time.perf_counter())
    connection.close()
