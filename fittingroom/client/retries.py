"""Retries with exponential backoff."""

import time
from typing import Any

import httpx
from tenacity import RetryCallState, retry_if_exception, stop_before_delay, wait_exponential_jitter

from fittingroom.client.api_calls import ProblemError

PASSING = frozenset({429, 502, 503, 504})
"""HTTP statuses that are retried."""
MAX_WAIT_SECONDS = 60.0
PATIENCE_SECONDS = 60.0
"""Total retry time of a request, in seconds; a service restarts in less."""
LOST_SECONDS = 120.0
"""Total reconnect time of a stream, in seconds."""

_growing = wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2)


def asking_again(patience: float) -> dict[str, Any]:
    """Return tenacity's arguments: retry transient failures, with exponential backoff or as `Retry-After` says.

    Args:
        patience: total retry time, in seconds.
    """
    return {
        "retry": retry_if_exception(_is_passing),
        "wait": _pause,
        "stop": stop_before_delay(patience),
        "reraise": True,
    }


class Pauses:
    """Growing pauses before a stream is taken up again; for at most LOST_SECONDS without a word from the service."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Reset the backoff: the service answered."""
        self._heard_at, self._pause = time.monotonic(), 0.25

    def after(self, error: Exception) -> float:
        """Return the backoff after a failure, in seconds.

        Raises:
            Exception: the failure itself, if it is permanent or the retry time is used up.
        """
        if not _is_passing(error) or time.monotonic() - self._heard_at > LOST_SECONDS:
            raise error
        pause, self._pause = self._pause, min(2 * self._pause, 5.0)
        after = error.retry_after_seconds if isinstance(error, ProblemError) else None
        return pause if after is None else min(after, MAX_WAIT_SECONDS)


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, httpx.TransportError) or (isinstance(error, ProblemError) and error.status in PASSING)


def _pause(state: RetryCallState) -> float:
    error = None if state.outcome is None else state.outcome.exception()
    if isinstance(error, ProblemError) and error.retry_after_seconds is not None:
        return min(error.retry_after_seconds, MAX_WAIT_SECONDS)
    return _growing(state)
