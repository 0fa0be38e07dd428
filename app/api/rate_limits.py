"""Rate limits of API keys, counted by all API processes of a service together."""

import asyncio
import math
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

if TYPE_CHECKING:
    from redis.asyncio import ConnectionPool

_FILE = "requests.db"
_RETRY_SECONDS = 1.0
"""Interval, in seconds, at which a process that counts alone tries to count with the others again."""
_BUSY_SECONDS, _BUSY_PAUSE_SECONDS = 0.2, 0.005
_REDIS_SECONDS = 0.5
_REDIS_CONNECTIONS = 20
_REDIS_OPTIONS = {
    "host",
    "port",
    "db",
    "username",
    "password",
    "ssl_cert_reqs",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
}
"""Options of a broker's URL that are Redis's own: the others are Celery's."""
_TABLE = "CREATE TABLE IF NOT EXISTS counts (key TEXT PRIMARY KEY, count INTEGER, expires_at REAL) WITHOUT ROWID"

_log = structlog.get_logger()


class RateLimits:
    """Sliding-window rate limits in Redis if that is the broker, otherwise in a file of this machine."""

    def __init__(self, broker_url: str, data_dir: Path) -> None:
        """Args: broker_url: of Celery's broker; data_dir: folder of the file, used when there is something to count."""
        self._pool: ConnectionPool | None = None
        self._file: _FileStorage | None = None
        shared: Storage
        if urlsplit(broker_url).scheme in {"redis", "rediss"}:
            self._pool = _connection_pool(broker_url)
            shared = RedisStorage(
                f"async+{broker_url}",
                wrap_exceptions=True,
                implementation="redispy",
                key_prefix="fittingroom-requests",
                connection_pool=self._pool,  # type: ignore[arg-type]  # as it is documented
            )
        else:
            shared = self._file = _FileStorage(data_dir / _FILE)
        self._shared = SlidingWindowCounterRateLimiter(shared)
        self._turns = asyncio.Semaphore(_REDIS_CONNECTIONS)
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._is_alone, self._next_try = False, 0.0

    async def hit(self, key_id: str, per_minute: int) -> int | None:
        """Count a request of a key.

        Returns:
            None if it is within the limit, otherwise after how many seconds it is worth trying again.
        """
        async with self._turns:
            if self._may_share():
                try:
                    seconds = await _hit(self._shared, key_id, per_minute)
                except Exception as error:  # noqa: BLE001 - whatever it is, a request is counted and answered
                    self._go_alone(error.storage_error if isinstance(error, StorageError) else error)
                else:
                    if self._is_alone:
                        _log.info("requests_counted_together_again")
                    self._is_alone = False
                    return seconds
        return await _hit(self._alone, key_id, per_minute)

    async def close(self) -> None:
        """Close connections."""
        if self._pool is not None:
            await self._pool.aclose()
        if self._file is not None:
            self._file.close()

    def _may_share(self) -> bool:
        """Return True if requests are counted with the others; after a failure, for one request at a time."""
        now = time.monotonic()
        if self._is_alone and now < self._next_try:
            return False
        self._next_try = now + _RETRY_SECONDS
        return True

    def _go_alone(self, cause: Exception) -> None:
        if not self._is_alone:
            place = "redis" if self._file is None else str(self._file.path)
            _log.warning("requests_counted_alone", place=place, error=f"{type(cause).__name__}: {cause}"[:200])
        self._is_alone = True


def _connection_pool(url: str) -> "ConnectionPool":
    from redis.asyncio import ConnectionPool, SSLConnection  # noqa: PLC0415 - 0.05 s, where Redis is used alone
    from redis.asyncio.connection import parse_url  # noqa: PLC0415

    options: dict[str, Any] = {name: value for name, value in parse_url(url).items() if name in _REDIS_OPTIONS}
    if urlsplit(url).scheme == "rediss":
        options["connection_class"] = SSLConnection
        if "ssl_cert_reqs" in options:  # as Celery spells it
            options["ssl_cert_reqs"] = str(options["ssl_cert_reqs"]).removeprefix("CERT_").lower()
    else:
        options = {name: value for name, value in options.items() if not name.startswith("ssl_")}
    return ConnectionPool(
        max_connections=_REDIS_CONNECTIONS,
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
        **options,
    )


async def _hit(limiter: SlidingWindowCounterRateLimiter, key_id: str, per_minute: int) -> int | None:
    limit = RateLimitItemPerMinute(per_minute)
    if await limiter.hit(limit, key_id):
        return None
    window = await limiter.get_window_stats(limit, key_id)
    return max(1, math.ceil(window.reset_time - time.time()))


class _FileStorage(MemoryStorage):
    """Counts of `limits` in a SQLite file in place of this process's memory.

    Nothing is synced, and a damaged file is replaced: counting then begins anew.
    """

    STORAGE_SCHEME = None  # type: ignore[assignment]  # it has no URL
    base_exceptions = (sqlite3.Error, OSError)

    def __init__(self, path: Path) -> None:
        super().__init__(wrap_exceptions=True)
        self.path = path
        self._connection: sqlite3.Connection | None = None

    async def get(self, key: str) -> int:
        """Return a count; 0 if it has expired."""
        rows = await self._execute("SELECT count FROM counts WHERE key = ? AND expires_at > ?", key, time.time())
        return rows[0][0] if rows else 0

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Increase a count and return it; `expiry` in seconds from now, where it is new."""
        now = time.time()
        [[count]] = await self._execute(
            "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
            " RETURNING count",
            key, amount, now + expiry,
        )  # fmt: skip
        if count == amount:
            await self._execute("DELETE FROM counts WHERE expires_at <= ?", now)
        return int(count)

    async def decr(self, key: str, amount: int = 1) -> int:
        """Decrease a count and return it."""
        rows = await self._execute("UPDATE counts SET count = count - ? WHERE key = ? RETURNING count", amount, key)
        return rows[0][0] if rows else 0

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _remove(self) -> None:
        self.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    async def _execute(self, sql: str, *values: str | float) -> list[list[int]]:
        """Return a statement's rows; a process that counts at the same time is waited for, off the event loop."""
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    self.close()
                    raise
            except sqlite3.DatabaseError:  # damaged, or none of SQLite's
                self._remove()
                raise
            await asyncio.sleep(_BUSY_PAUSE_SECONDS)

    def _connect(self) -> sqlite3.Connection:
        self.path.touch(mode=0o600)
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute(_TABLE)
        except sqlite3.Error:
            connection.close()
            raise
        return connection
