"""`make bench-long`: cost of answers as long as trials times epochs, for an experiment of the largest size.

What is measured of each: seconds to the first byte and to the last, the most memory that the API had meanwhile, and
how long others waited who polled another experiment at the same time.
"""

import asyncio
import datetime as dt
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from sqlalchemy import insert, literal, select, update

from app.examples import example_documents
from benchmarks.api import METRICS, Experiment, Server
from benchmarks.connections import Connection, request
from fittingroom.views.states import TrialState
from models.sql.database import Database
from models.sql.tables import EpochTable, ExperimentTable, TrialTable

TRIALS, EPOCHS = 1_000, 10_000
_READS = (
    ("history", "/history", ()),
    ("history as CSV", "/history", ("-H", "Accept: text/csv")),
    ("history, 200 points of each trial", "/history?points=200", ()),
    ("history after the last epoch but one", "/history?after={before}", ()),
    ("event stream, its first five seconds", "/events", ("--max-time", "5")),
    ("trials", "/trials", ()),
    ("comparison", "/comparison", ()),
    ("plot.svg", "/plot.svg", ()),
    ("plot.png, again", "/plot.png", ()),
    ("plot.png, bands", "/plot.png?seeds=band", ()),
)


def main() -> None:
    """Measure, and print Markdown."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        url = os.environ.get("FITTINGROOM_DATABASE_URL", f"sqlite:///{folder}/fittingroom.db")
        database = Database(url.replace("postgresql://", "postgresql+psycopg://"))
        database.migrate()
        with Server(["-m", "fittingroom", "api", "--port", "{port}"], {"FITTINGROOM_DATA_DIR": folder}) as server:
            experiment_id = _submit(server)
            _write(database, experiment_id)
            rows = list(_measured(database, server, experiment_id))
        database.close()
    machine = f"{len(os.sched_getaffinity(0))} cores ({url.partition(':')[0]}), client and server together"
    lines = [
        f"Measured {dt.datetime.now(dt.UTC):%Y-%m-%d} on {machine}: {TRIALS:,} trials of {EPOCHS:,} epochs.",
        "",
        "| what is read | first byte | last byte | size | API's memory | others' p50, p99 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *rows,
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _submit(server: Server) -> str:
    document = example_documents()["validation"]
    rates = [0.001 * number for number in range(1, 11)]
    document |= {
        "seeds": list(range(TRIALS // len(rates))),
        "optimizer": {"name": "sgd", "learning_rate": {"choice": rates}},
    }
    document["fit"] |= {"epochs": EPOCHS}
    answer = server.client.post("/v1/experiments", json=document).raise_for_status()
    return str(answer.json()["id"])


def _write(database: Database, experiment_id: str) -> None:
    """Write all epochs as a worker would in their order, but with fewer statements."""
    started = time.perf_counter()
    now = dt.datetime.now(dt.UTC)
    for first in range(1, EPOCHS + 1, 100):
        with database.writing() as session:
            for epoch in range(first, first + 100):
                wave = {name: value + math.exp(-epoch / 999) for name, value in METRICS.items()}
                columns = {
                    "trial_id": TrialTable.id, "epoch": literal(epoch), "experiment_id": TrialTable.experiment_id,
                    "version": literal(1 + epoch), "attempt": literal(1), "seconds": literal(0.01),
                    "metrics": literal(wave, EpochTable.metrics.type),
                    "recorded_at": literal(now, EpochTable.recorded_at.type),
                }  # fmt: skip
                rows = select(*columns.values()).where(TrialTable.experiment_id == experiment_id)
                session.execute(insert(EpochTable).from_select(list(columns), rows))
        sys.stderr.write(f"\r{first + 99:,} epochs of each trial written, {time.perf_counter() - started:.0f} s")
    sys.stderr.write("\n")
    ended = {
        "epochs_completed": EPOCHS, "version": 1 + EPOCHS, "best_metrics": METRICS,
        "best_epoch": 1 + TrialTable.number * 7_919 % EPOCHS,  # another one of each trial, as it would be
        "best_value": METRICS["val_loss"], "state": TrialState.RUNNING,
    }  # fmt: skip
    with database.writing() as session:
        session.execute(update(TrialTable).where(TrialTable.experiment_id == experiment_id).values(ended))
        changed = update(ExperimentTable).where(ExperimentTable.id == experiment_id)
        session.execute(changed.values(version=1 + EPOCHS))


def _measured(database: Database, server: Server, experiment_id: str) -> Iterator[str]:
    other = Experiment(database, server, 1, 20)
    other.write(20)
    trial_ids = [item["id"] for item in server.client.get(f"/v1/experiments/{experiment_id}/trials").json()["items"]]
    reads = [
        (name, f"/v1/experiments/{experiment_id}{path.format(before=EPOCHS)}", options)
        for name, path, options in _READS
    ]
    reads.append(("plot.png of 100 trials", f"/v1/plot.png?trials={','.join(trial_ids[:100])}", ()))
    reads.append(("history of one trial", f"/v1/trials/{trial_ids[0]}/history", ()))
    for name, path, options in reads:
        sys.stderr.write(f"{name}\n")
        server.forget_peak()
        found, waits = asyncio.run(_read(server, path, options, other.path))
        p50, p99 = (1e3 * sorted(waits)[int(part * (len(waits) - 1))] for part in (0.5, 0.99))
        yield (
            f"| {name} | {found['time_starttransfer']:.2f} s | {found['time_total']:.1f} s | "
            f"{found['size_download'] / 1e6:,.1f} MB | {server.peak_mb:.0f} MB | {p50:.0f} ms, {p99:.0f} ms |"
        )


async def _read(server: Server, path: str, options: Sequence[str], other: str) -> tuple[dict[str, float], list[float]]:
    """Read one path by curl while another client polls."""
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{json}", *options, f"http://127.0.0.1:{server.port}{path}"]
    reading = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    end = asyncio.create_task(reading.communicate())
    connection, waits = Connection(server.port), list[float]()
    await connection.open()
    while not end.done() or not waits:
        started = time.perf_counter()
        status, _ = await connection.ask(request("GET", other))
        waits.append(time.perf_counter() - started)
        if status != 200:
            raise RuntimeError(f"{status} for {other}")
        await asyncio.sleep(0.02)
    connection.close()
    output, _ = await end
    found = json.loads(output)
    if found["http_code"] != 200:
        raise RuntimeError(f"{found['http_code']} for {path}: {found['errormsg']}")
    return found, waits


if __name__ == "__main__":
    main()
