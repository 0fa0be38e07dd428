"""Connection, waiting and position in a stream, the same for both clients."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from fittingroom.views.resources import ExperimentHistoryView, ExperimentView, TrialHistoryView

P = ParamSpec("P")
T = TypeVar("T")

URL = "http://127.0.0.1:8000"
"""Default URL of a service."""
WAIT_SECONDS = 20.0
"""Duration of one long poll, in seconds."""
SILENCE_SECONDS = 20.0
"""Read timeout of a stream, beside a request's own: a ping comes every fifteen seconds."""
PAGE = 100
"""Number of experiments on a page."""

OnChange = Callable[[ExperimentView], None]
AsyncOnChange = Callable[[ExperimentView], Awaitable[None]]


def connection(url: str | None, key: str | None, timeout: float) -> dict[str, Any]:
    """Arguments for httpx: what is not said is taken from FITTINGROOM_URL and FITTINGROOM_KEY."""
    key = key or os.environ.get("FITTINGROOM_KEY")
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return {"base_url": url or os.environ.get("FITTINGROOM_URL") or URL, "timeout": timeout, "headers": headers}


class StreamPosition:
    """Version and epochs that a stream has given, so that a reconnect repeats none of them.

    The parts of a long answer are all at the version before it: a connection that breaks within it begins it anew.
    """

    def __init__(self, after: int) -> None:
        self.after = after
        self._known: dict[str, tuple[int, int]] = {}

    def advance(self, event: ExperimentHistoryView) -> ExperimentHistoryView | None:
        """Return what is new of an event, or None if nothing is."""
        trials = [new for view in event.trials if (new := self._new_of(view)) is not None]
        if not trials and event.version <= self.after:
            return None
        self.after = event.version
        return event.model_copy(update={"trials": trials})

    def _new_of(self, view: TrialHistoryView) -> TrialHistoryView | None:
        version, last_epoch = self._known.get(view.trial_id, (-1, 0))
        if view.version <= version:
            return None
        self._known[view.trial_id] = view.version, view.epochs_completed
        first = sum(int(epoch or 0) <= last_epoch for epoch in view.history["epoch"])
        return view.model_copy(update={"history": {name: values[first:] for name, values in view.history.items()}})


sleep, async_sleep = time.sleep, asyncio.sleep
to_thread = asyncio.to_thread


def run_here(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that blocks: what the synchronous client does in place of `to_thread`."""
    return function(*args, **kwargs)
