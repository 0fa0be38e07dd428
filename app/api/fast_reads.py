"""The reads that are polled, answered before FastAPI looks for a route, which takes longer than the answer."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.authentication import Admission
from app.api.conditional_requests import MAX_WAIT_SECONDS, answered, wants_csv
from app.api.dependencies import waited
from app.api.problems import own_problem
from app.services.reads.cached_reads import Kind, Reading
from app.services.reads.response_cache import CachedResponse
from models.errors import FittingRoomError
from models.sql import api_keys

_Read = Callable[[str, str, int], Awaitable[CachedResponse]]
"""Reads for a project, of a resource, what came after a version or an epoch."""
_PATH = re.compile(r"/v1/(?:experiments/(exp_[0-9a-f]{32})|trials/(trl_[0-9a-f]{32}))(/trials|/history|)")
# The queries that our clients and the dashboard send; any other is the routes'.
_WAIT = rb"wait=([0-9]{1,2}(?:\.[0-9]{1,3})?)"
_OF_HISTORY = re.compile(rb"after=([0-9]{1,6})(?:&" + _WAIT + rb")?")
_OF_RESOURCE = re.compile(rb"version=([0-9]{1,6})&" + _WAIT)


@dataclass(frozen=True)
class _Poll:
    """A read that somebody polls."""

    kind: Kind
    resource_id: str
    read: _Read
    known: int = 0
    """Version that the client has; of a trial's history, the epoch."""
    wait_seconds: float = 0.0


class FastReads:
    """ASGI middleware that answers polls as their routes would; all else is left to the routes."""

    def __init__(self, app: ASGIApp, reading: Reading) -> None:
        """Args: app: what has the routes; reading: has the answers."""
        self._app, self._admission = app, Admission(api_keys.Scope.READ)
        self._reads: dict[tuple[Kind, str], _Read] = {
            ("experiment", ""): lambda project, experiment_id, _: reading.experiment(project, experiment_id),
            ("experiment", "/trials"): lambda project, experiment_id, _: reading.trials(project, experiment_id),
            ("experiment", "/history"): reading.experiment_history,
            ("trial", ""): lambda project, trial_id, _: reading.trial(project, trial_id),
            ("trial", "/history"): reading.trial_history,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        poll = self._find(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if poll is None or wants_csv(request := Request(scope)):
            await self._app(scope, receive, send)
            return
        try:
            await self._admission.authenticate(request)
            caller = request.state.caller
            if poll.wait_seconds:
                await waited(request, caller, poll.kind, poll.resource_id, poll.known, poll.wait_seconds)
            response = answered(request, await poll.read(caller.project, poll.resource_id, poll.known))
        except FittingRoomError as error:
            response = own_problem(request, error)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> _Poll | None:
        path, query = _PATH.fullmatch(scope["path"]), scope["query_string"]
        if path is None:
            return None
        experiment_id, trial_id, part = path.groups()
        kind: Kind = "experiment" if experiment_id else "trial"
        read = self._reads.get((kind, part))
        if read is None or not query:
            return None if read is None else _Poll(kind, experiment_id or trial_id, read)
        given = (_OF_HISTORY if part == "/history" else _OF_RESOURCE).fullmatch(query)
        if given is None or part == "/trials" or (given[2] and kind == "trial" and part == "/history"):
            return None
        seconds = float(given[2] or 0.0)
        if seconds > MAX_WAIT_SECONDS:
            return None
        return _Poll(kind, experiment_id or trial_id, read, int(given[1]), seconds)
