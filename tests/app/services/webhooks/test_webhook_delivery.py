"""Webhooks: delivered once an experiment has ended, signed, retried, and never into a private network."""

import base64
import contextlib
import json
import select
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.services.webhooks import receivers, webhook_delivery
from app.services.webhooks.public_addresses import is_public
from models.errors import DatabaseUnavailableError
from models.settings import Settings
from models.sql.database import Database, Session
from models.sql.webhooks import Delivery
from tests.e2e.service import until
from tests.factories import WEBHOOK_SECRET as SECRET
from tests.factories import document
from tests.serving import MakeKey, assert_problem, served, submit


class Receiver:
    """A server that notes what it is sent."""

    def __init__(self, *statuses: int) -> None:
        """Args: statuses: what it answers, the last one for ever."""
        self.received: list[tuple[dict[str, str], bytes]] = []
        outer, waiting = self, list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.received.append((dict(self.headers), body))
                self.send_response(waiting.pop(0) if len(waiting) > 1 else waiting[0])
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook?for=me"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    receiver = Receiver(*statuses)
    try:
        yield receiver
    finally:
        receiver.close()


class Sweeps:
    """Counts the sweeps of an API."""

    def __init__(self) -> None:
        self._ended = 0

    def count(self) -> None:
        self._ended += 1

    def pass_by(self, count: int = 2) -> None:
        """Wait for a sweep that began after this call to end, and for another one."""
        wanted = self._ended + count + 1
        until(lambda: self._ended >= wanted)


@pytest.fixture(scope="module", autouse=True)
def sweeps() -> Iterator[Sweeps]:
    """Look and try again at once, and count it."""
    counted, sweep = Sweeps(), webhook_delivery.WebhookDispatcher.sweep

    def count(dispatcher: webhook_delivery.WebhookDispatcher) -> None:
        sweep(dispatcher)
        counted.count()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webhook_delivery, "INTERVAL_SECONDS", 0.01)
        patch.setattr("models.sql.webhooks.RETRY_SECONDS", (0.0, 0.0, 0.0))
        patch.setattr(webhook_delivery.WebhookDispatcher, "sweep", count)
        yield counted


