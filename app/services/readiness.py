"""Readiness of the service."""

from celery import Celery

from fittingroom.views.resources import HealthView
from models.sql.database import Database
from models.sql.worker_registry import list_workers
from models.storage import Storage


def check_readiness(database: Database, storage: Storage, celery: Celery) -> HealthView:
    """Read and write the database, and look at the broker and the storage, which refuse no work.

    Raises:
        DatabaseUnavailableError: the database does not answer.
        DatabaseFullError: nothing can be written there.
        NotMigratedError, TooNewError: its tables are of another version.
    """
    database.refuse_other_version()
    database.try_write()
    with database.reading() as session:
        workers = len(list_workers(session))
    room, broker = "ok", "ok"
    try:
        storage.refuse_if_full()
    except OSError as error:
        room = error.strerror or "unreachable"
    try:
        with celery.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except Exception:  # noqa: BLE001 - every transport has exceptions of its own
        broker = "unreachable"
    return HealthView(status="ready", database="ok", broker=broker, storage=room, workers=workers)
