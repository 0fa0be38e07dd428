"""What the API does: submit, plan, cancel, and read. Each call is one transaction.

May import: `models`, the views. Knows no HTTP; a message is sent only after the commit.
"""

import contextlib
from collections import Counter
from collections.abc import Sequence

import structlog
from celery import Celery
from sqlalchemy.orm import Session

from app import presentation, schemas
from models import registry, repository, requests
from models.broker import ring
from models.database import Database
from models.errors import BrokerUnavailableError, NotFoundError
from models.lifecycle import ExperimentState
from models.planning import plan_experiment
from models.spec.datasets import BUILT_IN_DATASETS, DatasetSchema
from models.spec.experiment import ExperimentSpec
from models.storage import Storage
from models.tables import ExperimentTable

_log = structlog.get_logger()


class Service:
    """The service over one database and one broker."""

    def __init__(self, database: Database, celery: Celery, storage: Storage, memory_bytes: int) -> None:
        """Begin.

        Args:
            database: where everything is.
            celery: how workers are told.
            storage: where checkpoints are.
            memory_bytes: what a worker may use.
        """
        self._database, self._celery, self._storage = database, celery, storage
        self._memory_bytes = memory_bytes

    def plan(self, spec: ExperimentSpec) -> schemas.PlanView:
        """Say what an experiment would be; store nothing.

        Raises:
            InvalidSpec: it cannot train.
        """
        return presentation.plan(spec, plan_experiment(spec, self._memory_bytes))

    def submit(self, spec: ExperimentSpec) -> schemas.ExperimentView:
        """Store an experiment and tell the workers.

        Raises:
            InvalidSpec: it cannot train; nothing was stored.
        """
        planned = plan_experiment(spec, self._memory_bytes)
        with self._database.writing() as session:
            experiment_id, messages = repository.add_experiment(session, spec, planned)
        # Without a broker it is accepted all the same: the rows are queued, and a worker's reaper finds them overdue.
        with contextlib.suppress(BrokerUnavailableError):
            ring(self._celery, messages)
        return self.get_experiment(experiment_id)

    def list_experiments(
        self, limit: int, before_id: str | None, state: ExperimentState | None, name: str | None, tag: str | None
    ) -> tuple[list[schemas.ExperimentSummaryView], bool]:
        """A page of experiments, newest first, and whether there are more."""
        with self._database.reading() as session:
            rows = repository.list_experiments(
                session, limit=limit + 1, before_id=before_id, state=state, name=name, tag=tag
            )
            page = rows[:limit]
            ids = [row.id for row in page]
            progress = repository.get_progress(session, ids)
            waiting = self._waiting_for(session, ids)
        views = [presentation.experiment_summary(row, progress[row.id], waiting.get(row.id)) for row in page]
        return views, len(rows) > limit

    def get_experiment(self, experiment_id: str) -> schemas.ExperimentView:
        """One experiment, or NotFoundError."""
        with self._database.reading() as session:
            row = repository.get_experiment(session, experiment_id)
            progress = repository.get_progress(session, [experiment_id])[experiment_id]
            waiting = self._waiting_for(session, [experiment_id])
            best = repository.get_best_trial(session, row)
        return presentation.experiment(row, progress, waiting.get(experiment_id), best)

    def list_trials(self, experiment_id: str) -> tuple[list[schemas.TrialSummaryView], int]:
        """An experiment's trials and its version, or NotFoundError."""
        with self._database.reading() as session:
            row = repository.get_experiment(session, experiment_id)
            cohorts = {cohort.id: cohort for cohort in repository.list_cohorts(session, experiment_id)}
            trials = repository.list_trials(session, experiment_id)
        return [presentation.trial_summary(trial, cohorts[trial.cohort_id]) for trial in trials], row.version

    def get_trial(self, trial_id: str) -> schemas.TrialView:
        """One trial, or NotFoundError."""
        with self._database.reading() as session:
            row = repository.get_trial(session, trial_id)
            cohort = repository.get_cohort(session, row.cohort_id)
        return presentation.trial(row, cohort)

    def get_trial_history(self, trial_id: str, after_epoch: int) -> schemas.TrialHistoryView:
        """A trial's epochs later than one of them, or NotFoundError."""
        with self._database.reading() as session:
            row = repository.get_trial(session, trial_id)
            epochs = repository.list_epochs(session, trial_id=trial_id, after_epoch=after_epoch)
        return presentation.trial_history(row, epochs)

    def get_experiment_history(self, experiment_id: str, after_version: int = 0) -> schemas.ExperimentHistoryView:
        """The epochs of all trials written after a version, or NotFoundError."""
        with self._database.reading() as session:
            row = repository.get_experiment(session, experiment_id)
            progress = repository.get_progress(session, [experiment_id])[experiment_id]
            trials = repository.list_trials(session, experiment_id)
            epochs = repository.list_epochs(session, experiment_id=experiment_id, after_version=after_version)
        return presentation.experiment_history(row, progress, trials, epochs)

    def cancel_experiment(self, experiment_id: str) -> schemas.CancelView:
        """Cancel what is queued and ask what runs to stop, or NotFoundError."""
        with self._database.writing() as session:
            row = repository.get_experiment(session, experiment_id)
            return self._cancel(session, row)

    def cancel_trial(self, trial_id: str) -> schemas.CancelView:
        """The same for one trial."""
        with self._database.writing() as session:
            trial = repository.get_trial(session, trial_id)
            return self._cancel(session, repository.get_experiment(session, trial.experiment_id), trial_id)

    def _cancel(self, session: Session, row: ExperimentTable, trial_id: str | None = None) -> schemas.CancelView:
        count = requests.request_cancel(session, row.id, trial_id)
        return schemas.CancelView(experiment_id=row.id, trials_cancelled=count)

    def pause_experiment(self, experiment_id: str) -> schemas.ExperimentView:
        """Begin nothing more of it and put back what runs, or NotFoundError, or ExperimentEndedError."""
        with self._database.writing() as session:
            requests.request_pause(session, experiment_id)
        return self.get_experiment(experiment_id)

    def resume_experiment(self, experiment_id: str) -> schemas.ExperimentView:
        """Let it go on, or NotFoundError."""
        with self._database.writing() as session:
            messages = requests.request_resume(session, experiment_id)
        with contextlib.suppress(BrokerUnavailableError):  # as in `submit`
            ring(self._celery, messages)
        return self.get_experiment(experiment_id)

    def delete_experiment(self, experiment_id: str) -> None:
        """Remove it with all that belongs to it, or NotFoundError. What it has in training ends."""
        with self._database.writing() as session:
            requests.delete_experiment(session, experiment_id)
        try:
            self._storage.remove(experiment_id)
        except OSError as error:  # it is written down that they are to go: the reaper removes them
            _log.warning("files_not_removed", experiment=experiment_id, error=type(error).__name__)

    def list_datasets(self) -> list[DatasetSchema]:
        """All datasets."""
        return list(BUILT_IN_DATASETS.values())

    def get_dataset(self, name: str) -> DatasetSchema:
        """One dataset, or NotFoundError."""
        if name not in BUILT_IN_DATASETS:
            raise NotFoundError("dataset", name)
        return BUILT_IN_DATASETS[name]

    def list_workers(self) -> list[schemas.WorkerView]:
        """The workers that are alive."""
        with self._database.reading() as session:
            rows = registry.list_workers(session)
        return [presentation.worker(row) for row in rows]

    def health(self) -> schemas.HealthView:
        """Ask the database and the broker.

        Raises:
            sqlalchemy.exc.OperationalError: the database does not answer.
        """
        self._database.ping()
        try:
            with self._celery.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
            broker = "ok"
        except Exception:  # noqa: BLE001 - every transport has exceptions of its own
            broker = "unreachable"
        return schemas.HealthView(status="ready", database="ok", broker=broker, workers=len(self.list_workers()))

    def _waiting_for(self, session: Session, experiment_ids: Sequence[str]) -> dict[str, str | None]:
        queues = repository.list_unclaimed_queues(session, experiment_ids)
        if not queues:
            return {}
        workers = registry.list_workers(session)
        served = Counter(queue for worker in workers for queue in worker.queues)
        return {key: presentation.waiting_for(found, served) for key, found in queues.items()}
