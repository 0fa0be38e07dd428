"""When a client asks again, and after how long.

May import: tenacity, httpx, the calls. Knows no single call.
"""

from typing import Any

import httpx
from tenacity import RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from app.calls import ProblemError

PASSING = frozenset({429, 502, 503, 504})
"""Answers that may be another one soon."""
MAX_WAIT_SECONDS = 60.0

_growing = wait_exponential_jitter(multiplier=0.2, max=10.0, jitter=0.2)


def patience(retries: int) -> dict[str, Any]:
    """Arguments for tenacity: ask again what failed in passing, after growing pauses, or when the service says so."""
    return {
        "retry": retry_if_exception(_is_passing),
        "wait": _pause,
        "stop": stop_after_attempt(retries + 1),
        "reraise": True,
    }


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, httpx.TransportError) or (isinstance(error, ProblemError) and error.status in PASSING)


def _pause(state: RetryCallState) -> float:
    error = None if state.outcome is None else state.outcome.exception()
    if isinstance(error, ProblemError) and error.retry_after_seconds is not None:
        return min(error.retry_after_seconds, MAX_WAIT_SECONDS)
    return _growing(state)
