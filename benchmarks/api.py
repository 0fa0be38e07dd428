"""`make bench-api`: throughput and latency of the API beside a bare FastAPI app, with client and server on one machine.

The server is a process of its own over a data folder of its own, or over FITTINGROOM_DATABASE_URL; no worker runs:
what workers write is written here.
"""

import asyncio
import datetime as dt
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markdown import Markdown

from app.examples import example_documents
from benchmarks.connections import Connection, Load, load, request
from benchmarks.served_experiments import Experiment, Server
from models.sql.database import Database

API = ["-m", "fittingroom", "api", "--port", "{port}"]
CONNECTIONS = 16
EPOCHS = 20
LONG_POLLS, STREAMS = 1_500, 400  # together below the 2,000 connections of a process
BATCH = 10_000


def main() -> None:
    """Measure, and print Markdown."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        environment = {"FITTINGROOM_DATA_DIR": folder}
        url = os.environ.get("FITTINGROOM_DATABASE_URL", f"sqlite:///{folder}/fittingroom.db")
        location = url.replace("postgresql://", "postgresql+psycopg://")
        database = Database(location)
        database.migrate()
        from benchmarks.mlflow_server import measured as mlflow_measured  # noqa: PLC0415 - it imports this

        rows = [*_floor(folder), *_measured(database, location, environment), *mlflow_measured(folder)]
        database.close()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout  # noqa: S607 - whose git is first
    machine = f"{len(os.sched_getaffinity(0))} cores ({url.partition(':')[0]}), client and server together"
    lines = [
        f"Measured {dt.datetime.now(dt.UTC):%Y-%m-%d} at {commit.strip()} on {machine}.",
        "",
        "| what | measured | goal |",
        "| --- | ---: | ---: |",
        *(f"| {what} | {measured} | {goal} |" for what, measured, goal in rows),
    ]
    text = "\n".join(lines)
    sys.stdout.write(text + "\n")
    Console(stderr=True).print(Markdown(text))


Row = tuple[str, str, str]


def _floor(folder: str) -> Iterator[Row]:
    with Server(["-m", "benchmarks.floor", "{port}", f"{folder}/floor.db"], {}) as server:
        found = load_median(server, itertools.repeat(request("GET", "/row/7")), 8_000, 200)
    yield "a bare FastAPI app with one SQL read", shown(found), ""


def _measured(database: Database, location: str, environment: dict[str, str]) -> Iterator[Row]:
    with Server([*API, "--processes", "2"], environment) as server:
        yield from ((f"two API processes: {what}", *rest) for what, *rest in _requests(database, server))
    with Server(API, environment) as server:
        yield "API process up", f"{server.start_seconds:.2f} s, {server.memory_mb:.0f} MB", "< 1 s, < 120 MB"
        yield from _requests(database, server)
        yield f"batch of {BATCH:,}", f"{_batch_seconds(server):.1f} s", "< 10 s"
        yield "epochs of a 64-trial cohort, written", f"{_rows_per_second(database, server):,.0f} rows/s", "≥ 20,000/s"
        polls, streams = asyncio.run(_wakes(database, server))
        yield (
            f"{LONG_POLLS:,} long polls and {STREAMS} streams, woken after",
            f"{1e3 * max(polls):.0f} ms and {1e3 * max(streams):.0f} ms at the most, {server.memory_mb:.0f} MB",
            "≤ 250 ms, < 300 MB",
        )
        from benchmarks.mixed import mixed_rows  # noqa: PLC0415 - it imports this

        yield from mixed_rows(database, location, server)


def _requests(database: Database, server: Server) -> Iterator[Row]:
    ended = Experiment(database, server, 1, EPOCHS)
    ended.write(EPOCHS)
    ended.end()
    path = f"/v1/trials/{ended.trials[0]}/history"
    found = load_median(server, itertools.repeat(request("GET", path)), 16_000, 200)
    yield f"history of {EPOCHS} epochs, read again", shown(found), "≥ 2,000/s, p99 ≤ 25 ms"
    etag = server.client.get(path).headers["etag"]
    found = load_median(server, itertools.repeat(request("GET", path, If_None_Match=etag)), 16_000, 304)
    yield "the same, unchanged: 304", shown(found), "≥ 3,000/s"
    found = load_median(server, iter(_first_reads(database, server)), 960, 200)
    yield f"history of {EPOCHS} epochs, first read", shown(found), ""
    document = json.dumps(example_documents()["validation"]).encode()
    found = load_median(server, itertools.repeat(request("POST", "/v1/experiments", document)), 3_200, 202)
    yield "submit", shown(found), "≥ 300/s"


def load_median(server: Server, messages: Iterator[bytes], count: int, expected: int) -> Load:
    """Return the median of three runs."""
    runs = [
        asyncio.run(load(server.port, messages, connections=CONNECTIONS, count=count // 3, expected=expected))
        for _ in range(3)
    ]
    return sorted(runs, key=lambda run: run.per_second)[1]


def shown(found: Load) -> str:
    """Return a load's figures in a line."""
    return f"{found.per_second:,.0f}/s, p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms"


