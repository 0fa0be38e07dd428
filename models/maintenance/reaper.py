"""Reaper thread: expired leases, unannounced work, orphaned files.

It runs in every worker and in the API. Any number of these may run at once; each change is conditional.
"""

import threading
import time
from collections.abc import Callable, Collection

import structlog
from celery import Celery

from models.maintenance.retention import tidy
from models.messaging.broker import publish
from models.messaging.waiting import WaitingCohort
from models.settings import Settings
from models.sql import transitions, worker_registry
from models.sql.database import Database, Session
from models.sql.leases import has_expired_leases
from models.sql.plans.rounds import list_due
from models.sql.turns import list_waiting
from models.storage import Storage

INTERVAL_SECONDS = 1.0
TIDY_SECONDS = 600.0
COHORTS_AT_ONCE = 100

_log = structlog.get_logger()


class Reaper(threading.Thread):
    """Sweeps once a second, and tidies the storage every ten minutes."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        celery: Celery,
        idle_queues: Callable[[Session], Collection[str]],
    ) -> None:
        """Args: settings, database, the Celery application, and a function that returns the queues of idle workers."""
        super().__init__(name="reaper", daemon=True)
        self._settings, self._database, self._celery = settings, database, celery
        self._idle_queues = idle_queues
        self._tidied_at, self._notified_at = time.monotonic(), float("-inf")
        self._ending = threading.Event()

    def run(self) -> None:
        """Sweep until `end` is called; what does not answer is asked again at the next sweep."""
        while not self._ending.wait(INTERVAL_SECONDS):
            try:
                self.sweep()
                if time.monotonic() - self._tidied_at >= TIDY_SECONDS:
                    self._tidied_at = time.monotonic()
                    for sentence in tidy(self._database, Storage(self._settings.storage_location), self._settings):
                        _log.info("tidied", what=sentence)
            except Exception as error:  # noqa: BLE001 - each storage has errors of its own, and none may end the sweeps
                _log.warning("sweep_missed", error=type(error).__name__)

    def sweep(self) -> None:
        """Requeue cohorts with expired leases; notify idle workers of queued work."""
        with self._database.reading() as session:
            expired = has_expired_leases(session)
        if expired:
            with self._database.writing() as session:
                for cohort_id in transitions.mark_leases_lost(session, self._settings.max_faults):
                    _log.warning("lease_expired", cohort=cohort_id)
        if time.monotonic() - self._notified_at < self._settings.resend_seconds:
            return
        with self._database.reading() as session:
            queues = self._idle_queues(session)
            cohorts = list_waiting(session, queues, COHORTS_AT_ONCE) if queues else []
            if queues and not cohorts:  # whoever looks for work draws the rounds that are due
                cohorts = [WaitingCohort("", min(queues)) for _ in list_due(session, 1)]
            listeners = worker_registry.count_listeners(session)
        if cohorts:
            self._notified_at = time.monotonic()
            publish(self._celery, cohorts, listeners)

    def end(self) -> None:
        """Stop sweeping."""
        self._ending.set()
