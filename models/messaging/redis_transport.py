"""Celery's Redis transport with one fix: malformed messages are dropped."""

from queue import Empty
from typing import Any

from kombu.transport import redis

from models.messaging.delivery import ForgivingTransport, drop


class RedisChannel(redis.Channel):
    """A channel that drops what is no JSON."""

    def _brpop_read(self, **options: Any) -> Any:  # noqa: ANN401 - kombu's own
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # its stubs do not know it
        except ValueError as error:  # what was read is out of the queue already
            drop("any of the queues", error)
            raise Empty from None


class RedisTransport(ForgivingTransport, redis.Transport):
    """The transport under which `redis://` is found once `models.messaging.broker` is imported."""

    Channel = RedisChannel
