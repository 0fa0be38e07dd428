"""Limits below HTTP's meaning: how many connections, how long a request's head, how slow a client."""

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.security_headers import SECURITY_HEADERS

MAX_CONNECTIONS = 2_000
MAX_HEAD_BYTES = 65_536
HEAD_SECONDS = 15.0
UNREAD_SECONDS = 60.0
"""Timeout, in seconds, of a client that does not read its answer."""
_DRAIN_SECONDS = 1.0
"""Time for which input is still read after a refusal: a connection closed at once loses the answer with it."""


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which refuses what is too much, too long or too slow."""

    _head_bytes = 0
    """Bytes that came since the request began; after its head, since the last piece of its body."""
    _is_in_head = True
    _is_refused = False
    _timer: asyncio.TimerHandle | None = None
    """Ends the wait for a head; or for the rest of a body that nobody reads, as its request is answered already."""
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer of the head when a client connects."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many are connected; try again soon")
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection: the client is gone."""
        self._stop_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless it is more than a head may be."""
        if self._is_refused:
            return
        self._head_bytes += len(data)
        super().data_received(data)
        # After the head these are a body's trailers, and what stands in a chunk's line beside its size.
        if self._head_bytes > MAX_HEAD_BYTES and not self._is_refused:
            self._refuse_long_head()
        elif self._is_waiting:  # empty lines begin no request, but they end the wait for one
            self._expect_head()

    @property
    def _is_waiting(self) -> bool:
        """True if the connection is idle and no timer would close it."""
        is_answered = self.cycle is None or self.cycle.response_complete
        has_timer = self._timer is not None or self.timeout_keep_alive_task is not None
        return is_answered and not self.pipeline and not has_timer and not self._is_refused

    def on_message_begin(self) -> None:
        """Take the begin of a request."""
        super().on_message_begin()
        self._unset_keepalive_if_required()  # what began with the end of another request's body, too
        self._head_bytes = 0
        self._is_in_head = True
        if self._timer is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Stop the timer of the head."""
        self._is_in_head = False
        self._stop_timer()
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES:
            self._refuse_long_head()
        if not self._is_refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of its body."""
        self._head_bytes = 0
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        if self._is_refused:
            return
        was_answered = self.cycle.response_complete
        super().on_message_complete()
        if was_answered:  # its rest has come in time, and the next request may
            self._stop_timer()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """Take the end of an answer, whether the body has come or not."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()
        if not self.pipeline and self.cycle.response_complete and self.cycle.more_body and self._timer is None:
            self._timer = self.loop.call_later(_DRAIN_SECONDS, self._close)

    def timeout_keep_alive_handler(self) -> None:
        """No further request has come."""
        self._close()

    def pause_writing(self) -> None:
        """Start the write timeout: the client reads more slowly than it is answered."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timer of an unread answer."""
        self._stop_write_timer()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer 400 to bytes that are not HTTP."""
        self._refuse(HTTPStatus.BAD_REQUEST, f"this is no HTTP that is understood here: {msg}")

    def _expect_head(self) -> None:
        detail = f"no whole request came within {HEAD_SECONDS:g} seconds"
        self._timer = self.loop.call_later(HEAD_SECONDS, self._refuse, HTTPStatus.REQUEST_TIMEOUT, detail)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _refuse_long_head(self) -> None:
        detail = f"the request's line and headers are longer than {MAX_HEAD_BYTES:,} bytes"
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with a problem document, and end the connection."""
        self._is_refused = True
        self._stop_timer()
        problem: dict[str, Any] = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
        body = json.dumps(problem | {"instance": "", "errors": []}).encode()
        headers = {
            "content-type": "application/problem+json",
            "content-length": str(len(body)),
            "connection": "close",
            **({"retry-after": "5"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}),
            **SECURITY_HEADERS,
        }
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        if not self.transport.is_closing():
            self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.loop.call_later(_DRAIN_SECONDS, self._close)

    def _close(self) -> None:
        """Close the connection when all is sent; a client that does not read does not keep it open."""
        self.transport.close()
        self.loop.call_later(UNREAD_SECONDS, self.transport.abort)
