"""The Celery task: a message names a cohort, the runner does the rest.

May import: celery, the runner. Knows no SQL and no Keras.
"""

from celery import Celery
from celery.worker import state

from models.broker import TRAIN_COHORT
from workers.runner import Runner


def register_tasks(celery: Celery, runner: Runner) -> None:
    """Tell a worker's Celery application what to do with each message."""

    @celery.task(name=TRAIN_COHORT)
    def train_cohort(cohort_id: str) -> None:
        runner.train_cohort(cohort_id)
        if runner.is_worn:
            state.should_stop = 0  # type: ignore[assignment]  # ends Celery after this task, as a signal would
