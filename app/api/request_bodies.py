"""Bodies of requests: how large and how slow one may be, and how much of all is held in memory at once."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, ClassVar

from starlette.requests import ClientDisconnect, Request

from fittingroom.specs.faults import Fault, InvalidSpec
from models.disk_reserve import keep_reserve
from models.errors import RETRY_SOON_SECONDS, FittingRoomError

BODY_SECONDS = 30.0
"""Timeout between two chunks of a request body, and of a body without bytes, in seconds."""
MIN_BYTES_PER_SECOND = 32_768
"""Minimum transfer rate of a body after its first BODY_SECONDS, in bytes per second."""
_LOOK_BYTES = 4 * 1024**2
"""Bytes between two checks of the free disk space."""
MAX_GATHERED_BYTES = 64 * 1024**2
"""Memory limit for the bodies of all requests of a process together, in bytes."""
_PROJECT_SHARE = 0.75
"""Share of that limit that one project may take: its slow bodies leave room for others."""


class BodyTooLargeError(FittingRoomError):
    """A body is larger than what is taken."""

    status = 413

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"request body too large: at most {max_bytes:,} bytes; send it in parts")


class BodyTooSlowError(FittingRoomError):
    """A body takes too long to come."""

    status = 408

    def __init__(self) -> None:
        super().__init__(
            f"request body timeout: at most {BODY_SECONDS:g} s between chunks, and {BODY_SECONDS:g} s plus 1 s per "
            f"{MIN_BYTES_PER_SECOND:,} bytes in total"
        )


class EncodedBodyError(FittingRoomError):
    """A body is compressed."""

    status = 415
    headers: ClassVar[Mapping[str, str]] = {"Accept-Encoding": "identity"}

    def __init__(self) -> None:
        super().__init__("compressed request bodies are not supported; send this one without Content-Encoding")


class TooManyBodiesError(FittingRoomError):
    """The bodies that are being received fill the memory that is meant for them."""

    status = 503
    retry_after_seconds = RETRY_SOON_SECONDS

    def __init__(self) -> None:
        super().__init__("the service is receiving as much as it can hold; try again soon")


async def pieces_of(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """Receive a body piece by piece.

    Raises:
        EncodedBodyError: it is compressed.
        BodyTooLargeError: it announces, or has, more than `max_bytes`.
        BodyTooSlowError: it does not come in time.
        InvalidSpec: the client went away in the middle of it.
    """
    if request.headers.get("content-encoding", "").strip().lower() not in {"", "identity"}:
        raise EncodedBodyError
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise BodyTooLargeError(max_bytes)
    size, started = 0, time.monotonic()
    stream = aiter(request.stream())
    while True:
        left = started + BODY_SECONDS + size / MIN_BYTES_PER_SECOND - time.monotonic()
        try:
            async with asyncio.timeout(min(BODY_SECONDS, left)):
                piece = await anext(stream, None)
        except TimeoutError:
            raise BodyTooSlowError from None
        except ClientDisconnect:
            raise InvalidSpec([Fault(pointer="", detail="the body ended before it was complete")]) from None
        if piece is None:
            return
        size += len(piece)
        if size > max_bytes:
            raise BodyTooLargeError(max_bytes)
        yield piece


async def spool(request: Request, file: IO[bytes], max_bytes: int, folder: Path) -> None:
    """Receive a body into a file; raises what `pieces_of` does.

    Args:
        request: whose.
        file: where it goes.
        max_bytes: how large it may be.
        folder: where the file lies.

    Raises:
        DiskFullError: there is no room for it.
    """
    announced = request.headers.get("content-length", "0")
    keep_reserve(folder, min(int(announced), max_bytes) if announced.isdecimal() else 0)
    written = 0
    async for piece in pieces_of(request, max_bytes):
        if written // _LOOK_BYTES != (written + len(piece)) // _LOOK_BYTES:
            keep_reserve(folder)
        file.write(piece)
        written += len(piece)


class Bodies:
    """Holds the bodies of all requests of a process, within a limit for all and one for each project."""

    def __init__(self, max_bytes: int = MAX_GATHERED_BYTES) -> None:
        """Args: max_bytes: what they may take together."""
        self._max_bytes, self._held = max_bytes, 0
        self._held_by: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def gather(self, request: Request, max_bytes: int, project: str) -> AsyncIterator[bytes]:
        """Receive a body into memory, where it counts until the block ends.

        Args:
            request: whose body.
            max_bytes: maximum size.
            project: whose share of the memory it takes.

        Raises:
            TooManyBodiesError: there is no room for it beside the others.
            FittingRoomError: whatever `pieces_of` raises.
        """
        pieces: list[bytes] = []
        size = 0
        try:
            async for piece in pieces_of(request, max_bytes):
                size += len(piece)
                self._held += len(piece)
                self._held_by[project] += len(piece)
                if self._held > self._max_bytes or self._held_by[project] > _PROJECT_SHARE * self._max_bytes:
                    raise TooManyBodiesError
                pieces.append(piece)
            yield b"".join(pieces)
        finally:
            self._held -= size
            self._held_by[project] -= size
            if not self._held_by[project]:
                del self._held_by[project]
