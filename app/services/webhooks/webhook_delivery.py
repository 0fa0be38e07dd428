"""Delivery of webhooks: signed, retried, and never into a private network.

A name is resolved once, every address must be public, and the connection goes to the resolved address, so that a
later change of the name has no effect (DNS rebinding).
"""

import contextlib
import datetime as dt
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import structlog
from standardwebhooks.webhooks import Webhook as Signer

from app.services.webhooks.public_addresses import is_public
from models.errors import FittingRoomError
from models.sql import webhooks
from models.sql.database import Database
from models.sql.webhooks import Delivery

INTERVAL_SECONDS = 1.0
ANSWER_SECONDS = 10.0
"""Timeout of each read of an answer, in seconds."""
DELIVERY_SECONDS = 20.0
"""Total timeout of a delivery, in seconds, shorter than its claim. Bounds receivers that answer byte by byte."""
AT_ONCE = 32
AT_ONCE_PER_PROJECT = 8
AT_ONCE_PER_RECEIVER = 2
"""Maximum concurrent deliveries: in all, per project, and per receiver, so that silent receivers delay nobody else."""

_log = structlog.get_logger()


class RefusedAddressError(Exception):
    """The address must not be called."""


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
        self.join(2 * ANSWER_SECONDS)
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
            status = post(delivery.url, body.encode(), headers, allow_private=self._allow_private)
        except RefusedAddressError as error:
            return str(error), False, True
        except (httpx.HTTPError, OSError, ValueError) as error:
            return f"no answer: {type(error).__name__}", False, False
        return f"answered {status}", 200 <= status < 300, status == httpx.codes.GONE


def post(url: str, body: bytes, headers: dict[str, str], *, allow_private: bool) -> int:
    """Send a POST to one address of a host; redirects are not followed, and the answer's body is not read.

    Returns:
        The status of the answer.

    Raises:
        RefusedAddressError: the address must not be called.
        httpx.HTTPError: there was no answer.
        OSError: the name is not known.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode()
    if parts.scheme != "https" and not allow_private:
        raise RefusedAddressError("refused: only https is called (FITTINGROOM_ALLOW_PRIVATE_WEBHOOKS)")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not allow_private and not all(map(is_public, found)):
        raise RefusedAddressError("refused: the address is in a private network (FITTINGROOM_ALLOW_PRIVATE_WEBHOOKS)")
    address = f"[{found[0]}]" if ":" in found[0] else found[0]
    target = parts._replace(netloc=f"{address}:{port}", fragment="").geturl()
    named = f"[{host}]" if ":" in host else host
    shown = named if port in {80, 443} else f"{named}:{port}"
    # trust_env: a proxy of the environment would look the name up once more.
    with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
        request = client.build_request(
            "POST", target, content=body, headers={**headers, "Host": shown}, extensions={"sni_hostname": host}
        )
        timer = threading.Timer(DELIVERY_SECONDS, client.close)
        timer.start()
        try:
            answer = client.send(request, stream=True)
            answer.close()
        except RuntimeError as error:  # httpx's word for a client that was closed meanwhile
            raise httpx.ReadTimeout(str(error)) from None
        finally:
            timer.cancel()
        return answer.status_code
