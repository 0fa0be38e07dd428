"""The worker process: `python -m workers`. One process trains one cohort at a time, on one device.

Celery runs it with the solo pool, so that what Keras computes with is never forked.
"""

import argparse
import contextlib
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import structlog
from celery import Celery, signals
from celery.exceptions import SecurityWarning, WorkerShutdown

from models.errors import BrokerUnavailableError, FittingRoomError, UsageFault
from models.logs import configure_logs
from models.maintenance.reaper import Reaper
from models.messaging.broker import create_celery, publish
from models.messaging.queues import DEVICES, queues_of
from models.messaging.waiting import WaitingCohort
from models.settings import Settings, read_settings
from models.sql import worker_registry
from models.sql.database import Database, Session
from models.supervision import end_with_parent
from workers.engines.executables import ExecutableFolder, compilers_folder
from workers.process.lazy_imports import only_what_is_needed
from workers.process.registration import Registration, take_over_from_dead_workers

_log = structlog.get_logger()


def main() -> None:
    """Parse the flags and work until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("--queues", help="comma-separated: cpu, gpu; by default what this machine has")
    parser.add_argument("--gpu", type=int, help="number of the GPU to use; by default the first; -1 for none")
    flags = parser.parse_args()
    settings = read_settings()
    settings.make_folders()
    configure_logs(settings)
    end_with_parent()
    if find_spec(settings.backend) is None or find_spec("keras") is None:
        extra = {"tensorflow": "worker", "jax": "worker-jax"}[settings.backend]
        sys.exit(f"a worker needs Keras and {settings.backend}, which are not installed: pip install -e '.[{extra}]'")
    settings.prepare_libraries()
    with compilers_folder() as executables:
        begins_anew = run_worker(settings, flags.queues.split(",") if flags.queues else None, flags.gpu, executables)
    if begins_anew:
        from workers.process.watchdog import re_exec  # noqa: PLC0415 - loads the backend, unless it is loaded

        re_exec()


def run_worker(
    settings: Settings, asked_queues: list[str] | None, gpu: int | None, executables: ExecutableFolder | None
) -> bool:
    """Register this worker, listen to its queues, and sign off at the end; return True if it should begin anew."""
    database = Database(settings.database_location)
    # Now, as the backend takes seconds to load. What is wrong with the database is said below, after faulty flags.
    with contextlib.suppress(FittingRoomError):
        database.refuse_other_version()
        take_over_from_dead_workers(settings, database)
    # These load the backend: only here, in the process that trains.
    with only_what_is_needed(settings.backend):
        from workers.devices import library_versions  # noqa: PLC0415
        from workers.process.heartbeat import Heartbeat  # noqa: PLC0415
        from workers.process.watchdog import Watchdog  # noqa: PLC0415
        from workers.runner import Runner  # noqa: PLC0415
        from workers.tasks import register_tasks  # noqa: PLC0415

    devices = _devices(asked_queues, gpu)
    queues = queues_of(_served(asked_queues, devices), settings.backend)
    try:
        database.refuse_other_version()
    except FittingRoomError as error:
        sys.exit(str(error))
    celery = create_celery(settings)
    registration = Registration(settings, database)
    worker_id = registration.worker_id
    runner = Runner(settings, database, worker_id, devices, executables)
    register_tasks(celery, runner, queues)
    runner.announce = _announcer(celery, database)

    def idle_queues(_: Session) -> list[str]:
        return [] if runner.claim is not None or runner.releasing.is_set() else queues

    threads = (
        Heartbeat(settings, database, worker_id, runner),
        Reaper(settings, database, celery, idle_queues),
        Watchdog(settings, database, runner, registration.sign_off),
    )

    def on_ready(**_: object) -> None:
        try:
            registration.register(queues, devices, library_versions())
        except Exception as error:
            # Celery logs what a signal's receiver raises and goes on: a worker that no one knows, and no heartbeat.
            _log.exception("worker_not_registered", worker=worker_id)
            raise WorkerShutdown(1) from error
        for thread in threads:
            thread.start()
        _log.info("worker_ready", worker=worker_id, queues=queues, devices=devices)

    def leave_logs_alone(**_: object) -> None:
        """Celery configures no logs where somebody listens to this signal."""

    signals.setup_logging.connect(leave_logs_alone, weak=False)
    signals.worker_ready.connect(on_ready, weak=False)
    try:
        _listen(celery, worker_id, queues)
    finally:
        for thread in threads:
            thread.end()
        try:
            registration.sign_off()
        except FittingRoomError as error:  # the database went first; its lease runs out, if it had one
            _log.warning("sign_off_failed", worker=worker_id, error=str(error))
        database.close()
    begins_anew = runner.needs_restart and not runner.releasing.is_set()
    if begins_anew:
        _log.info("worker_begins_anew", worker=worker_id)
    return begins_anew


def _announcer(celery: Celery, database: Database) -> Callable[[Sequence[WaitingCohort]], None]:
    """Return a function that notifies the other workers of cohorts."""

    def announce(cohorts: Sequence[WaitingCohort]) -> None:
        with contextlib.suppress(BrokerUnavailableError), database.reading() as session:  # the reaper sends it later
            publish(celery, cohorts, worker_registry.count_listeners(session))

    return announce


def _devices(asked_queues: list[str] | None, gpu: int | None) -> list[str]:
    """Choose the devices; a worker of the CPU's queue gets a CPU."""
    from workers.devices import configure_devices  # noqa: PLC0415 - loads the backend

    try:
        return configure_devices(-1 if asked_queues is not None and "gpu" not in asked_queues else gpu)
    except UsageFault as fault:
        sys.exit(str(fault))


def _served(asked: list[str] | None, devices: list[str]) -> list[str]:
    """Return the devices to serve; work for any device is everybody's."""
    if asked is None:
        asked = ["gpu" if devices[0].startswith("gpu") else "cpu"]
    unknown = sorted(set(asked) - set(DEVICES))
    if unknown:
        sys.exit(f"unknown queues: {', '.join(unknown)}; expected some of: {', '.join(DEVICES)}")
    return sorted({"any", *asked})


def _listen(celery: Celery, worker_id: str, queues: list[str]) -> None:
    """Celery's own loop; returns when a signal has ended it."""
    # Celery warns of root because of pickle; no pickle is accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker = celery.Worker(
        hostname=f"{worker_id}@{socket.gethostname()}", pool="solo", concurrency=1, queues=queues, quiet=True,
        without_gossip=True, without_mingle=True, without_heartbeat=True, loglevel="WARNING",
    )  # fmt: skip
    worker.start()
    if worker.exitcode:
        sys.exit(worker.exitcode)


if __name__ == "__main__":
    main()
