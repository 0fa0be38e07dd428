"""Batches concurrent version look-ups into one query, and serves all long polls with one query per tick."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from app.services.batcher import Batcher
from models.sql.database import Database
from models.sql.quick_reads import NotAtOnceError
from models.sql.versions import ResourceVersion, find_version, find_versions

TICK_SECONDS = 0.05
"""Polling interval of long polls, in seconds."""
_MAX_IDS = 10_000

_log = structlog.get_logger()


@dataclass(eq=False)
class _Waiter:
    """Somebody who waits until a resource has left a version."""

    version: int
    changed: "asyncio.Future[ResourceVersion | None]"


class Versions:
    """Versions of experiments and trials, by id; for one event loop."""

    def __init__(self, database: Database) -> None:
        """Args: database: where they are."""
        self._database = database
        self._batcher = Batcher(self._find, "versions", _MAX_IDS)
        self._waiters: dict[str, set[_Waiter]] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._is_closing = False

    async def get(self, resource_id: str) -> ResourceVersion | None:
        """Return the version of a resource; None if it does not exist.

        Raises:
            DatabaseUnavailableError: the database does not answer.
        """
        if self._database.quick is not None:
            with suppress(NotAtOnceError):
                return find_version(self._database.quick.rows, resource_id)
        return await self._batcher.ask(resource_id)

    async def wait(self, resource_id: str, version: int, seconds: float) -> ResourceVersion | None:
        """Wait until a resource is at another version than this one, but no longer than some seconds.

        Returns:
            Where it stands then; None if it does not exist, or no longer.
        """
        now = await self.get(resource_id)
        if now is None or now.version != version or self._is_closing:
            return now
        loop = asyncio.get_running_loop()
        waiter = _Waiter(version, loop.create_future())
        self._waiters.setdefault(resource_id, set()).add(waiter)
        if self._ticking is None:
            self._ticking = loop.create_task(self._tick())
        try:
            async with asyncio.timeout(seconds):
                return await waiter.changed
        except TimeoutError:
            return now
        finally:
            waiters = self._waiters.get(resource_id, set())
            waiters.discard(waiter)
            if not waiters:
                self._waiters.pop(resource_id, None)

    @property
    def is_closing(self) -> bool:
        """True at shutdown: long polls end."""
        return self._is_closing

    def release(self) -> None:
        """Let all who wait go with what they have, at the next tick: the process is about to end."""
        self._is_closing = True  # called by a signal's handler, which may interrupt anything

    def close(self) -> None:
        """Ask nothing any more."""
        self._batcher.close(wait=False)

    async def _tick(self) -> None:
        while self._waiters:
            await asyncio.sleep(TICK_SECONDS)
            if self._is_closing:
                for waiter in [waiter for waiters in self._waiters.values() for waiter in waiters]:
                    if not waiter.changed.done():
                        waiter.changed.set_exception(TimeoutError())
                break
            asked = list(self._waiters)  # others may come while the database is asked
            try:
                found = dict(zip(asked, await self._batcher.run(self._find, asked), strict=True))
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait go on waiting
                _log.warning("tick_missed", error=type(error).__name__)
                continue
            for resource_id in asked:
                resource = found.get(resource_id)
                for waiter in self._waiters.get(resource_id, ()):
                    if not waiter.changed.done() and (resource is None or resource.version != waiter.version):
                        waiter.changed.set_result(resource)
        self._ticking = None

    def _find(self, ids: Sequence[str]) -> list[ResourceVersion | None]:
        with self._database.reading() as session:
            found = find_versions(session, set(ids))
        return [found.get(resource_id) for resource_id in ids]
