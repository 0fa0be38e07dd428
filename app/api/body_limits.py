"""How large and how slow a body may be. What is larger is answered 413 before it is in memory."""

import asyncio
from typing import IO

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_response
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.limits import MAX_BODY_BYTES

MAX_PREDICT_BYTES = 8 * 1024**2
BODY_SECONDS = 30.0
"""How long a client may be silent in the middle of a body."""
STREAMED = {"/v1/experiments/batch", "/v1/datasets"}
"""Bodies that are not gathered here but read piece by piece by their routes, up to sizes of their own."""


def too_large(path: str, max_bytes: int) -> Response:
    """413; the connection ends with it, as the rest of the body is not read."""
    detail = f"the body is larger than {max_bytes:,} bytes, the most that is taken here; send it in parts"
    return problem_response(path, 413, detail, headers={"Connection": "close"})


def too_slow(path: str) -> Response:
    """408; the connection ends with it."""
    detail = f"nothing more of the body came within {BODY_SECONDS:g} seconds"
    return problem_response(path, 408, detail, headers={"Connection": "close"})


async def spooled(request: Request, file: IO[bytes], max_bytes: int) -> Response | None:
    """Read a body into a file.

    Returns:
        None; or, if it is too large or too slow, what to answer.

    Raises:
        InvalidSpec: the client went away in the middle of it.
    """
    size = 0
    pieces = aiter(request.stream())
    try:
        while True:
            async with asyncio.timeout(BODY_SECONDS):
                piece = await anext(pieces, None)
            if piece is None:
                return None
            size += len(piece)
            if size > max_bytes:
                return too_large(request.url.path, max_bytes)
            file.write(piece)
    except TimeoutError:
        return too_slow(request.url.path)
    except ClientDisconnect:
        raise InvalidSpec([Fault(pointer="", detail="the body ended before it was complete")]) from None


class BodyLimit:
    """ASGI middleware that refuses bodies over a size, whether they announce it or not."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        """Args: app: what answers; max_bytes: the limit."""
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then let the application have it."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        encoding = dict(scope["headers"]).get(b"content-encoding", b"identity")
        if encoding.strip().lower() not in {b"identity", b""}:
            detail = "bodies are taken as they are, not compressed; send this one without Content-Encoding"
            await problem_response(scope["path"], 415, detail, headers={"Accept-Encoding": "identity"})(
                scope, receive, send
            )
            return
        if scope["path"] in STREAMED:
            await self._app(scope, receive, send)
            return
        max_bytes = MAX_PREDICT_BYTES if scope["path"].endswith("/predict") else self._max_bytes
        messages: list[Message] = []
        size, more = 0, True
        while more:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    message = await receive()
            except TimeoutError:
                await too_slow(scope["path"])(scope, receive, send)
                return
            messages.append(message)
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
            if size > max_bytes:
                await too_large(scope["path"], max_bytes)(scope, receive, send)
                return
        waiting = iter(messages)

        async def replay() -> Message:
            return next(waiting, None) or await receive()

        await self._app(scope, replay, send)
