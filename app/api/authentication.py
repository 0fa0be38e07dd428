"""Who is asking, what they may do, and how often.

As long as no key was made everybody is let in, which is why the service then listens on this machine only.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass

from anyio import to_thread
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from app.services.experiments import DEFAULT_PROJECT
from models.errors import FittingRoomError
from models.sql.api_keys import ApiKey, Scope, find_key, is_key_needed
from models.sql.database import Database

BELIEVED_SECONDS = 2.0
"""For how long a key that was found valid is not looked up again: so long a revoked one may still work."""
_MAX_REMEMBERED = 10_000

EVERYBODY = ApiKey("", DEFAULT_PROJECT, frozenset(Scope), None, None)
"""Who asks where no keys are needed."""


class UnauthorizedError(FittingRoomError):
    """No key, or none that is valid."""


class ForbiddenError(FittingRoomError):
    """The key is valid, and does not allow this."""


class TooManyRequestsError(FittingRoomError):
    """More requests, or more work, than the key may bring.

    Attributes:
        retry_after_seconds: when it is worth trying again.
    """

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True)
class _Remembered:
    key: ApiKey | None
    found_at: float


class Gate:
    """Lets in who may come in; for one event loop."""

    def __init__(self, database: Database) -> None:
        """Args: database: where the keys are."""
        self._database = database
        self._remembered: OrderedDict[str | None, _Remembered] = OrderedDict()
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def admit(self, key: str | None, scope: Scope) -> ApiKey:
        """Say who it is.

        Args:
            key: what was shown, if something was.
            scope: what is wanted.

        Raises:
            UnauthorizedError: a valid key is needed.
            ForbiddenError: the key does not allow this.
            TooManyRequestsError: it has been used too often in the last minute.
        """
        found = await self._find(key)
        if found is None:
            raise UnauthorizedError(
                "this service needs a key: send the header `Authorization: Bearer fr_…`"
                if key is None
                else "this key is not valid: it was never made, was revoked, or has expired; "
                "`fittingroom keys create` makes one"
            )
        if scope not in found.scopes:
            allowed = ", ".join(sorted(found.scopes))
            raise ForbiddenError(f"this needs a key with the scope {scope}; yours allows: {allowed}")
        if found.requests_per_minute is not None:
            self._count(found.id, found.requests_per_minute)
        return found

    def _count(self, key_id: str, per_minute: int) -> None:
        limit = RateLimitItemPerMinute(per_minute)
        if not self._limiter.hit(limit, key_id):
            window = self._limiter.get_window_stats(limit, key_id)
            seconds = max(1, round(window.reset_time - time.time()))
            raise TooManyRequestsError(
                f"this key may make {per_minute:,} requests a minute; try again in {seconds} s", seconds
            )

    async def _find(self, key: str | None) -> ApiKey | None:
        remembered = self._remembered.get(key)
        if remembered is not None and time.monotonic() - remembered.found_at < BELIEVED_SECONDS:
            return remembered.key
        found = await to_thread.run_sync(self._look_up, key)
        self._remembered[key] = _Remembered(found, time.monotonic())
        self._remembered.move_to_end(key)
        while len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return found

    def _look_up(self, key: str | None) -> ApiKey | None:
        with self._database.reading() as session:
            found = None if key is None else find_key(session, key)
            if found is None and not is_key_needed(session):
                return EVERYBODY
        return found
