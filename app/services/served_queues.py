"""Queues that live workers serve, looked up once a second at most."""

import time

from models.sql import worker_registry
from models.sql.database import Database

SERVED_QUEUES_SECONDS = 1.0
"""Cache TTL, in seconds, of the set of served queues."""


class ServedQueues:
    """Cache of the queues that some live worker serves."""

    def __init__(self, database: Database) -> None:
        """Args: database: where workers are registered."""
        self._database = database
        self._found: frozenset[str] = frozenset()
        self._found_at = float("-inf")

    def known(self) -> frozenset[str] | None:
        """Return them if they were looked up in the last second, otherwise None."""
        return self._found if time.monotonic() - self._found_at <= SERVED_QUEUES_SECONDS else None

    def find(self) -> frozenset[str]:
        """Return them, from the database if they are not known; blocks."""
        known = self.known()
        if known is None:
            with self._database.reading() as session:
                workers = worker_registry.list_workers(session)
            known = self._found = frozenset(queue for worker in workers for queue in worker.queues)
            self._found_at = time.monotonic()
        return known
