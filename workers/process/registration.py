"""Registration of a worker: its row in SQL, and a lock file on its machine."""

import os
import socket
from typing import Any

import structlog

from models.identifiers import new_id
from models.settings import Settings
from models.sql import transitions, worker_registry
from models.sql.database import Database
from models.supervision import take_predecessor, this_instance
from workers.process.presence import PresenceFile, dead_workers, presence_folder

_log = structlog.get_logger()


class Registration:
    """This worker's registration.

    Attributes:
        worker_id: its fresh id.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        """Lock the file; nothing is written to SQL yet."""
        self.worker_id = new_id("wrk")
        self._database = database
        self._presence = PresenceFile(presence_folder(settings.data_dir), self.worker_id)

    def register(self, queues: list[str], devices: list[str], versions: dict[str, Any]) -> None:
        """Write that this worker is alive."""
        with self._database.writing() as session:
            worker_registry.add_worker(
                session, self.worker_id, host=socket.gethostname(), process_id=os.getpid(), instance=this_instance(),
                queues=queues, devices=devices, versions=versions,
            )  # fmt: skip

    def sign_off(self) -> None:
        """Write that this worker has stopped, and leave no lock file."""
        with self._database.writing() as session:
            worker_registry.mark_stopped(session, self.worker_id)
        self._presence.remove()


def take_over_from_dead_workers(settings: Settings, database: Database) -> None:
    """Put back what workers held that died here, so that no lease need expire first.

    The supervisor says with which exit code the predecessor ended; a lock file says only that a worker is gone.
    """
    predecessor = take_predecessor()
    with dead_workers(presence_folder(settings.data_dir)) as ids:
        if predecessor is None and not ids:
            return
        with database.writing() as session:
            dead = dict.fromkeys(ids, "died, and no exit code is known")
            if predecessor is not None:
                of_predecessor = worker_registry.list_of_instance(session, predecessor.instance)
                dead |= dict.fromkeys(of_predecessor, predecessor.how)
            for worker_id, how in dead.items():
                if worker_registry.mark_stopped(session, worker_id):
                    cohorts = transitions.mark_worker_lost(session, worker_id, settings.max_faults, how)
                    _log.warning("worker_died", worker=worker_id, how=how, cohorts=cohorts)
