"""Storage quota at submit: stored bytes per project, cached."""

import time

from models.errors import StorageQuotaError
from models.sql.database import Database
from models.sql.usage import count_stored_bytes

USAGE_CACHE_SECONDS = 60.0
"""Cache TTL, in seconds, of a project's stored bytes."""
FULL_USAGE_CACHE_SECONDS = 1.0
"""Cache TTL of a full project, in seconds, so that deleting something takes effect soon."""


class KeptBytes:
    """Storage quotas of projects."""

    def __init__(self, database: Database, max_bytes: int) -> None:
        """Args: database: where it is counted; max_bytes: what a project may keep."""
        self._database, self.max_bytes = database, max_bytes
        self._found: dict[str, tuple[int, float]] = {}
        """Stored bytes of each project, and when they were counted."""

    def find_fault(self, project: str) -> StorageQuotaError | None:
        """Return the error if a project's storage quota is used up, otherwise None."""
        found = self.known_bytes(project)
        if found is None:
            with self._database.reading() as session:
                found = count_stored_bytes(session, project)
            self._found[project] = found, time.monotonic()
        return self.fault_of(found)

    def known_bytes(self, project: str) -> int | None:
        """Return a project's stored bytes if they were counted a short time ago."""
        found, found_at = self._found.get(project, (0, float("-inf")))
        ttl = USAGE_CACHE_SECONDS if found < self.max_bytes else FULL_USAGE_CACHE_SECONDS
        return found if time.monotonic() - found_at <= ttl else None

    def fault_of(self, stored_bytes: int) -> StorageQuotaError | None:
        """Return the error of a project that keeps so much, if it is too much."""
        return StorageQuotaError(stored_bytes, 0, self.max_bytes) if stored_bytes >= self.max_bytes else None
