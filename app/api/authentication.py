"""Authentication by API key, scopes, and rate limits.

Without any key, authentication is disabled, which is why the service then listens on loopback only.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import structlog
from anyio import to_thread
from cachetools import TTLCache
from fastapi import Request
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase

from app.api.rate_limits import RateLimits
from app.services.batcher import read_exception
from app.services.experiments import DEFAULT_PROJECT
from models.errors import FittingRoomError
from models.sql.api_keys import ApiKey, Scope, digest_of, find_key, is_key_needed, list_valid_ids
from models.sql.database import Database

KEY_CACHE_SECONDS = 2.0
"""API-key cache TTL, in seconds. A revoked key may keep working for this long."""
CHECK_SECONDS = 1.0
"""Interval, in seconds, at which the keys of long polls and streams are checked again."""
_MAX_CACHED = 10_000
_NOT_VALID = (
    "this key is not valid: it was never made, was revoked, or has expired; `fittingroom keys create` makes one"
)

_log = structlog.get_logger()

T = TypeVar("T")

ANONYMOUS = ApiKey("", DEFAULT_PROJECT, frozenset(Scope), None, None)
"""Key used when authentication is disabled (no API key exists)."""


class UnauthorizedError(FittingRoomError):
    """No key, or none that is valid."""

    status = 401
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(FittingRoomError):
    """The key is valid, and does not allow this."""

    status = 403


class TooManyRequestsError(FittingRoomError):
    """More requests, or more work, than the key may bring.

    Attributes:
        retry_after_seconds: when it is worth trying again.
    """

    status = 429

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass
class _Watch:
    """Long polls and streams of one key."""

    revoked: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    count: int = 0


class Authenticator:
    """API-key authenticator with cache, for one event loop."""

    def __init__(self, database: Database, rate_limits: RateLimits) -> None:
        """Args: database: where the keys are; rate_limits: of those that have one."""
        self._database, self._rate_limits = database, rate_limits
        # Looked up at each call, so that a test can set the clock.
        timer = lambda: time.monotonic()  # noqa: E731, PLW0108
        self._cache: TTLCache[str | None, ApiKey | None] = TTLCache(_MAX_CACHED, KEY_CACHE_SECONDS, timer)  # by digest
        self._looking: dict[str | None, asyncio.Task[ApiKey | None]] = {}
        self._watched: dict[str, _Watch] = {}  # by the key's id
        self._watching: asyncio.Task[None] | None = None

    async def authenticate(self, key: str | None, scope: Scope) -> ApiKey:
        """Return the key of a caller.

        Args:
            key: as sent; None without one.
            scope: the scope that the endpoint requires.

        Raises:
            UnauthorizedError: a valid key is needed.
            ForbiddenError: the key does not allow this.
            TooManyRequestsError: it has been used too often in the last minute.
        """
        found = await self._find(None if key is None else digest_of(key))
        if found is None:
            needed = "this service needs a key: send the header `Authorization: Bearer fr_…`"
            raise UnauthorizedError(needed if key is None else _NOT_VALID)
        if scope not in found.scopes:
            allowed = ", ".join(sorted(found.scopes))
            raise ForbiddenError(f"this needs a key with the scope {scope}; yours allows: {allowed}")
        if found.requests_per_minute is not None:
            await self._count(found.id, found.requests_per_minute)
        return found

    async def _count(self, key_id: str, per_minute: int) -> None:
        seconds = await self._rate_limits.hit(key_id, per_minute)
        if seconds is not None:
            raise TooManyRequestsError(
                f"this key may make {per_minute:,} requests a minute; try again in {seconds} s", seconds
            )

    async def outlast(self, caller: ApiKey, waiting: Awaitable[T]) -> T:
        """Wait for something, but no longer than the caller's key is valid.

        Raises:
            UnauthorizedError: it was revoked, or has expired, meanwhile.
        """
        task: asyncio.Future[T] = asyncio.ensure_future(waiting)
        watch = self._watched.setdefault(caller.id, _Watch())
        watch.count += 1
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        try:
            ended: list[asyncio.Future[Any]] = [task, watch.revoked]
            await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise UnauthorizedError(_NOT_VALID)
            return task.result()
        finally:
            task.cancel()
            watch.count -= 1
            if watch.count == 0 and self._watched.get(caller.id) is watch:
                del self._watched[caller.id]

    async def _watch(self) -> None:
        """End the waits of keys that are no longer valid, while there are any."""
        while self._watched:
            await asyncio.sleep(CHECK_SECONDS)
            asked = dict(self._watched)  # others come and go while it is looked up
            try:
                valid = await to_thread.run_sync(self._find_valid, list(asked))
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait go on waiting
                _log.warning("keys_not_checked", error=type(error).__name__)
                continue
            for key_id in asked.keys() - valid:
                asked[key_id].revoked.set_result(None)
                if self._watched.get(key_id) is asked[key_id]:
                    del self._watched[key_id]
        self._watching = None

    def _find_valid(self, ids: Collection[str]) -> set[str]:
        with self._database.reading() as session:
            valid = list_valid_ids(session, ids)
            if ANONYMOUS.id in ids and not is_key_needed(session):
                valid.add(ANONYMOUS.id)
        return valid

    async def _find(self, digest: str | None) -> ApiKey | None:
        with contextlib.suppress(KeyError):
            return self._cache[digest]
        looking = self._looking.get(digest)
        if looking is None:  # once for all who come with this key meanwhile
            looking = self._looking[digest] = asyncio.create_task(self._keep(digest))
            looking.add_done_callback(read_exception)
        return await asyncio.shield(looking)

    async def _keep(self, digest: str | None) -> ApiKey | None:
        try:
            found = self._cache[digest] = await to_thread.run_sync(self._look_up, digest)
        finally:
            del self._looking[digest]
        return found

    def _look_up(self, digest: str | None) -> ApiKey | None:
        with self._database.reading() as session:
            found = None if digest is None else find_key(session, digest)
            if found is None and not is_key_needed(session):
                return ANONYMOUS
        return found


class Admission(SecurityBase):
    """Dependency that requires an API key with a scope; `StrictRoute` runs it before it reads anything else."""

    scheme_name = "key"
    model = HTTPBearerModel(
        bearerFormat="fr_…",
        description="A key made by `fittingroom keys create`. Where none was ever made, none is needed.",
    )

    def __init__(self, scope: Scope) -> None:
        """Args: scope: what the key must allow."""
        self.scope = scope

    async def authenticate(self, request: Request) -> None:
        """Authenticate the caller of a request; raises as `Authenticator.authenticate` does."""
        authenticator: Authenticator = request.app.state.authenticator
        shown = request.headers.get("authorization")
        scheme, _, key = (shown or "").partition(" ")
        request.state.caller = await authenticator.authenticate(
            key.strip() if scheme.lower() == "bearer" else shown, self.scope
        )

    async def __call__(self, request: Request) -> ApiKey:
        """Return the admitted caller's key."""
        caller: ApiKey = request.state.caller
        return caller
