"""The Celery task: a message says that there is work, the runner asks for it."""

from collections.abc import Collection

from celery import Celery
from celery.worker import state

from models.messaging.broker import TRAIN
from workers.runner import Runner


def register_tasks(celery: Celery, runner: Runner, queues: Collection[str]) -> None:
    """Register the task of a worker's Celery application.

    Args:
        celery: the application.
        runner: trains cohorts.
        queues: the worker's queues.
    """

    @celery.task(name=TRAIN)
    def train(*_: object) -> None:
        """Messages of the versions before name a cohort, which the turn decides now."""
        runner.train_waiting(queues)
        if runner.needs_restart:
            state.should_stop = 0  # type: ignore[assignment]  # ends Celery after this task, as a signal would
