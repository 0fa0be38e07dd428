"""What HTTP lets client and server agree on: ETags, media types, cursors.

May import: fastapi. Knows no resource.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import NoReturn, TypeVar

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from app.errors import Responses
from app.presentation import history_csv
from app.schemas import TrialHistoryView
from models.identifiers import is_id

CSV = "text/csv"
AS_CSV: Responses = {200: {"content": {CSV: {}}}}
UNCHANGED: Responses = {304: {"description": "Nothing has changed since the version in `If-None-Match`."}}

V = TypeVar("V")


def etag_of(version: int, also: str | None = None) -> str:
    """The ETag of a resource at a version, and, where its answer depends on more than that, of that too."""
    return f'W/"{version}"' if also is None else f'W/"{version}-{binascii.crc32(also.encode()):08x}"'


def unless_known(request: Request, response: Response, etag: str, view: V) -> V | Response:
    """The view under its ETag, or 304 if the client has it already."""
    if is_known(request, etag):
        return not_modified(etag)
    response.headers["ETag"] = etag
    return view


def history_answer(
    request: Request, response: Response, etag: str, view: V, trials: Sequence[TrialHistoryView]
) -> V | Response:
    """Histories under their ETag, as JSON or as CSV, or 304 if the client has them already."""
    if wants_csv(request) and not is_known(request, etag):
        return Response(history_csv(trials), media_type=CSV, headers={"ETag": etag, "Vary": "Accept"})
    response.headers["Vary"] = "Accept"
    return unless_known(request, response, etag, view)


def is_known(request: Request, etag: str) -> bool:
    """Whether the client says that it has this version already."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or etag.removeprefix("W/") in [
        tag.strip().removeprefix("W/") for tag in known.split(",")
    ]


def not_modified(etag: str) -> Response:
    """304: the client has it already."""
    return Response(status_code=304, headers={"ETag": etag})


def wants_csv(request: Request) -> bool:
    """Whether the client asks for CSV and not, or later, for JSON."""
    kinds = [kind.split(";")[0].strip() for kind in request.headers.get("accept", "").split(",")]
    return CSV in kinds and ("application/json" not in kinds or kinds.index(CSV) < kinds.index("application/json"))


def to_cursor(last_id: str) -> str:
    """A cursor that a client need not understand."""
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def from_cursor(cursor: str) -> str:
    """The id behind a cursor.

    Raises:
        RequestValidationError: it is none of ours.
    """
    try:
        last_id = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:
        last_id = ""
    if not is_id("exp", last_id):
        refuse_parameter("cursor", cursor, "expected the next_cursor of an earlier answer, unchanged")
    return last_id


def refuse_parameter(name: str, found: str, message: str) -> NoReturn:
    """Refuse a query parameter for what only the service can know."""
    raise RequestValidationError([{"type": "refused", "loc": ("query", name), "msg": message, "input": found}])