def _first_reads(database: Database, server: Server) -> list[bytes]:
    messages = []
    for _ in range(15):
        experiment = Experiment(database, server, 64, EPOCHS)
        experiment.write(EPOCHS)
        messages += [request("GET", f"/v1/trials/{trial}/history") for trial in experiment.trials]
    return messages


def _batch_seconds(server: Server) -> float:
    document = example_documents()["validation"]
    lines = b"\n".join(json.dumps(document | {"name": f"night {number}"}).encode() for number in range(BATCH))
    started = time.perf_counter()
    answer = server.client.post(
        "/v1/experiments/batch", content=lines, headers={"Content-Type": "application/x-ndjson"}
    )
    seconds = time.perf_counter() - started
    accepted = answer.raise_for_status().json()["accepted"]
    if accepted != BATCH:
        raise RuntimeError(f"{accepted} of {BATCH} were accepted")
    return seconds


def _rows_per_second(database: Database, server: Server) -> float:
    experiment = Experiment(database, server, 64, 600)
    seconds = []
    for _ in range(15):
        started = time.perf_counter()
        experiment.write(EPOCHS)
        seconds.append(time.perf_counter() - started)
    return 64 * EPOCHS / statistics.median(seconds)


async def _wakes(database: Database, server: Server) -> tuple[list[float], list[float]]:
    """Seconds from the end of a write until each of those who wait for it has its answer."""
    experiments = [Experiment(database, server, 1, 100) for _ in range(20)]
    for experiment in experiments:
        experiment.write()
    written: dict[str, float] = {}
    opened = asyncio.Semaphore(100)

    async def connect(number: int, suffix: str) -> tuple[Experiment, Connection]:
        experiment, connection = experiments[number % len(experiments)], Connection(server.port)
        async with opened:
            await connection.open()
            if suffix:
                connection.send(request("GET", f"{experiment.path}{suffix}"))
                await connection.read_until(b"event: history")
        return experiment, connection

    polls = await asyncio.gather(*(connect(number, "") for number in range(LONG_POLLS)))
    streams = await asyncio.gather(*(connect(number, "/events") for number in range(STREAMS)))

    async def poll(experiment: Experiment, connection: Connection) -> float:
        status, body = await connection.ask(request("GET", f"{experiment.path}?wait=60"))
        now = time.perf_counter()
        if status != 200 or experiment.id not in written:
            raise RuntimeError(f"{status}: {body[:100]!r}")
        return now - written[experiment.id]

    async def follow(experiment: Experiment, connection: Connection) -> float:
        await connection.read_until(b"event: history")
        return time.perf_counter() - written[experiment.id]

    waiting = [asyncio.create_task(poll(*found)) for found in polls]
    following = [asyncio.create_task(follow(*found)) for found in streams]
    await asyncio.sleep(8)
    for experiment in experiments:
        await asyncio.to_thread(_timed, experiment, written)
        await asyncio.sleep(0.3)
    seconds = await asyncio.gather(*waiting), await asyncio.gather(*following)
    for _, connection in [*polls, *streams]:
        connection.close()
    return list(seconds[0]), list(seconds[1])


def _timed(experiment: Experiment, written: dict[str, float]) -> None:
    write: Callable[[], None] = experiment.write
    written[experiment.id] = time.perf_counter()
    write()
    written[experiment.id] = time.perf_counter()


if __name__ == "__main__":
    main()
