"""Conditional requests and content negotiation: ETags, media types, long polls, cursors."""

import base64
import datetime as dt
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Send

from app.api.problems import Responses
from app.api.strict_route import refuse_parameter
from app.services.reads.histories import csv_pieces, json_pieces, next_piece
from app.services.reads.response_cache import JSON, CachedResponse
from fittingroom.specs.limits import MAX_EPOCHS
from models.errors import FittingRoomError
from models.identifiers import is_id
from models.sql.experiment_list import Position, Sort

_log = structlog.get_logger()

CSV = "text/csv"
AS_CSV: Responses = {
    200: {"content": {CSV: {"example": "trial_id,trial,label,epoch,loss\r\ntrl_…,1,seed 0,1,0.69\r\n"}}}
}
UNCHANGED: Responses = {304: {"description": "Nothing has changed since the version in `If-None-Match`."}}
MAX_WAIT_SECONDS = 60
MAX_VERSION = 2**53

WaitSeconds = Annotated[
    float,
    Query(ge=0, le=MAX_WAIT_SECONDS, description="Long poll: maximum time to wait for a change, in seconds."),
]
Points = Annotated[
    int | None,
    Query(
        ge=2,
        le=MAX_EPOCHS,
        description="Downsampling for charts: approximate number of epochs per trial. Kept are the first, the last, "
        "the best, and local minima and maxima of each metric. In experiments of more than 100,000 epochs, evenly "
        "spaced epochs are read.",
    ),
]
Version = Annotated[
    int | None,
    Query(
        ge=0,
        le=MAX_VERSION,
        description="Version known to the client, for `wait`. Default: `If-None-Match`.",
    ),
]


def answered(request: Request, answer: CachedResponse) -> Response:
    """Return an answer under its ETag, or 304 if the client has it."""
    if is_known(request, answer.etag):
        return not_modified(answer.etag)
    headers = {"ETag": answer.etag, "Cache-Control": "no-cache", "Vary": "Accept, Authorization"}
    if answer.history is not None:
        return _LongResponse(_pieces_of(answer), media_type=answer.media_type, headers=headers)
    return Response(answer.body, media_type=answer.media_type, headers=headers)


class _LongResponse(StreamingResponse):
    """A streamed answer that breaks off with a line in the log if the rest of it cannot be read."""

    async def stream_response(self, send: Send) -> None:
        """Leave out the end: no status can say it any more, but the connection is closed on an answer not whole."""
        try:
            await super().stream_response(send)
        except FittingRoomError as error:
            _log.warning("answer_broke_off", error=str(error))


async def _pieces_of(answer: CachedResponse) -> AsyncIterator[bytes]:
    assert answer.history is not None  # noqa: S101 - for mypy
    pieces = (json_pieces if answer.media_type == JSON else csv_pieces)(answer.history)
    while (piece := await next_piece(answer.history.project, pieces)) is not None:
        yield piece


def is_known(request: Request, etag: str) -> bool:
    """Return True if `If-None-Match` has this ETag."""
    known = request.headers.get("if-none-match")
    if known is None:
        return False
    return known.strip() == "*" or etag.removeprefix("W/") in [
        tag.strip().removeprefix("W/") for tag in known.split(",")
    ]


def known_version(request: Request) -> int | None:
    """Return the version in If-None-Match; None without one."""
    found = re.match(r'\s*(?:W/)?"(\d{1,16})[-"]', request.headers.get("if-none-match", ""))
    return int(found[1]) if found else None


def not_modified(etag: str) -> Response:
    """Return 304 Not Modified."""
    return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "no-cache"})


def wants_csv(request: Request) -> bool:
    """Return True if the client prefers CSV to JSON (`Accept`)."""
    kinds = [kind.split(";")[0].strip() for kind in request.headers.get("accept", "").split(",")]
    return CSV in kinds and ("application/json" not in kinds or kinds.index(CSV) < kinds.index("application/json"))


def to_cursor(sort: Sort, position: Position) -> str:
    """Return a cursor that a client need not understand."""
    value = position.value if isinstance(position.value, str) else position.value.isoformat()
    return base64.urlsafe_b64encode(json.dumps([sort, value, position.id]).encode()).decode().rstrip("=")


def from_cursor(cursor: str, sort: Sort) -> Position:
    """Decode a cursor.

    Raises:
        RequestValidationError: it is malformed, or belongs to another sort order.
    """
    try:
        document = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        of_sort, text, last_id = document
        text.encode()  # no database stores half a character
        value = text if sort.endswith("name") else dt.datetime.fromisoformat(text).astimezone(dt.UTC)
        is_ours = of_sort == sort and isinstance(text, str) and isinstance(last_id, str) and is_id("exp", last_id)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):  # no base64, JSON, text, time
        is_ours = False
    if not is_ours or "\x00" in text:
        message = "expected the next_cursor of an earlier answer, unchanged, with the same sort"
        refuse_parameter("cursor", cursor, message)
    return Position(value, last_id)


def link_to(request: Request, cursor: str) -> str:
    """Return the header `Link` (RFC 8288) to the next page, relative, as a proxy may use another host."""
    query = request.url.include_query_params(cursor=cursor).query
    return f'<{request.url.path}?{query}>; rel="next"'
