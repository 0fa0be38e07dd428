"""Group commit of submits: those that arrive together are stored in one transaction.

Answered submits are committed; workers are notified afterwards.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from celery import Celery
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from app.services.batcher import Batcher
from fittingroom.specs.faults import InvalidSpec
from models.errors import BrokerUnavailableError, DatabaseUnavailableError, DuplicateRowError
from models.messaging.broker import publish
from models.messaging.waiting import WaitingCohort
from models.sql import worker_registry
from models.sql.database import Database
from models.sql.plans.submissions import Accepted, Refused, Submission, add_experiments

_MAX_GROUP = 100
_MAX_PUBLISHED = 100
"""Maximum number of cohorts announced per submit: a worker that has trained one asks for the next by itself."""


class SubmissionWriter:
    """Stores submissions; for one event loop."""

    def __init__(self, database: Database, celery: Celery) -> None:
        """Args: the database, and the Celery application to notify workers."""
        self._database, self._celery = database, celery
        self._writer = Batcher(self.store, "submissions", _MAX_GROUP)
        self._publisher = ThreadPoolExecutor(1, thread_name_prefix="publisher")

    async def submit(self, submission: Submission) -> Accepted:
        """Store an experiment.

        Raises:
            KeyReusedError: its idempotency key was used for another spec.
            DatasetGoneError: its dataset was deleted meanwhile.
            QuotaError: its project has too much to do already.
            StorageQuotaError: its project keeps as much as it may.
            InvalidSpec: it could not be planned, and was not sent before.
            DatabaseUnavailableError: the database does not answer; nothing was stored.
        """
        return await self._writer.ask(submission)

    def store(self, submissions: Sequence[Submission]) -> list[Accepted | Refused]:
        """Store experiments in one transaction, and notify workers; blocks."""
        attempts = Retrying(retry=retry_if_exception_type(DuplicateRowError), stop=stop_after_attempt(5), reraise=True)
        for attempt in attempts:  # another process may just have used one of the keys: then it is found
            with attempt, self._database.writing() as session:
                answers = add_experiments(session, submissions)
        self.publish(cohort for answer in answers if isinstance(answer, Accepted) for cohort in answer.cohorts)
        return answers

    def store_together(self, chunks: Iterable[Sequence[Submission]]) -> list[Accepted]:
        """Store all experiments or none, in one transaction, and notify workers; blocks.

        Raises:
            KeyReusedError: one of their keys was used for another spec; nothing was stored.
            DatasetGoneError: a dataset was deleted meanwhile; nothing was stored.
            QuotaError: they are more than their project may have at once; nothing was stored.
            InvalidSpec: one could not be planned, with its place in the pointers; nothing was stored.
        """
        stored: list[Accepted] = []
        with self._database.writing() as session:
            for chunk in chunks:
                for answer in add_experiments(session, chunk):
                    if isinstance(answer, InvalidSpec):
                        raise answer.within(len(stored))
                    if not isinstance(answer, Accepted):
                        raise answer
                    stored.append(answer)
        self.publish(cohort for answer in stored for cohort in answer.cohorts)
        return stored

    def publish(self, cohorts: Iterable[WaitingCohort]) -> None:
        """Notify workers of cohorts in the background; returns at once.

        Without a broker the rows stay queued, and a reaper notifies idle workers later.
        """
        by_queue: Counter[str] = Counter()
        chosen = []
        for cohort in cohorts:
            by_queue[cohort.queue] += 1
            if by_queue[cohort.queue] <= _MAX_PUBLISHED:
                chosen.append(cohort)
        if chosen:
            self._publisher.submit(self._publish, chosen)

    def close(self) -> None:
        """Send what is still to be sent, and end."""
        self._writer.close(wait=True)
        self._publisher.shutdown()

    def _publish(self, cohorts: Sequence[WaitingCohort]) -> None:
        with contextlib.suppress(BrokerUnavailableError, DatabaseUnavailableError):
            with self._database.reading() as session:
                listeners = worker_registry.count_listeners(session)
            publish(self._celery, cohorts, listeners)
