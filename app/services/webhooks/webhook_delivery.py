"""Delivery of webhooks: signed, and retried."""

import contextlib
import datetime as dt
import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from standardwebhooks.webhooks import Webhook as Signer

from models.errors import FittingRoomError
from models.sql import webhooks
from models.sql.database import Database
from models.sql.webhooks import Delivery

INTERVAL_SECONDS = 1.0
ENDING_SECONDS = 20.0
"""Maximum seconds that `end` waits for the thread itself."""
AT_ONCE = 32
AT_ONCE_PER_PROJECT = 8
AT_ONCE_PER_RECEIVER = 2
"""Maximum concurrent deliveries: in all, per project, and per receiver, so that silent receivers delay nobody else."""

_log = structlog.get_logger()


class Slots:
    """Counts the deliveries that go on: in all, by project and by receiver."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[tuple[str, str]] = Counter()

    def take(self, project: str, url: str) -> bool:
        """Take a slot for a delivery, if there is one for it."""
        with self._lock:
            if any(self._taken[key] >= limit for key, limit in _slots_of(project, url).items()):
                return False
            self._taken.update(_slots_of(project, url).keys())
            return True

    def give_back(self, project: str, url: str) -> None:
        """Free the slot of a delivery that has ended."""
        with self._lock:
            self._taken.subtract(_slots_of(project, url).keys())
            self._taken = +self._taken

    def are_all_taken(self) -> bool:
        """Return True if no slot is free."""
        return self._taken[_ALL] >= AT_ONCE


_ALL = ("all", "")


def _slots_of(project: str, url: str) -> dict[tuple[str, str], int]:
    """Return the counters that a delivery is counted in, with the limit of each."""
    return {
        _ALL: AT_ONCE,
        ("project", project): AT_ONCE_PER_PROJECT,
        ("receiver", urlsplit(url).netloc.lower()): AT_ONCE_PER_RECEIVER,
    }


class WebhookDispatcher(threading.Thread):
    """Thread that delivers due webhooks, once a second."""

    def __init__(
        self, database: Database, describe: Callable[[str, str], dict[str, object]], *, allow_private: bool
    ) -> None:
        """Set up.

        Args:
            database: has the due deliveries.
            describe: gives an experiment of a project, as JSON.
            allow_private: whether addresses in private networks, and `http`, are fine.
        """
        super().__init__(name="webhooks", daemon=True)
        self._database, self._describe, self._allow_private = database, describe, allow_private
        self._is_ending = False
        self._woken = threading.Event()
        self._slots = Slots()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook")

    def run(self) -> None:
        """Deliver until `end` is called."""
        while not self._is_ending:
            self._woken.wait(INTERVAL_SECONDS)
            self._woken.clear()
            try:
                self.sweep()
            except FittingRoomError as error:
                _log.warning("webhooks_missed", error=type(error).__name__)

    def sweep(self) -> None:
        """Start all due deliveries that have a slot, without waiting for them."""
        with self._database.reading() as session:
            if self._slots.are_all_taken() or not webhooks.are_deliveries_due(session):
                return
        taken: list[tuple[str, str]] = []
        deliveries: list[Delivery] = []

        def take(project: str, url: str) -> bool:
            if not self._slots.take(project, url):
                return False
            taken.append((project, url))
            return True

        try:
            with self._database.writing() as session:
                claimed = webhooks.claim_deliveries(session, take)
            deliveries = claimed
        finally:  # others were faster, or the transaction failed
            unused = Counter(taken) - Counter((delivery.project, delivery.url) for delivery in deliveries)
            for project, url in unused.elements():
                self._slots.give_back(project, url)
        for delivery in deliveries:
            with contextlib.suppress(RuntimeError):  # the end has come: another process will deliver
                self._threads.submit(self._deliver_in_slot, delivery)

    def end(self) -> None:
        """Start no more deliveries, and finish the running ones."""
        self._is_ending = True
        self._woken.set()
        self.join(ENDING_SECONDS)
        self._threads.shutdown(cancel_futures=True)

    def _deliver_in_slot(self, delivery: Delivery) -> None:
        try:
            self._deliver(delivery)
        finally:
            self._slots.give_back(delivery.project, delivery.url)
            self._woken.set()

    def _deliver(self, delivery: Delivery) -> None:
        try:
            answer, is_delivered, is_final = self._send(delivery)
            with self._database.writing() as session:
                if is_delivered:
                    webhooks.mark_delivered(session, delivery.experiment_id, answer)
                else:
                    webhooks.mark_undelivered(session, delivery, answer, is_final=is_final)
        except FittingRoomError as error:  # it was claimed: it will be tried again
            _log.warning("webhook_missed", experiment=delivery.experiment_id, error=type(error).__name__)
            return
        _log.info("webhook", experiment=delivery.experiment_id, attempt=delivery.attempt, answer=answer)

    def _send(self, delivery: Delivery) -> tuple[str, bool, bool]:
        """Deliver; return the outcome in words, True if delivered, and True if retrying is pointless."""
        from httpx import HTTPError  # noqa: PLC0415 - few processes deliver

        from app.services.webhooks import receivers  # noqa: PLC0415 - it loads HTTPX

        now = dt.datetime.now(dt.UTC)
        body = json.dumps(
            {
                "type": "experiment.ended",
                "timestamp": now.isoformat(),
                "data": self._describe(delivery.project, delivery.experiment_id),
            }
        )
        message_id = f"msg_{delivery.experiment_id}"  # the same for each attempt, so that a receiver can tell
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "FittingRoom",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Signer(delivery.secret).sign(message_id, now, body),
        }
        try:
            status = receivers.post(delivery.url, body.encode(), headers, allow_private=self._allow_private)
        except receivers.RefusedAddressError as error:
            return str(error), False, True
        except (HTTPError, OSError, ValueError) as error:
            return f"no answer: {type(error).__name__}", False, False
        return f"answered {status}", 200 <= status < 300, status == HTTPStatus.GONE
