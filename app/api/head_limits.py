"""Limits below HTTP's meaning: how long a request's head may be, and how long it may take."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
HEAD_SECONDS = 15.0
_DRAIN_SECONDS = 1.0
"""What a client still sends is read for so long: a connection that is cut at once takes the answer with it."""


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which refuses heads that are too long or too slow."""

    _head_bytes = 0
    _is_in_head = True
    _is_refused = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected, and has so long to say what it wants."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless it is more than a head may be."""
        if self._is_refused:
            return
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, f"the request's line and headers are longer than {MAX_HEAD_BYTES:,} bytes")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_bytes = 0
        self._is_in_head = True
        if self._timer is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._is_in_head = False
        self._stop_timer()
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            self._refuse(431, f"the request's line and headers are longer than {MAX_HEAD_BYTES:,} bytes")
        if not self._is_refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        if not self._is_refused:
            super().on_message_complete()

    def _expect_head(self) -> None:
        detail = f"no whole request came within {HEAD_SECONDS:g} seconds"
        self._timer = self.loop.call_later(HEAD_SECONDS, self._refuse, 408, detail)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: int, detail: str) -> None:
        """Answer with a problem document, and end the connection."""
        self._is_refused = True
        self._stop_timer()
        title = {408: "Request Timeout", 431: "Request Header Fields Too Large"}[status]
        problem: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        body = json.dumps(problem | {"instance": "", "errors": []}).encode()
        head = f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\n"
        head += f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        if not self.transport.is_closing():
            self.transport.write(head.encode() + body)
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.loop.call_later(_DRAIN_SECONDS, self.transport.close)
