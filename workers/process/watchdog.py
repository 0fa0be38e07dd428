"""Watchdog thread: timeouts of epochs, time limits, and grace periods of signals and client requests.

While an epoch is being computed Python runs none of its own signal handlers in the main thread; so this thread
listens to the signals' wake-up pipe.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Never

import structlog

from models.errors import FittingRoomError
from models.settings import Settings
from models.sql import transitions
from models.sql.client_requests import StopRequest, find_stop_request
from models.sql.database import Database
from models.sql.leases import Claim
from workers.reporting.reporter import ARTIFACT_PATIENCE_SECONDS
from workers.runner import Runner

INTERVAL_SECONDS = 0.2
REQUEST_SECONDS = 2.0
"""Interval between two look-ups of client requests, in seconds."""
OVERTIME_SECONDS = 30.0
"""Tolerance, in seconds, by which an epoch may exceed the time limit; the trial fails after it."""

_log = structlog.get_logger()


class Watchdog(threading.Thread):
    """Looks five times a second."""

    def __init__(self, settings: Settings, database: Database, runner: Runner, sign_off: Callable[[], None]) -> None:
        """Begin to listen to signals; to be called in the main thread.

        Args:
            settings: the grace.
            database: where a cohort is given back.
            runner: what is watched.
            sign_off: called before the process ends.
        """
        super().__init__(name="watchdog", daemon=True)
        self._settings, self._database, self._runner, self._sign_off = settings, database, runner, sign_off
        self._ending = threading.Event()
        self._asked_at: float | None = None
        self._looked_at = 0.0
        self._requested: tuple[Claim, StopRequest, float] | None = None
        """The request that was found, of which claim, and when."""
        self._signals, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)

    def run(self) -> None:
        """Watch until `end` is called."""
        while not self._ending.is_set():
            readable, _, _ = select.select([self._signals], [], [], INTERVAL_SECONDS)
            if readable and {signal.SIGTERM, signal.SIGINT} & set(os.read(self._signals, 64)):
                self._runner.releasing.set()
                self._asked_at = self._asked_at or time.monotonic()
            try:
                self._watch_grace()
                self._watch_time_limit()
                self._watch_timeout()
                self._watch_requests()
            except FittingRoomError as error:
                _log.warning("watchdog_missed", error=type(error).__name__)

    def end(self) -> None:
        """Stop watching."""
        self._ending.set()

    def _watch_grace(self) -> None:
        """Give back what did not come to an epoch's end in time; its last checkpoint stands."""
        if self._asked_at is None or time.monotonic() - self._asked_at < self._settings.grace_seconds:
            return
        claim = self._runner.claim
        try:
            if claim is not None:
                self._runner.release(claim)
                _log.warning("cohort_released_within_an_epoch", cohort=claim.cohort_id)
            self._sign_off()
        finally:  # without a database, too: the lease expires
            os._exit(0)

    def _watch_time_limit(self) -> None:
        """Fail trials of which no epoch ends: nothing else can be done to a call that does not return."""
        claim, reporter = self._runner.claim, self._runner.reporter
        if claim is None or reporter is None or reporter.time_limit is None or reporter.is_saving:
            return
        if reporter.silent_seconds < reporter.time_limit + OVERTIME_SECONDS:
            return
        message = (
            f"an epoch had not ended {reporter.silent_seconds:.0f} seconds after it began; "
            f"fit.time_limit_seconds allows {reporter.time_limit:g} for all of them"
        )
        self._fail(claim, message)

    def _watch_timeout(self) -> None:
        """Give up what makes no progress: a first epoch, which may compile for ever, or a worker that hangs."""
        claim, reporter, timeout = self._runner.claim, self._runner.reporter, self._settings.epoch_timeout_seconds
        seconds = self._runner.silent_seconds
        if claim is None or seconds < timeout:
            return
        if reporter is None:
            self._give_back(claim, f"its data was not loaded after {seconds:.0f} seconds")
        elif reporter.is_saving:
            if seconds >= timeout + ARTIFACT_PATIENCE_SECONDS:
                self._give_back(claim, f"nothing was saved after {seconds:.0f} seconds")
        elif reporter.has_begun:
            self._give_back(claim, f"an epoch had not ended after {seconds:.0f} seconds")
        else:
            message = (
                f"no epoch had ended {seconds:.0f} seconds after training began, compiling included, and "
                f"FITTINGROOM_EPOCH_TIMEOUT_SECONDS allows {timeout:g}; use fewer layers, fewer rows, or raise it"
            )
            self._fail(claim, message)

    def _give_back(self, claim: Claim, detail: str) -> None:
        """Count a fault of this worker, which another one, or this one begun anew, may not have."""
        with self._database.writing() as session:
            was_held = transitions.record_worker_fault(
                session, claim, self._settings.max_faults, f"attempt {claim.attempt}: {detail}"
            )
        if was_held:
            _log.warning("worker_hangs", cohort=claim.cohort_id, detail=detail)
            self._leave()

    def _fail(self, claim: Claim, message: str) -> None:
        with self._database.writing() as session:
            has_failed = transitions.mark_failed(session, claim, {"kind": "usage", "message": message})
        if has_failed:  # or else it has ended meanwhile, and the worker may have begun with another one
            _log.warning("time_limit_passed", cohort=claim.cohort_id)
            self._leave()

    def _watch_requests(self) -> None:
        """Carry out a cancel, pause or delete request if no epoch ends within the grace period."""
        claim = self._runner.claim
        if claim is None or time.monotonic() - self._looked_at < REQUEST_SECONDS:
            return
        self._looked_at = time.monotonic()
        if self._runner.lost is claim:
            request: StopRequest | None = StopRequest.GONE
        else:
            with self._database.reading() as session:
                request = find_stop_request(session, claim)
        if request is None:
            self._requested = None
            return
        if self._requested is None or self._requested[:2] != (claim, request):
            self._requested = claim, request, time.monotonic()
        waited = time.monotonic() - self._requested[2]
        if min(waited, self._runner.silent_seconds) < self._settings.grace_seconds:
            return
        is_held = True
        if request is StopRequest.CANCEL:
            with self._database.writing() as session:
                asked = sorted(transitions.list_cancel_requests(session, claim))
                is_held = transitions.mark_cancelled(session, claim, asked)
        elif request is StopRequest.PAUSE:
            is_held = self._runner.release(claim)
        if not is_held or self._runner.claim is not claim:
            return
        _log.warning("stopped_within_an_epoch", cohort=claim.cohort_id, request=request.name.lower())
        self._leave()

    def _leave(self) -> Never:
        self._sign_off()
        re_exec()


def re_exec() -> Never:
    """Become a fresh process with the same arguments: what this one computed and kept is gone."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same process, as it began