@pytest.fixture(scope="module")
def private(sweeps: Sweeps, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Yield an API that calls private addresses."""
    del sweeps  # it is to count from the beginning
    folder = tmp_path_factory.mktemp("private")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'private.db')}"
    settings = Settings(data_dir=folder / "data", database_url=url, allow_private_webhooks=True)
    with served(settings) as client:
        yield client


def standing(http: httpx.Client, experiment_id: str) -> Any:
    return http.get(f"/v1/experiments/{experiment_id}/webhook").json()


def told(http: httpx.Client, experiment_id: str, key: str) -> Any:
    """Wait until a key of the webhook's document has a value, and return the document."""
    return until(lambda: (found := standing(http, experiment_id))[key] and found)


def test_webhook_is_delivered_at_the_end_and_not_before(private: httpx.Client, sweeps: Sweeps) -> None:
    with receiving(204) as receiver:
        mine = submit(private, webhook={"url": receiver.url, "secret": SECRET})
        sweeps.pass_by()
        assert receiver.received == []
        private.post(f"/v1/experiments/{mine}/cancel")
        found = told(private, mine, "delivered_at")
        assert (found["attempts"], found["next_attempt_at"], found["last_answer"]) == (1, None, "answered 204")
        sweeps.pass_by()
        [(headers, body)] = receiver.received
    message = Webhook(SECRET).verify(body, headers)
    assert message["type"] == "experiment.ended"
    assert (message["data"]["id"], message["data"]["state"]) == (mine, "cancelled")
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(body, headers)


def test_webhook_is_retried_and_given_up_after_the_last_attempt(private: httpx.Client, sweeps: Sweeps) -> None:
    with receiving(500, 302, 200) as receiver:
        mine = submit(private, webhook={"url": receiver.url, "secret": SECRET})
        private.post(f"/v1/experiments/{mine}/cancel")
        assert told(private, mine, "delivered_at")["attempts"] == 3
        assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1
    with receiving(503) as receiver:
        mine = submit(private, webhook={"url": receiver.url, "secret": SECRET})
        private.post(f"/v1/experiments/{mine}/cancel")
        until(lambda: standing(private, mine)["next_attempt_at"] is None)
        sweeps.pass_by()
        assert len(receiver.received) == 4
    with receiving(410) as receiver:
        mine = submit(private, webhook={"url": receiver.url, "secret": SECRET})
        private.post(f"/v1/experiments/{mine}/cancel")
        assert told(private, mine, "last_answer")["next_attempt_at"] is None
        sweeps.pass_by()
        assert len(receiver.received) == 1


def test_webhook_to_a_private_network_is_refused(shared_http: httpx.Client) -> None:
    with receiving(200) as receiver:
        for url in (receiver.url, receiver.url.replace("http:", "https:"), "https://localhost:1/", "https://[::1]:1/"):
            mine = submit(shared_http, webhook={"url": url, "secret": SECRET})
            shared_http.post(f"/v1/experiments/{mine}/cancel")
            found = told(shared_http, mine, "last_answer")
            assert found["last_answer"].startswith("refused:")
            assert found["next_attempt_at"] is None
        assert receiver.received == []


def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it stands for when the connection is made."""
    with receiving(200) as receiver:
        port = int(receiver.url.rpartition(":")[2].partition("/")[0])
        answers = iter([[(2, 1, 6, "", ("127.0.0.1", port))]])
        monkeypatch.setattr(receivers, "socket", _Names(answers))
        status = receivers.post(f"http://example.org:{port}/", b"{}", {}, allow_private=True)
        assert status == 200
        [(headers, _)] = receiver.received
        assert headers["Host"] == f"example.org:{port}"


class _Names:
    SOCK_STREAM = 1

    def __init__(self, answers: Iterator[Any]) -> None:
        self._answers = answers

    def getaddrinfo(self, *_: Any, **__: Any) -> Any:
        return next(self._answers)


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",  # noqa: S104
    "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.0.0.8", "192.88.99.1", "240.0.0.1",
    "255.255.255.255",
    "::1", "::", "fc00::1", "fe80::1%eth0", "fec0::1", "ff02::1", "::127.0.0.1", "::8.8.8.8", "::ffff:10.0.0.1",
    "::ffff:8.8.8.8", "64:ff9b::a00:1", "64:ff9b::808:808", "64:ff9b:1::808:808", "2002:a00:1::", "2002:808:808::",
    "2001::1", "2001:db8::1", "3fff::1", "100::1", "4000::1", "5f00::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_address_that_is_not_of_one_public_machine_is_not_called(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"]
)
def test_public_address_may_be_called(address: str) -> None:
    assert is_public(address)


@pytest.mark.stores
def test_silent_receivers_delay_no_other_project(
    database_url: str, tmp_path: Path, make_key: MakeKey, sweeps: Sweeps
) -> None:
    """Sixty silent receivers of one project do not delay a delivery of another project."""
    del sweeps  # it looks often
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url, allow_private_webhooks=True)
    (_, theirs), (_, mine) = make_key(), make_key(project="two")
    with contextlib.ExitStack() as open_until_end:
        silent = [open_until_end.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(20)]
        http = open_until_end.enter_context(served(settings))
        heard = open_until_end.enter_context(receiving(200))

        def end(url: str, key: dict[str, str]) -> str:
            spec = document(webhook={"url": url, "secret": SECRET})
            place = http.post("/v1/experiments", json=spec, headers=key).headers["location"]
            http.post(f"{place}/cancel", headers=key).raise_for_status()
            return place

        for number in range(60):
            end(f"http://127.0.0.1:{silent[number % 20].getsockname()[1]}/", theirs)
        until(lambda: sum(_has_connection(one) for one in silent) >= webhook_delivery.AT_ONCE_PER_PROJECT // 2)
        place = end(heard.url, mine)
        until(lambda: http.get(f"{place}/webhook", headers=mine).json()["delivered_at"])
        for one in silent:
            one.close()  # who still waits is let go


def _has_connection(listener: socket.socket) -> bool:
    return bool(select.select([listener], [], [], 0)[0])


def test_failed_claim_gives_its_slots_back(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that fails again and again must not use up the slots."""
    dispatcher = webhook_delivery.WebhookDispatcher(database, lambda *_: {}, allow_private=True)

    def fail(_: Session, take: Callable[[str, str], bool]) -> list[Delivery]:
        assert take("one", "http://receiver.example/")
        raise DatabaseUnavailableError("cut")

    monkeypatch.setattr("models.sql.webhooks.are_deliveries_due", lambda _: True)
    monkeypatch.setattr("models.sql.webhooks.claim_deliveries", fail)
    for _ in range(2 * webhook_delivery.AT_ONCE):
        with pytest.raises(DatabaseUnavailableError):
            dispatcher.sweep()


def test_slots_are_counted_by_project_and_receiver() -> None:
    slots = webhook_delivery.Slots()
    taken = [slots.take("one", "http://slow.example/hook") for _ in range(3)]
    assert taken == [True, True, False]
    assert not slots.take("two", "http://SLOW.example/other")
    others = [slots.take("one", f"http://r{number}.example/") for number in range(8)]
    assert others == [True] * 6 + [False] * 2
    assert slots.take("two", "http://r.example/")
    slots.give_back("one", "http://slow.example/hook")
    assert slots.take("two", "http://slow.example/")
    assert not slots.are_all_taken()


def test_the_secret_is_never_shown(private: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    with receiving(200) as receiver:
        answer = private.post("/v1/experiments", json=document(webhook={"url": receiver.url, "secret": SECRET}))
        mine = answer.json()["id"]
        private.post(f"/v1/experiments/{mine}/cancel")
        told(private, mine, "delivered_at")
        shown = [answer.text, json.dumps(standing(private, mine)), private.get(f"/v1/experiments/{mine}").text]
        shown += [body.decode() for _, body in receiver.received]
    out, err = capfd.readouterr()
    for text in (*shown, out, err):
        assert SECRET[6:] not in text
    bad = private.post("/v1/experiments", json=document(webhook={"url": "https://x.org", "secret": SECRET[:-30]}))
    assert_problem(bad, 422)
    assert SECRET[6:30] not in bad.text


@pytest.mark.parametrize(
    "webhook",
    [
        {}, {"url": "https://example.org"}, {"url": "", "secret": SECRET}, {"url": "example.org", "secret": SECRET},
        {"url": "ftp://example.org/", "secret": SECRET}, {"url": "file:///etc/passwd", "secret": SECRET},
        {"url": "https://", "secret": SECRET}, {"url": "https://user:pass@example.org/", "secret": SECRET},
        {"url": "https://example.org:99999/", "secret": SECRET}, {"url": "https://[::1/", "secret": SECRET},
        {"url": "https://exa mple.org/", "secret": SECRET}, {"url": "https://é.org/", "secret": SECRET},
        {"url": "https://x.org/\r\nHost: y", "secret": SECRET},
        {"url": "https://x.org/" + "a" * 3_000, "secret": SECRET},
        {"url": "https://" + "a" * 300 + ".org", "secret": SECRET}, {"url": "https://x..org", "secret": SECRET},
        {"url": "https://x.org", "secret": "whsec_" + "é" * 40}, {"url": "https://x.org", "secret": "whsec_c2hvcnQ="},
        {"url": "https://x.org", "secret": SECRET[6:]}, {"url": "https://x.org", "secret": 7},
        {"url": "https://x.org", "secret": "whsec_" + "A" * 400}, {"url": 7, "secret": SECRET},
        "https://example.org", [],
    ],
    ids=lambda given: str(given)[:50],
)  # fmt: skip
def test_addresses_and_secrets_that_are_none(shared_http: httpx.Client, webhook: Any) -> None:
    before = shared_http.get("/v1/experiments").json()["items"]
    refused = shared_http.post("/v1/experiments", json=document(webhook=webhook))
    assert_problem(refused, 422)
    assert refused.json()["errors"][0]["pointer"].startswith("/webhook")
    assert shared_http.get("/v1/experiments").json()["items"] == before


def test_a_receiver_that_answers_byte_by_byte_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "DELIVERY_SECONDS", 0.2)
    is_over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                for letter in b"HTTP/1.1 200 OK\r\n" + b"X" * 10_000:
                    connection.sendall(bytes([letter]))
                    if is_over.wait(0.02):
                        return

        threads.submit(drip)
        started = time.monotonic()
        with pytest.raises((httpx.HTTPError, OSError, ValueError)):
            receivers.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", b"{}", {}, allow_private=True)
        assert time.monotonic() - started < 100, "it was read to its end"
        is_over.set()
