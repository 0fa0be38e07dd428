"""Celery's filesystem transport with two fixes: messages appear atomically, and malformed ones are dropped.

Kombu 5.7 opens the file under its final name and then writes it, so a reader that looks in between takes an empty
message and dies of it. Here the file is written under another name and renamed.
"""

import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps

from models.messaging.delivery import ForgivingTransport, drop


class FolderChannel(filesystem.Channel):
    """A channel whose messages appear whole, and which drops what is none."""

    def _get(self, queue: str, *rest: Any) -> Any:  # noqa: ANN401 - kombu's own
        while True:
            try:
                return super()._get(queue, *rest)
            except ValueError as error:  # the file is out of the folder already
                drop(queue, error)

    def _put(self, queue: str, payload: dict[str, Any], **_: object) -> None:  # type: ignore[override]  # kombu's own
        folder = Path(self.data_folder_out)
        unique = uuid.uuid4()
        unfinished = folder / f".{unique}.unfinished"
        try:
            unfinished.write_bytes(str_to_bytes(dumps(payload)))
            # The wall clock orders messages across restarts of the machine; the transport's own monotonic one does not.
            unfinished.replace(folder / f"{time.time_ns():020d}_{unique}.{queue}.msg")
        except OSError:
            unfinished.unlink(missing_ok=True)  # a full disk is to stay as full as it was
            raise


class FolderTransport(ForgivingTransport, filesystem.Transport):
    """The transport under which `filesystem://` is found once `models.messaging.broker` is imported."""

    Channel = FolderChannel
