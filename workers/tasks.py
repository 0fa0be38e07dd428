"""The Celery task: a message names a cohort, the runner does the rest."""

from collections.abc import Collection
from contextlib import suppress

from celery import Celery
from celery.worker import state

from models.errors import BrokerUnavailableError
from models.messaging.broker import TRAIN_COHORT, ring
from models.sql import experiments
from models.sql.database import Database
from workers.runner import Runner


def register_tasks(celery: Celery, runner: Runner, database: Database, queues: Collection[str]) -> None:
    """Tell a worker's Celery application what to do with each message.

    A cohort may have become another backend's after its message was sent; then the message is sent on.

    Args:
        celery: the application.
        runner: who trains.
        database: where the cohorts are.
        queues: what the worker listens to.
    """

    @celery.task(name=TRAIN_COHORT)
    def train_cohort(cohort_id: str) -> None:
        if not runner.train_cohort(cohort_id):
            with database.reading() as session:
                misdirected = experiments.find_misdirected(session, cohort_id, queues)
            if misdirected is not None:
                with suppress(BrokerUnavailableError):  # it has been logged; the reaper sends it again
                    ring(celery, [misdirected])
        if runner.is_worn:
            state.should_stop = 0  # type: ignore[assignment]  # ends Celery after this task, as a signal would
