"""The reads that are polled, answered before FastAPI looks for a route, which takes longer than the answer."""

import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.authentication import Admission
from app.api.conditional_requests import answered, wants_csv
from app.api.problems import own_problem
from app.services.reads.cached_reads import CachedResponse, Reading
from models.errors import FittingRoomError
from models.sql import api_keys

_Read = Callable[[str, str], Awaitable[CachedResponse]]
_PATH = re.compile(r"/v1/(?:experiments/(exp_[0-9a-f]{32})|trials/(trl_[0-9a-f]{32}))(/trials|/history|)")


class FastReads:
    """ASGI middleware that answers polls without parameters as their routes would; all else is the routes'."""

    def __init__(self, app: ASGIApp, reading: Reading) -> None:
        """Args: app: what has the routes; reading: has the answers."""
        self._app, self._admission = app, Admission(api_keys.Scope.READ)
        self._of_experiment: dict[str, _Read] = {
            "": reading.experiment,
            "/trials": reading.trials,
            "/history": lambda project, experiment_id: reading.experiment_history(project, experiment_id, 0),
        }
        self._of_trial: dict[str, _Read] = {
            "": reading.trial,
            "/history": lambda project, trial_id: reading.trial_history(project, trial_id, 0),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        is_plain = scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]
        path = _PATH.fullmatch(scope["path"]) if is_plain else None
        read = None if path is None else (self._of_experiment if path[1] else self._of_trial).get(path[3])
        if path is None or read is None or wants_csv(request := Request(scope)):
            await self._app(scope, receive, send)
            return
        try:
            await self._admission.authenticate(request)
            response = answered(request, await read(request.state.caller.project, path[1] or path[2]))
        except FittingRoomError as error:
            response = own_problem(request, error)
        await response(scope, receive, send)
