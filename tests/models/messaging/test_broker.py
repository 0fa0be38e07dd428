"""The queue: what is sent arrives whole, no more than can be taken; a broker that is down is an answer, not a hang."""

import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from redis import Redis

from models.errors import BrokerUnavailableError
from models.messaging.broker import TRAIN, create_celery, publish
from models.messaging.waiting import WaitingCohort
from models.settings import Settings
from tests.conftest import REDIS
from tests.e2e.service import until


def cohorts(count: int, queue: str = "any") -> Sequence[WaitingCohort]:
    return [WaitingCohort(f"coh_{number}", queue) for number in range(count)]


def test_message_names_a_queue_and_no_cohort(settings: Settings) -> None:
    publish(create_celery(settings), cohorts(1, "cpu"), {})
    [file] = settings.queue_dir.glob("*.cpu.msg")
    message = json.loads(file.read_text())
    assert message["headers"]["task"] == TRAIN
    assert "coh_0" not in file.read_text()
    assert message["headers"]["argsrepr"] == "()"


def test_message_appears_whole(settings: Settings) -> None:
    """A reader as greedy as the transport's own; kombu's way of writing made it read empty files."""
    broken: list[str] = []
    read: list[Path] = []
    done = threading.Event()

    def read_all() -> None:
        while not done.is_set():
            for file in settings.queue_dir.glob("*.msg"):
                text = file.read_text()
                try:
                    json.loads(text)
                except ValueError:
                    broken.append(text)
                read.append(file)
                file.unlink()

    reader = threading.Thread(target=read_all)
    reader.start()
    publish(create_celery(settings), cohorts(300), {"any": 300})
    until(lambda: len(read) >= 300)
    done.set()
    reader.join()
    assert broken == []


@pytest.fixture(params=["folder", pytest.param("redis", marks=pytest.mark.servers)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Return settings of each kind of broker, whose queues are empty."""
    if request.param == "folder":
        settings = Settings(data_dir=tmp_path / "data")
        settings.make_folders()
        return settings
    url = f"{REDIS}/15"
    with Redis.from_url(url) as redis:
        redis.flushdb()
    return Settings(data_dir=tmp_path / "data", broker_url=url)


def length(settings: Settings, queue: str) -> int:
    with create_celery(settings).connection_for_write() as connection:
        return int(connection.default_channel._size(queue))  # type: ignore[attr-defined]  # noqa: SLF001 - kombu's own


def test_queue_holds_no_more_messages_than_workers_can_take(broker: Settings) -> None:
    celery = create_celery(broker)
    for _ in range(50):
        publish(celery, cohorts(20), {"any": 4})
    assert length(broker, "any") == 4
    publish(celery, cohorts(2, "gpu"), {"any": 4})
    assert length(broker, "gpu") == 1, "a worker that is not known of yet may come"
    publish(celery, cohorts(1, "cpu"), {"cpu": 9})
    assert length(broker, "cpu") == 1, "there is no more to do"


def test_a_broker_that_is_down_says_so_soon(tmp_path: object) -> None:
    settings = Settings(data_dir=tmp_path, broker_url="redis://127.0.0.1:1/0")
    start = time.monotonic()
    with pytest.raises(BrokerUnavailableError):
        publish(create_celery(settings), cohorts(1), {})
    assert time.monotonic() - start < 5
