"""The queue: what is sent arrives whole, and a broker that is down is an answer, not a hang."""

import json
import threading
import time

import pytest

from models.errors import BrokerUnavailableError
from models.messaging.broker import TRAIN_COHORT, create_celery, ring
from models.messaging.messages import Message
from models.settings import Settings


def test_a_message_names_the_task_and_the_cohort(settings: Settings) -> None:
    ring(create_celery(settings), [Message("coh_1", "cpu")])
    [file] = settings.queue_dir.glob("*.cpu.msg")
    message = json.loads(file.read_text())
    assert message["headers"]["task"] == TRAIN_COHORT
    assert "coh_1" in message["headers"]["argsrepr"]


def test_nobody_sees_half_a_message(settings: Settings) -> None:
    """A reader as greedy as the transport's own; kombu's way of writing made it read empty files."""
    broken: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for file in settings.queue_dir.glob("*.msg"):
                text = file.read_text()
                try:
                    json.loads(text)
                except ValueError:
                    broken.append(text)
                file.unlink()

    reader = threading.Thread(target=read)
    reader.start()
    ring(create_celery(settings), [Message(f"coh_{number}", "any") for number in range(300)])
    done.set()
    reader.join()
    assert broken == []


def test_messages_are_read_in_the_order_sent(settings: Settings) -> None:
    ring(create_celery(settings), [Message(f"coh_{number}", "any") for number in range(20)])
    read = [json.loads(file.read_text())["headers"]["argsrepr"] for file in sorted(settings.queue_dir.glob("*.msg"))]
    assert read == [f"['coh_{number}']" for number in range(20)]


def test_a_broker_that_is_down_says_so_soon(tmp_path: object) -> None:
    settings = Settings(data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0")
    start = time.monotonic()
    with pytest.raises(BrokerUnavailableError):
        ring(create_celery(settings), [Message("coh_1", "any")])
    assert time.monotonic() - start < 5
