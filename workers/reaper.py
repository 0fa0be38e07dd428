"""A thread that looks after work nobody looks after: leases that ran out, messages that got lost.

May import: models. Knows no engine. Any number of these may run at once; each change is conditional.
"""

import threading

import structlog
from celery import Celery
from sqlalchemy.exc import SQLAlchemyError

from models import repository, transitions
from models.broker import ring
from models.database import Database
from models.errors import BrokerUnavailableError
from models.leases import has_expired_leases
from models.settings import Settings
from workers.runner import Runner

INTERVAL_SECONDS = 1.0
MESSAGES_AT_ONCE = 20

_log = structlog.get_logger()


class Reaper(threading.Thread):
    """Sweeps once a second."""

    def __init__(
        self, settings: Settings, database: Database, celery: Celery, queues: list[str], runner: Runner
    ) -> None:
        """Args: settings, database, the queue, what this worker listens to, and the runner that may be idle."""
        super().__init__(name="reaper", daemon=True)
        self._settings, self._database, self._celery = settings, database, celery
        self._queues, self._runner = queues, runner
        self._ending = threading.Event()

    def run(self) -> None:
        """Sweep until `end` is called; what does not answer is asked again at the next sweep."""
        while not self._ending.wait(INTERVAL_SECONDS):
            try:
                self.sweep()
            except (SQLAlchemyError, BrokerUnavailableError) as error:
                _log.warning("sweep_missed", error=type(error).__name__)

    def sweep(self) -> None:
        """Put back what lost its lease; send again what waits too long.

        Only an idle worker sends again: while all are busy a queued cohort waits for good reason, and further
        messages would only pile up.
        """
        with self._database.reading() as session:
            expired = has_expired_leases(session)
        if expired:
            with self._database.writing() as session:
                for cohort_id in transitions.mark_leases_lost(session, self._settings.max_faults):
                    _log.warning("lease_expired", cohort=cohort_id)
        if self._runner.claim is not None or self._runner.releasing.is_set():
            return
        with self._database.reading() as session:
            messages = repository.list_overdue_messages(
                session, self._queues, resend_seconds=self._settings.resend_seconds, limit=MESSAGES_AT_ONCE
            )
        if messages:
            ring(self._celery, messages)
            with self._database.writing() as session:
                transitions.mark_sent(session, [message.cohort_id for message in messages])
            _log.info("sent_again", cohorts=len(messages))

    def end(self) -> None:
        """Stop sweeping."""
        self._ending.set()
