"""Many experiments, several workers, and random kills: `python -m tests.faults.soak --minutes 30 [--server]`.

At the end the ledger is checked: whatever was answered 202 has ended, with the history of an undisturbed run.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fittingroom.views.resources import ExperimentView
from tests.conftest import create_postgres_database, drop_postgres_database
from tests.factories import document
from tests.faults.cluster import Cluster

KINDS = {
    "short": document(fit={"epochs": 20, "validation_split": 0.3}),
    "sweep": document(
        optimizer={"name": "adam", "learning_rate": {"choice": [0.01, 0.003, 0.001]}},
        fit={"epochs": 600, "validation_split": 0.3},
    ),
    "stopping": document(
        fit={"epochs": 2000, "validation_split": 0.3}, seeds=[0, 1],
        early_stopping={"monitor": "val_loss", "patience": 30},
    ),
}  # fmt: skip
WORKERS = 3
MOST_WAITING = 20


def main() -> int:
    """Run it; 0 if the ledger balances."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--server", action="store_true", help="on PostgreSQL and Redis")
    flags = parser.parse_args()
    url = create_postgres_database() if flags.server else None
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="soak-")), url)
    try:
        return soak(cluster, flags.minutes * 60)
    finally:
        cluster.close()
        if url is not None:
            drop_postgres_database(url)


def soak(cluster: Cluster, seconds: float) -> int:
    """Submit and kill for some minutes, then wait for the end of all experiments and check the ledger."""
    chance = random.Random(11)  # noqa: S311 - the same blows each time
    cluster.environment |= {"FITTINGROOM_MAX_FAULTS": "100", "FITTINGROOM_LEASE_SECONDS": "5"}
    cluster.rescuer.send_signal(signal.SIGCONT)
    expected = {}
    for kind, spec in KINDS.items():
        expected[kind] = cluster.histories(cluster.client.wait(cluster.client.submit(spec).id, timeout=120))
    workers = [cluster.worker() for _ in range(WORKERS)]
    ledger: dict[str, str] = {}
    blows: Counter[str] = Counter()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        # On a slow machine work would pile up that has to be waited for at the end.
        if cluster.ask("SELECT count(*) FROM cohorts WHERE finished_at IS NULL") < MOST_WAITING:
            kind = chance.choice(list(KINDS))
            ledger[cluster.client.submit(KINDS[kind]).id] = kind
        time.sleep(chance.uniform(0.2, 2.0))
        if chance.random() < 0.25:
            place = chance.randrange(WORKERS)
            blow = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            workers[place].send_signal(blow)
            workers[place].wait(60)
            blows[blow.name] += 1
            workers[place] = cluster.worker()
    print(f"{len(ledger)} experiments, {dict(blows)}; waiting for their end", flush=True)
    wrong = []
    for experiment_id, kind in ledger.items():
        view: ExperimentView = cluster.client.wait(experiment_id, timeout=600)
        if view.state.value != "completed" or cluster.histories(view) != expected[kind]:
            wrong.append(f"{experiment_id} ({kind}): {view.state.value}")
    attempts = Counter(trial.attempt for experiment_id in ledger for trial in cluster.trials(experiment_id))
    resumed = cluster.ask(
        "SELECT count(*) FROM "
        "(SELECT trial_id FROM epochs GROUP BY trial_id HAVING min(attempt) < max(attempt)) AS resumed"
    )
    print(f"attempts per trial: {dict(sorted(attempts.items()))}; trials written by more than one attempt: {resumed}")
    print("\n".join(wrong) or f"the ledger balances: {len(ledger)} accepted, {len(ledger)} ended as if left alone")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
