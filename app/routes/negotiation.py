"""What HTTP lets client and server agree on: ETags, media types, cursors.

May import: fastapi. Knows no resource.
"""

import base64
import binascii
from typing import NoReturn

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError

from models.identifiers import is_id

CSV = "text/csv"


def etag_of(version: int, also: str | None = None) -> str:
    """The ETag of a resource at a version, and, where its answer depends on more than that, of that too."""
    return f'W/"{version}"' if also is None else f'W/"{version}-{binascii.crc32(also.encode()):08x}"'


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
