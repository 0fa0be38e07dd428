"""A thread that says "still here": for the worker, and for the lease of what it trains.

Beats whether epochs end or not.
"""

import threading

import structlog

from models.errors import FittingRoomError
from models.settings import Settings
from models.sql import worker_registry
from models.sql.database import Database
from models.sql.leases import renew_lease
from workers.runner import Runner

MAX_INTERVAL_SECONDS = 2.0

_log = structlog.get_logger()


class Heartbeat(threading.Thread):
    """Beats three times per lease, and at least every other second."""

    def __init__(self, settings: Settings, database: Database, worker_id: str, runner: Runner) -> None:
        """Args: settings, database, this worker's id, and the runner whose claim is kept."""
        super().__init__(name="heartbeat", daemon=True)
        self._settings, self._database, self._worker_id, self._runner = settings, database, worker_id, runner
        self._ending = threading.Event()

    def run(self) -> None:
        """Beat until `end` is called; a database that does not answer is asked again at the next beat."""
        interval = min(self._settings.lease_seconds / 3, MAX_INTERVAL_SECONDS)
        while not self._ending.wait(interval):
            try:
                self._beat()
            except FittingRoomError as error:
                _log.warning("heartbeat_missed", error=type(error).__name__)

    def _beat(self) -> None:
        claim = self._runner.claim
        with self._database.writing() as session:
            worker_registry.update_worker(session, self._worker_id, cohort_id=claim.cohort_id if claim else None)
            kept = claim is None or renew_lease(session, claim, self._settings.lease_seconds)
        if not kept:  # or it has ended well since it was read; then nobody asks
            self._runner.lost = claim

    def end(self) -> None:
        """Stop beating."""
        self._ending.set()
