"""Encoded answers by resource and version: made once for all who ask at the same time, and kept while there is room."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anyio import to_thread
from cachetools import LRUCache

from app.services.batcher import read_exception
from app.services.reads.histories import ExperimentHistory

CAPACITY_BYTES = 32 * 1024**2
"""Size limit of the response cache, in bytes."""
ROW_BYTES = 200
"""Memory overhead of a cached answer, and of each trial of a long history, in bytes."""

JSON, CSV = "application/json", "text/csv; charset=utf-8"


@dataclass(frozen=True)
class CachedResponse:
    """A body as it goes out, and what it is known by."""

    version: int
    etag: str
    body: bytes
    media_type: str = JSON
    has_ended: bool = False
    """True for the history of an ended experiment."""
    history: ExperimentHistory | None = None
    """The history to read while it is sent, where the body would be too long to hold."""

    @property
    def size(self) -> int:
        """Bytes that it takes in the cache."""
        trials = 0 if self.history is None else len(self.history.trials.positions)
        return len(self.body) + ROW_BYTES * (1 + trials)


class ResponseCache:
    """Newest answers by resource and format, least recently used ones dropped first."""

    def __init__(self, capacity_bytes: int = CAPACITY_BYTES) -> None:
        """Args: capacity_bytes: how much is kept."""
        self._kept: LRUCache[tuple[Any, ...], CachedResponse] = LRUCache(capacity_bytes, lambda answer: answer.size)
        self._being_made: dict[tuple[Any, ...], asyncio.Task[CachedResponse]] = {}

    async def get(
        self,
        key: tuple[Any, ...],
        version: int,
        make: Callable[[], CachedResponse],
        at_once: Callable[[], CachedResponse | None] = lambda: None,
    ) -> CachedResponse:
        """Return the answer at this version or a later one; if it is not there, it is made.

        Args:
            key: resource and format.
            version: its version now, or a little earlier.
            make: makes the answer, in a thread.
            at_once: makes it in less time than a thread takes to begin, or returns None.
        """
        kept = self._kept.get(key)
        if kept is not None and kept.version >= version:
            return kept
        making = self._being_made.get((key, version))
        if making is None and (made := at_once()) is not None:
            return self._keep(key, made)
        if making is None:
            making = asyncio.create_task(self._make(key, version, make))
            making.add_done_callback(read_exception)
            self._being_made[key, version] = making
        return await asyncio.shield(making)  # others wait for it too

    async def _make(self, key: tuple[Any, ...], version: int, make: Callable[[], CachedResponse]) -> CachedResponse:
        try:
            made = await to_thread.run_sync(make)
        finally:
            self._being_made.pop((key, version), None)
        return self._keep(key, made)

    def _keep(self, key: tuple[Any, ...], made: CachedResponse) -> CachedResponse:
        before = self._kept.get(key)
        if made.size <= self._kept.maxsize and (before is None or before.version <= made.version):
            self._kept[key] = made
        return made
