"""Server-sent events: the history of an experiment while it trains."""

from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from app.api.authentication import UnauthorizedError
from app.api.conditional_requests import MAX_VERSION
from app.api.dependencies import ExperimentId, ReadingKey, authenticator_of, reading_of
from app.api.problems import Responses, problem_responses
from app.api.strict_route import StrictRoute
from models.errors import FittingRoomError
from models.sql.api_keys import ApiKey

_log = structlog.get_logger()

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)

PING_SECONDS = 15
END_SECONDS = 3.0
"""Grace period, in seconds, of a stream at shutdown. Without it the last chunk is cut, which looks like a fault.
Shorter than `app.server.GRACE_SECONDS`."""
_EVENTS = 'id: 7\r\nevent: history\r\ndata: {"experiment_id": "exp_…", "version": 7, "trials": [{"…": "…"}]}\r\n\r\n'

_STREAM: Responses = {
    200: {"description": "Server-sent events.", "content": {"text/event-stream": {"example": _EVENTS}}},
    204: {"description": "It has ended, and `Last-Event-ID` was its last event: there is nothing to come back for."},
}


@router.get(
    "/{experiment_id}/events",
    operation_id="stream_experiment",
    response_class=EventSourceResponse,
    responses=_STREAM | problem_responses(404, 422, 503),
)
async def stream(
    experiment_id: ExperimentId, caller: ReadingKey, request: Request,
    last_event_id: Annotated[
        int, Header(alias="Last-Event-ID", ge=0, le=MAX_VERSION, description="Id of the last event received.")
    ] = 0,
) -> Response:  # fmt: skip
    """Stream the history of an experiment as server-sent events while it trains.

    Each event `history` has the answer of `history?after=…` since the previous event, with the version as event id, so
    that a browser resumes after a lost connection. The last event is `end`.
    """
    now = await reading_of(request).experiment_history(caller.project, experiment_id, last_event_id)
    if now.has_ended and now.version == last_event_id:
        return Response(status_code=204)
    return EventSourceResponse(
        _events(request, caller, experiment_id, last_event_id),
        ping=PING_SECONDS,
        shutdown_grace_period=END_SECONDS,
    )


async def _events(request: Request, caller: ApiKey, experiment_id: str, version: int) -> AsyncIterator[ServerSentEvent]:
    changes = reading_of(request).changes(caller.project, experiment_id, version)
    # The status is sent: all that can be done is to end the stream, without the event `end`.
    try:
        while (answer := await authenticator_of(request).outlast(caller, anext(changes, None))) is not None:
            yield ServerSentEvent(answer.body.decode(), event="history", id=str(answer.version))
            if answer.has_ended:
                yield ServerSentEvent("{}", event="end", id=str(answer.version))
    except UnauthorizedError:
        return
    except FittingRoomError as error:
        _log.warning("stream_broke_off", error=str(error))
