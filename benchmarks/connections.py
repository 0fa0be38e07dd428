"""Many HTTP connections from one process, at little cost: what is measured is the server.

Requests are written beforehand; of an answer only its status and its length are read, so that client and server can
share two cores.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        """Args: port: of this machine."""
        self._port = port

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)

    async def ask(self, message: bytes) -> tuple[int, bytes]:
        """Send a request; gives the answer's status and body."""
        self._writer.write(message)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        length = int(lowered[at + 15 : lowered.index(b"\r\n", at)]) if at >= 0 else 0
        body = await self._reader.readexactly(length) if length else b""
        return int(head[9:12]), body

    async def read_until(self, mark: bytes) -> bytes:
        """Read on until something was sent; gives all that came before it, and it."""
        return await self._reader.readuntil(mark)

    def send(self, message: bytes) -> None:
        """Send a request, and read no answer."""
        self._writer.write(message)

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()


@dataclass(frozen=True)
class Load:
    """Result of a load."""

    per_second: float
    p50_ms: float
    p99_ms: float


async def load(port: int, messages: Iterator[bytes], *, connections: int, count: int, expected: int) -> Load:
    """Send so many requests over so many connections, each as soon as the one before it is answered."""
    opened = [Connection(port) for _ in range(connections)]
    await asyncio.gather(*(connection.open() for connection in opened))
    seconds: list[float] = []

    async def ask(connection: Connection, number: int) -> None:
        for _ in range(number):
            message = next(messages)
            started = time.perf_counter()
            status, body = await connection.ask(message)
            seconds.append(time.perf_counter() - started)
            if status != expected:
                raise RuntimeError(f"{status}: {body[:300]!r}")

    started = time.perf_counter()
    await asyncio.gather(*(ask(connection, count // connections) for connection in opened))
    total = time.perf_counter() - started
    for connection in opened:
        connection.close()
    seconds.sort()
    return Load(len(seconds) / total, 1e3 * seconds[len(seconds) // 2], 1e3 * seconds[int(len(seconds) * 0.99)])


async def gathered(makers: list[Callable[[], Awaitable[float]]]) -> list[float]:
    """All of them at once."""
    return list(await asyncio.gather(*(make() for make in makers)))
