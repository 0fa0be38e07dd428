"""A service in a hostile world: `python -m tests.faults.hostile_soak --minutes 15 [--server]`.

Three projects submit while workers and the API are killed, the disk fills up, connections are cut, and strangers send
what they should not. At the end nothing is lost, nothing doubled, no project has waited longer than its share, nothing
was answered 500, and the memory of the processes has not grown.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from sqlalchemy import text

from fittingroom import Client
from fittingroom.client.api_calls import ProblemError
from models.sql.api_keys import Scope, create_key
from tests.conftest import create_postgres_database, drop_postgres_database
from tests.factories import document
from tests.faults.cluster import Cluster
from tests.faults.soak import KINDS
from tests.faults.strangers import Strangers

DISK_BYTES = 400 * 1024**2
WORKERS = 2
BULK, MOST_WAITING = 25, 60
"""Experiments of a bulk submit, and how many a project may have unended before it sends another."""
TINY = document(fit={"epochs": 2, "validation_split": 0.3})
SPECS = KINDS | {"tiny": TINY}
MOST_TURNS_WAITED = 4 + WORKERS
"""Cohorts of the two other projects that may begin before one's own: a turn each, twice where a worker was killed."""
MOST_GROWTH = 1.15
_FAULTS_IN_LOG = re.compile(r"Traceback \(most recent call last\)|unforeseen|\" 500\b")


@dataclass
class Ledger:
    """Accepted experiments, and counts of answers."""

    accepted: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Project and kind of each experiment."""
    statuses: Counter[int] = field(default_factory=Counter)
    blows: Counter[str] = field(default_factory=Counter)
    memory: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Megabytes of each process, every few seconds."""

    def note(self, response: httpx.Response) -> None:
        """Count a status; a hook of httpx."""
        self.statuses[response.status_code] += 1


def main() -> int:
    """Run it; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--server", action="store_true", help="on PostgreSQL and Redis")
    flags = parser.parse_args()
    url = create_postgres_database() if flags.server else None
    with _small_disk() as folder:
        cluster = Cluster(folder, url)
        try:
            return Soak(cluster).run(flags.minutes * 60)
        finally:
            (Path(tempfile.gettempdir()) / "hostile-soak.log").write_bytes((folder / "log").read_bytes())
            cluster.close()
            if url is not None:
                drop_postgres_database(url)


@contextlib.contextmanager
def _small_disk() -> Iterator[Path]:
    """Yield a file system that can be filled, where this machine mounts one."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        command = ["/usr/bin/mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", name]
        is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        print(f"data in {name}{'' if is_mounted else ', not mounted: the disk will not be full'}", flush=True)
        try:
            yield Path(name)
        finally:
            if is_mounted:
                subprocess.run(["/usr/bin/umount", "--lazy", name], check=True)


