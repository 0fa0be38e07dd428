"""The queue: one Celery application for both processes, and the bell that tells workers of a cohort.

A task is sent by its name, with ids only. SQL is the truth; a message says no more than "look at this cohort", so one
that is lost or comes twice changes nothing but latency.
"""

from collections.abc import Iterable

import structlog
from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

from models.errors import BrokerUnavailableError
from models.messaging.messages import Message
from models.settings import Settings

TRAIN_COHORT = "fittingroom.train_cohort"

_log = structlog.get_logger()


def create_celery(settings: Settings) -> Celery:
    """The application, configured the same for those who send and those who work."""
    TRANSPORT_ALIASES["filesystem"] = "models.messaging.folder_transport:Transport"
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


def ring(celery: Celery, messages: Iterable[Message]) -> None:
    """Send one message per cohort.

    Raises:
        BrokerUnavailableError: the broker did not take one; those after it were not tried.
    """
    try:
        with celery.producer_or_acquire() as producer:
            for message in messages:
                celery.send_task(
                    TRAIN_COHORT, args=[message.cohort_id], queue=message.queue, producer=producer, retry=False
                )
    except Exception as error:  # every transport has exceptions of its own, and none may undo what was accepted
        _log.warning("broker_unavailable", error=type(error).__name__)
        raise BrokerUnavailableError("the broker does not answer; queued work is sent when it does") from error
