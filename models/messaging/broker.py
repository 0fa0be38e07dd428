"""Celery application of both processes, and notification of workers.

A message says that a queue has work, not which: the worker asks SQL for the next cohort. A lost or repeated message
affects only latency, and a queue needs no more messages than there are workers.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from celery import Celery
from kombu import Connection
from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES

from models.errors import BrokerUnavailableError
from models.messaging.waiting import WaitingCohort
from models.settings import Settings

TRAIN = "fittingroom.train_cohort"

_log = structlog.get_logger()


def create_celery(settings: Settings) -> Celery:
    """Return the application, configured the same for those who send and those who work."""
    TRANSPORT_ALIASES["filesystem"] = "models.messaging.folder_transport:FolderTransport"
    TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = "models.messaging.redis_transport:RedisTransport"
    url = settings.celery_broker_url
    celery = Celery("fittingroom", broker=url, set_as_current=False)
    celery.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        # Acknowledged on receipt. Redis delivers again what is not acknowledged within its visibility timeout; were
        # it at the end of training, each longer cohort would be delivered again and again. A message that is lost
        # with its worker, or with Redis, is sent again from SQL by whoever is idle.
        task_acks_late=False,
        worker_prefetch_multiplier=1,  # what a busy worker keeps for later, an idle one could have
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport_options(settings, url),
    )
    return celery


def _transport_options(settings: Settings, url: str) -> dict[str, object]:
    if url.startswith("filesystem"):
        folder = str(settings.queue_dir)
        control = str(settings.queue_dir / "control")
        return {
            "data_folder_in": folder,
            "data_folder_out": folder,
            "control_folder": control,
            "polling_interval": 0.02,
        }
    # A submit must not hang on a broker that is down: the cohort is sent later.
    return {
        # Only for what lies between delivery and acknowledgement: a moment. What comes twice finds the cohort claimed.
        "visibility_timeout": 300,
        "socket_connect_timeout": 2,
        "socket_timeout": 30,
        "socket_keepalive": True,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0,
    }


def publish(celery: Celery, cohorts: Iterable[WaitingCohort], listeners: Mapping[str, int]) -> None:
    """Notify workers of queued cohorts, at most one message per live worker.

    Args:
        celery: the application.
        cohorts: the queued cohorts.
        listeners: number of live workers of each queue. An unknown one may be starting, so one message is always sent.

    Raises:
        BrokerUnavailableError: the broker did not take a message; those after it were not tried.
    """
    try:
        with celery.producer_or_acquire() as producer:
            for queue, count in Counter(cohort.queue for cohort in cohorts).items():
                room = max(1, listeners.get(queue, 0)) - _length(producer.connection, queue)
                for _ in range(min(count, room)):
                    celery.send_task(TRAIN, queue=queue, producer=producer, retry=False)
    except Exception as error:  # every transport has exceptions of its own, and none may undo what was accepted
        _log.warning("broker_unavailable", error=type(error).__name__)
        raise BrokerUnavailableError("the broker does not answer; queued work is sent when it does") from error


def _length(connection: Connection, queue: str) -> int:
    """Return the number of messages in a queue."""
    try:
        channel: Any = connection.default_channel  # kombu's virtual one
        return int(channel.queue_declare(queue, passive=True).message_count)
    except ChannelError:  # there is no such queue yet
        return 0