class Soak:
    """One run over a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._ledger = cluster, Ledger()
        self._chance = random.Random(11)  # noqa: S311 - the same blows each time
        self._url = str(cluster.http.base_url)
        self._names = itertools.count()
        self._is_over = threading.Event()
        cluster.environment |= {"FITTINGROOM_MAX_FAULTS": "100", "FITTINGROOM_LEASE_SECONDS": "5"}
        cluster.rescuer.send_signal(signal.SIGCONT)
        self._expected = {
            kind: cluster.histories(cluster.client.wait(cluster.client.submit(spec).id, timeout=300))
            for kind, spec in SPECS.items()
        }
        with cluster.database.writing() as session:
            keys = {
                project: create_key(session, project=project, name="soak", scope=Scope.ADMIN)[1]
                for project in ("bulk", "sweeps", "small")
            }
        self._clients = {project: self._client(key) for project, key in keys.items()}
        cluster.client.close()
        cluster.client = self._client(keys["small"])
        cluster.http.headers["Authorization"] = f"Bearer {keys['small']}"
        self._strangers = Strangers(self._url, keys["sweeps"], self._is_over)

    def _client(self, key: str) -> Client:
        client = Client(self._url, key=key, patience=120.0)
        client._http.event_hooks["response"].append(self._ledger.note)
        return client

    def run(self, seconds: float) -> int:
        """Disturb for some minutes, wait for the end of all experiments, and judge."""
        workers = [self._cluster.worker() for _ in range(WORKERS)]
        self._cluster.end(self._cluster.rescuer, 60)
        threads = [threading.Thread(target=self._submit, args=(project,)) for project in self._clients]
        threads += [threading.Thread(target=work) for work in (self._strangers.run, self._watch)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        blows: list[Callable[[], None]] = [
            lambda: self._kill_worker(workers), lambda: self._kill_worker(workers), self._fill_disk, self._cut,
        ]  # fmt: skip
        while (gone := time.monotonic() - began) < seconds:
            time.sleep(self._chance.uniform(2, 8))
            # The API is left alone in the second half, so that its memory can be looked at.
            chosen = self._chance.choice([*blows, self._kill_api] if gone < seconds / 2 else blows)
            chosen()
        self._is_over.set()
        for thread in threads:
            thread.join()
        wrong = self._judge()
        print(f"{len(self._ledger.accepted)} accepted; blows: {dict(self._ledger.blows)}")
        print(f"answers to projects: {dict(sorted(self._ledger.statuses.items()))}")
        print(f"answers to strangers: {dict(sorted(self._strangers.answers.items()))}")
        print("\n".join(wrong) or "nothing lost, nothing doubled, nobody starved, no 500, memory flat")
        return 1 if wrong else 0

    def _submit(self, project: str) -> None:
        chance = random.Random(project)  # noqa: S311 - the same submits each time
        client = self._clients[project]
        while not self._is_over.wait(chance.uniform(0.5, 3.0)):
            try:
                waiting = client.get_usage().unended_trials
                if project == "bulk" and waiting < MOST_WAITING:
                    self._submit_bulk(client)
                elif project == "sweeps" and waiting < MOST_WAITING / 4:
                    self._submit_one(client, project, chance.choice(list(KINDS)))
                elif project == "small" and waiting == 0:
                    self._submit_one(client, project, "tiny")
            except (ProblemError, httpx.HTTPError) as error:
                self._ledger.blows[f"submit refused: {error}"[:60]] += 1

    def _submit_one(self, client: Client, project: str, kind: str) -> None:
        view = client.submit(SPECS[kind] | {"name": f"{project} {next(self._names)}"})
        self._ledger.accepted[view.id] = (project, kind)

    def _submit_bulk(self, client: Client) -> None:
        lines = "\n".join(json.dumps(TINY | {"name": f"bulk {next(self._names)}"}) for _ in range(BULK))
        answer = client._http.post(
            "/v1/experiments/batch", content=lines, headers={"Content-Type": "application/x-ndjson"}, timeout=120
        )
        for item in answer.json().get("items", []):
            if item.get("status") == 202:
                self._ledger.accepted[item["id"]] = ("bulk", "tiny")

    def _watch(self) -> None:
        """Poll as a dashboard would, and look at the memory of the processes."""
        client = self._clients["sweeps"]
        while not self._is_over.wait(2):
            for process in self._cluster.processes:
                with contextlib.suppress(OSError, ValueError, IndexError):
                    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
                    kind = "API" if process is self._cluster.api else "worker"
                    self._ledger.memory[f"{kind} {process.pid}"].append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
            newest = [key for key, (project, _) in list(self._ledger.accepted.items()) if project == "sweeps"][-1:]
            with contextlib.suppress(ProblemError, httpx.HTTPError):
                for experiment_id in newest:
                    client.get_experiment(experiment_id)
                    client.get_experiment_history(experiment_id)
                    client.compare(experiment_id)
                    client.get_plot(experiment_id)

    def _kill_worker(self, workers: list["subprocess.Popen[bytes]"]) -> None:
        """Kill any worker but the first, whose memory is looked at."""
        place = self._chance.randrange(1, WORKERS)
        blow = self._chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        workers[place].send_signal(blow)
        workers[place].wait(120)
        workers[place] = self._cluster.worker()
        self._ledger.blows[f"worker {blow.name}"] += 1

    def _kill_api(self) -> None:
        self._cluster.api.kill()
        self._cluster.api.wait()
        port = str(self._cluster.http.base_url.port)
        self._cluster.api = self._cluster.start("-m", "fittingroom", "api", "--port", port)
        self._ledger.blows["API killed"] += 1

    def _fill_disk(self) -> None:
        """Fill the disk to its last byte for some seconds."""
        filler = self._cluster.folder / "filler"
        if not os.path.ismount(self._cluster.folder):
            return
        with filler.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 1024**2)
                file.flush()
        time.sleep(self._chance.uniform(2, 6))
        filler.unlink()
        self._ledger.blows["disk full"] += 1

    def _cut(self) -> None:
        """Cut all connections to the database, or hold its lock; now and then lose the queue."""
        if not self._cluster.is_server:
            with self._cluster.database.writing() as session:
                session.execute(text("UPDATE alembic_version SET version_num = version_num"))
                time.sleep(self._chance.uniform(0.5, 3))
            self._ledger.blows["database locked"] += 1
        elif self._chance.random() < 0.7:
            with contextlib.suppress(Exception):  # it cuts its own connection too
                self._cluster.tell(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            self._ledger.blows["connections cut"] += 1
        else:
            self._cluster.stop_redis()
            time.sleep(self._chance.uniform(1, 4))
            self._cluster.start_redis()
            self._ledger.blows["queue lost"] += 1

    def _judge(self) -> list[str]:
        """Return one sentence for each thing that is wrong."""
        wrong = list(self._strangers.wrong)
        for experiment_id, (project, kind) in list(self._ledger.accepted.items()):
            client = self._clients[project]
            view = client.wait(experiment_id, timeout=900)
            found = [trial.history for trial in client.get_experiment_history(experiment_id).trials]
            if view.state.value != "completed" or found != self._expected[kind]:
                wrong.append(f"{experiment_id} ({project}, {kind}) is {view.state.value}, or its history differs")
            lost = [trial.id for trial in client.list_trials(experiment_id) if trial.weights_epoch is None]
            if lost:
                wrong.append(f"{experiment_id} ({project}, {kind}) has trials without weights: {lost}")
        doubled = self._cluster.ask(
            "SELECT count(*) FROM (SELECT name FROM experiments WHERE project <> 'default' "
            "GROUP BY project, name HAVING count(*) > 1) AS doubled"
        )
        if doubled:
            wrong.append(f"{doubled} experiments were stored more than once")
        unended = self._cluster.ask("SELECT count(*) FROM cohorts WHERE finished_at IS NULL")
        if unended:
            wrong.append(f"{unended} cohorts have not ended, of experiments that nobody was told of")
        wrong += self._unfair() + self._grown()
        if self._ledger.statuses[500]:
            wrong.append(f"{self._ledger.statuses[500]} answers to projects were 500")
        log = (self._cluster.folder / "log").read_text(errors="replace")
        wrong += [f"log: {line[:300]}" for line in log.splitlines() if _FAULTS_IN_LOG.search(line)][:20]
        return wrong

    def _unfair(self) -> list[str]:
        """Experiments before which more cohorts of other projects began than is their share."""
        with self._cluster.database.engine.connect() as connection:
            rows = connection.execute(
                text(
                    "SELECT e.id, e.project, e.created_at, min(t.started_at) FROM experiments e "
                    "JOIN trials t ON t.experiment_id = e.id WHERE e.project <> 'default' GROUP BY e.id, t.cohort_id"
                )
            ).all()
        turns = []
        for _, project, created_at, started_at in rows:
            if project == "small":
                turns.append(sum(1 for row in rows if row[1] != project and created_at < row[3] < started_at))
        print(f"turns that the small project waited: {dict(sorted(Counter(turns).items()))}")
        return [f"an experiment waited for {turn} turns of others" for turn in turns if turn > MOST_TURNS_WAITED]

    def _grown(self) -> list[str]:
        """Return processes that have more memory at their end than in the middle of their life."""
        wrong = []
        for name, samples in self._ledger.memory.items():
            if len(samples) >= 40:  # shorter lives tell nothing
                middle, end = (statistics.median(part) for part in (samples[len(samples) // 2 :][:10], samples[-10:]))
                print(f"{name}: {middle:.0f} MB, {end:.0f} MB at the end, {max(samples):.0f} MB at the most")
                if end > MOST_GROWTH * middle:
                    wrong.append(f"{name} has grown from {middle:.0f} to {end:.0f} MB")
        return wrong


if __name__ == "__main__":
    sys.exit(main())
