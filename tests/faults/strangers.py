"""Strangers: requests that nobody should send, and what each must be answered with."""

import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

GIANT = b'{"name": "' + b"x" * (2 * 1024**2) + b'"}'
TWICE = b"{" + b",".join(b'"%d": 0' % number for number in range(20_000)) + b', "0": 1}'
NESTED = b"[" * 100_000
_UNAVAILABLE = {408, 429, 503, 507}
"""Statuses that any request may get while the service is being hurt."""


@dataclass
class Strangers:
    """Sends one after the other what should not be sent, until it is over."""

    url: str
    key: str
    """A key that is valid: of one who knows it and still sends nonsense."""
    is_over: threading.Event
    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Send."""
        chance = random.Random(5)  # noqa: S311 - the same nonsense each time
        known = {"Authorization": f"Bearer {self.key}"}
        asks: list[Callable[[], None]] = [
            lambda: self._ask({421}, "GET", "/v1/experiments", {"Host": "evil.example"} | known),
            lambda: self._ask({421}, "POST", "/v1/experiments", {"Host": "evil.example"} | known, b"{}"),
            lambda: self._ask({401}, "GET", "/v1/experiments"),
            lambda: self._ask({401}, "POST", "/v1/experiments", {}, GIANT),
            lambda: self._ask({401}, "GET", "/v1/usage", {"Authorization": "Bearer " + "x" * 4_000}),
            lambda: self._ask({403}, "POST", "/v1/experiments", {"Origin": "http://evil.example"} | known, b"{}"),
            lambda: self._ask({413}, "POST", "/v1/experiments", known, GIANT),
            lambda: self._ask({422}, "POST", "/v1/experiments", known, TWICE),
            lambda: self._ask({422}, "POST", "/v1/experiments/plan", known, NESTED),
            lambda: self._ask({422}, "GET", "/v1/experiments?cursor=%ff", known),
            lambda: self._ask({404}, "GET", f"/v1/experiments/exp_{'0' * 32}/history", known),
            lambda: self._ask({404}, "GET", "/v1/../../etc/passwd", known),
            self._break_off,
        ]
        while not self.is_over.wait(chance.uniform(0, 0.5)):
            chance.choice(asks)()

    def _ask(
        self, expected: set[int], method: str, path: str, headers: Mapping[str, str] = {}, body: bytes = b""
    ) -> None:
        sent = {"Content-Type": "application/json", **headers} if body else dict(headers)
        try:
            answer = httpx.request(method, f"{self.url}{path}", headers=sent, content=body, timeout=60)
        except httpx.TransportError:  # the API is killed now and then, and need not read a body that it refuses
            self.answers[0] += 1
            return
        self.answers[answer.status_code] += 1
        if answer.status_code not in expected | _UNAVAILABLE:
            self.wrong.append(f"{method} {path} with {len(body)} bytes: {answer.status_code} {answer.text[:200]}")

    def _break_off(self) -> None:
        """Announce a body, send half of it, and cut the connection."""
        port = httpx.URL(self.url).port
        head = (
            f"POST /v1/experiments HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {self.key}\r\n"
            "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        )
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port or 0), 10) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no goodbye
            connection.sendall(head.encode() + b"{" * 500)
