"""Rate limits of API keys, counted by all API processes of a service together."""

import math
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

if TYPE_CHECKING:
    from redis.asyncio import BlockingConnectionPool

_FILE = "requests.db"
_RETRY_SECONDS = 1.0
"""Time for which a process counts alone, after what all count in could not be reached."""
_BUSY_SECONDS = 0.2
"""Timeout, in seconds, of another process that counts; it takes some microseconds."""
_REDIS_SECONDS = 1.0
_REDIS_CONNECTIONS = 20
_TABLE = "CREATE TABLE IF NOT EXISTS counts (key TEXT PRIMARY KEY, count INTEGER, expires_at REAL) WITHOUT ROWID"

_log = structlog.get_logger()


class RateLimits:
    """Sliding-window rate limits in Redis if that is the broker, otherwise in a file of this machine."""

    def __init__(self, broker_url: str, data_dir: Path) -> None:
        """Args: broker_url: of Celery's broker; data_dir: folder of the file, used when there is something to count."""
        self._pool: BlockingConnectionPool | None = None
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
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._alone_until = 0.0

    async def hit(self, key_id: str, per_minute: int) -> int | None:
        """Count a request of a key.

        Returns:
            None if it is within the limit, otherwise after how many seconds it is worth trying again.
        """
        if time.monotonic() >= self._alone_until:
            try:
                return await _hit(self._shared, key_id, per_minute)
            except Exception as error:  # noqa: BLE001 - whatever it is, a request is counted and answered
                cause = error.storage_error if isinstance(error, StorageError) else error
                _log.warning("requests_counted_alone", error=type(cause).__name__)
                self._alone_until = time.monotonic() + _RETRY_SECONDS
        return await _hit(self._alone, key_id, per_minute)

    async def close(self) -> None:
        """Close connections."""
        if self._pool is not None:
            await self._pool.aclose()
        if self._file is not None:
            self._file.close()


def _connection_pool(url: str) -> "BlockingConnectionPool":
    from redis.asyncio import BlockingConnectionPool  # noqa: PLC0415 - 0.05 s, where Redis is used alone

    return BlockingConnectionPool.from_url(
        url.replace("ssl_cert_reqs=CERT_REQUIRED", "ssl_cert_reqs=required"),  # as Celery spells it
        max_connections=_REDIS_CONNECTIONS,
        timeout=_REDIS_SECONDS,
        socket_timeout=_REDIS_SECONDS,
        socket_connect_timeout=_REDIS_SECONDS,
    )


async def _hit(limiter: SlidingWindowCounterRateLimiter, key_id: str, per_minute: int) -> int | None:
    limit = RateLimitItemPerMinute(per_minute)
    if await limiter.hit(limit, key_id):
        return None
    window = await limiter.get_window_stats(limit, key_id)
    return max(1, math.ceil(window.reset_time - time.time()))


class _FileStorage(MemoryStorage):
    """Counts of `limits` in a SQLite file in place of this process's memory.

    Nothing is synced: after a power failure, counting may begin anew.
    """

    STORAGE_SCHEME = None  # type: ignore[assignment]  # it has no URL
    base_exceptions = sqlite3.Error

    def __init__(self, file: Path) -> None:
        super().__init__(wrap_exceptions=True)
        self._path = file
        self._connection: sqlite3.Connection | None = None

    async def get(self, key: str) -> int:
        """Return a count; 0 if it has expired."""
        rows = self._execute("SELECT count FROM counts WHERE key = ? AND expires_at > ?", key, time.time())
        return rows[0][0] if rows else 0

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Increase a count and return it; `expiry` in seconds from now, where it is new."""
        now = time.time()
        [[count]] = self._execute(
            "INSERT INTO counts VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
            " RETURNING count",
            key, amount, now + expiry,
        )  # fmt: skip
        if count == amount:
            self._execute("DELETE FROM counts WHERE expires_at <= ?", now)
        return int(count)

    async def decr(self, key: str, amount: int = 1) -> int:
        """Decrease a count and return it."""
        rows = self._execute("UPDATE counts SET count = count - ? WHERE key = ? RETURNING count", amount, key)
        return rows[0][0] if rows else 0

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _execute(self, sql: str, *values: str | float) -> list[list[int]]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error:
            self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        self._path.touch(mode=0o600)
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(_TABLE)
        return connection
