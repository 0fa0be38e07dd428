"""Messages that are none of ours: they are dropped, with a line in the log, and the worker goes on."""

from typing import Any

import structlog
from kombu.transport import virtual

from models.messaging.broker import TRAIN
from models.messaging.queues import DEVICES, parts_of

_log = structlog.get_logger()


def drop(queue: str, error: Exception) -> None:
    """Say that something in a queue was no message of ours."""
    _log.warning("message_dropped", queue=queue, error=f"{type(error).__name__}: {error}"[:200])


class ForgivingTransport(virtual.Transport):
    """A transport to which a message that cannot be taken apart is no fault of its own.

    Kombu and Celery take it apart within the loop that waits for messages: what they do not expect would end the
    worker, and after it the next one.
    """

    def _deliver(self, message: Any, queue: str | None) -> None:  # noqa: ANN401 - whatever lay there
        try:
            for channel in (self.channels or [])[:1]:
                _refuse_other(channel.Message(message, channel=channel), str(queue))
        except Exception as error:  # noqa: BLE001 - it may lack anything
            drop(str(queue), error)
        else:
            super()._deliver(message, queue)


def _refuse_other(message: Any, queue: str) -> None:  # noqa: ANN401 - kombu's own
    """Refuse what is not the one kind of message that these queues are for."""
    if parts_of(queue)[0] not in DEVICES:
        return  # Celery's own
    task, identifier = message.headers.get("task"), message.headers.get("id")
    if task != TRAIN or not isinstance(identifier, str) or message.content_type != "application/json":
        raise ValueError(f"it is for another task, or of another kind: {task!r}, {message.content_type!r}")
    match message.decode():
        case [list(), dict(), dict() | None]:
            return
        case _:
            raise ValueError("it has no arguments")
