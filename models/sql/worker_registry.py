"""The workers: who is alive, on which device, doing what."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from models.sql.database import clock
from models.sql.tables import WorkerTable

SEEN_SECONDS = 15.0
"""A worker that was silent for longer is not counted as alive."""


def list_workers(session: Session, *, seen_within_seconds: float = SEEN_SECONDS) -> Sequence[WorkerTable]:
    """Return the workers with a recent heartbeat that have not signed off."""
    return session.scalars(
        select(WorkerTable)
        .where(WorkerTable.stopped_at.is_(None), WorkerTable.seen_at > clock(-seen_within_seconds))
        .order_by(WorkerTable.id)
    ).all()


def list_idle_queues(session: Session) -> set[str]:
    """Return the queues to which some worker listens that is alive and trains nothing."""
    return {queue for worker in list_workers(session) if worker.cohort_id is None for queue in worker.queues}


def count_listeners(session: Session) -> Counter[str]:
    """Count the live workers of each queue, busy or idle."""
    return Counter(queue for worker in list_workers(session) for queue in worker.queues)


def list_of_instance(session: Session, instance: str) -> list[str]:
    """Return the ids of the workers that a supervised process has been, stopped or not."""
    return list(session.scalars(select(WorkerTable.id).where(WorkerTable.instance == instance)))


def mark_stopped(session: Session, worker_id: str) -> bool:
    """Write that a worker has stopped. False if it had, or is not known."""
    values = {"seen_at": clock(), "stopped_at": clock(), "cohort_id": None}
    unstopped = (WorkerTable.id == worker_id, WorkerTable.stopped_at.is_(None))
    stopped = update(WorkerTable).where(*unstopped).values(values).returning(WorkerTable.id)
    return session.scalar(stopped) is not None


def remove_stopped(session: Session, older_than_seconds: float) -> int:
    """Forget the workers that have long been silent, whether they signed off or not; gives how many they were."""
    forgotten = session.execute(
        delete(WorkerTable).where(WorkerTable.seen_at < clock(-older_than_seconds)).returning(WorkerTable.id)
    )
    return len(forgotten.all())


def add_worker(  # noqa: PLR0913 - a row's columns
    session: Session,
    worker_id: str,
    *,
    host: str,
    process_id: int,
    instance: str | None = None,
    queues: list[str],
    devices: list[str],
    versions: dict[str, Any],
) -> None:
    """Announce a worker."""
    now = session.scalar(select(clock()))
    session.add(
        WorkerTable(
            id=worker_id, host=host, process_id=process_id, instance=instance, queues=queues, devices=devices,
            versions=versions, started_at=now, seen_at=now,
        )
    )  # fmt: skip


def update_worker(session: Session, worker_id: str, *, cohort_id: str | None) -> None:
    """Write that a worker is alive, and what it trains."""
    values = {"seen_at": clock(), "cohort_id": cohort_id}
    session.execute(update(WorkerTable).where(WorkerTable.id == worker_id).values(values))
