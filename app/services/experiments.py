"""Use cases of the API: submit, plan, cancel, read. Each call is one transaction.

Messages are sent after the commit.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import structlog
from anyio import to_thread
from celery import Celery

from app.services import presentation
from app.services.artifacts import ArtifactService
from app.services.datasets import Datasets
from app.services.kept_bytes import KeptBytes
from app.services.plans import Plans
from app.services.served_queues import ServedQueues
from app.services.submission_writer import SubmissionWriter
from fittingroom.specs.datasets import BUILT_IN_DATASETS, DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import InvalidSpec
from fittingroom.specs.search.samplers import LeadersSampler, reads_results
from fittingroom.views import resources
from fittingroom.views.comparison import ComparisonView
from fittingroom.views.submissions import PlanView
from models.errors import NotFoundError
from models.planning.plan import ExperimentPlan
from models.sql import client_requests, experiments, usage, worker_registry
from models.sql.database import Database, Session
from models.sql.datasets import names_in
from models.sql.experiment_list import Filters, Position, Sort, list_experiments, position_of
from models.sql.plans.prior_results import find_prior
from models.sql.plans.rounds import list_rounds
from models.sql.plans.submissions import Accepted, Refusal, Submission
from models.sql.tables import ExperimentTable
from models.sql.webhooks import find_webhook
from models.storage import Storage

DEFAULT_PROJECT = "default"
"""Project used when authentication is disabled (no API key exists)."""

_log = structlog.get_logger()


@dataclass(frozen=True)
class Service:
    """The service over one database and one broker, as one project sees it."""

    database: Database
    celery: Celery
    """Celery application, to notify workers."""
    submissions: SubmissionWriter
    storage: Storage
    """Storage of checkpoints."""
    datasets: Datasets
    artifacts: ArtifactService
    kept_bytes: KeptBytes
    plans: Plans
    served_queues: ServedQueues
    project: str = DEFAULT_PROJECT
    """Nothing of another project is seen or changed."""
    max_unended_trials: int | None = None
    """Quota: maximum unfinished trials per project, including the experiment being submitted."""

    def of(self, project: str, max_unended_trials: int | None = None) -> Self:
        """Return the service of another project, with its quota of unfinished trials."""
        return replace(
            self,
            project=project,
            datasets=self.datasets.of(project),
            artifacts=self.artifacts.of(project),
            max_unended_trials=max_unended_trials,
        )

    def plan(self, spec: ExperimentSpec) -> PlanView:
        """Say what an experiment would be; store nothing.

        Raises:
            InvalidSpec: it cannot train.
        """
        known, _ = self.datasets.named_in(spec.dataset)
        return presentation.plan(spec, self._plan(spec, spec.public_dump(), known))

    def _plan(
        self, spec: ExperimentSpec, document: Mapping[str, Any], datasets: Mapping[str, DatasetSchema]
    ) -> ExperimentPlan:
        if isinstance(spec.sampler, LeadersSampler):
            from models.sql.plans.leader_results import find_leaders  # noqa: PLC0415 - few experiments need it

            with self.database.reading() as session:
                leaders = find_leaders(session, spec, self.project)
            return self.plans.of_leaders(spec, leaders, datasets)
        if reads_results(spec.sampler):
            with self.database.reading() as session:
                earlier = find_prior(session, spec, self.project)
            return self.plans.with_prior(spec, earlier, datasets)
        return self.plans.plan(spec, document, datasets)

    def submission(self, spec: ExperimentSpec, idempotency_key: str | None = None) -> Submission:
        """Return an experiment as it would be stored.

        Raises:
            InvalidSpec: it cannot train.
        """
        known, dataset_ids = self.datasets.named_in(spec.dataset)
        document = spec.public_dump()
        fault: Refusal | None = self.kept_bytes.find_fault(self.project)
        try:
            plan = self._plan(spec, document, known)
        except InvalidSpec as refused:
            if idempotency_key is None or not reads_results(spec.sampler):
                raise
            # If it is sent again, it is answered as before, though an earlier experiment may be gone since.
            plan, fault = ExperimentPlan([], [], {}, {}), refused
        return Submission(
            self.project, spec, plan, idempotency_key, dataset_ids, self.max_unended_trials, fault, document
        )

    def _submission_at_once(self, spec: ExperimentSpec, idempotency_key: str | None) -> Submission | None:
        """Return the same where it is made of what is in memory, in less time than a thread takes to begin."""
        stored_bytes = self.kept_bytes.known_bytes(self.project)
        if (
            reads_results(spec.sampler)
            or stored_bytes is None
            or not all(name in BUILT_IN_DATASETS for name in names_in(spec.dataset))
        ):
            return None
        document, fault = spec.public_dump(), self.kept_bytes.fault_of(stored_bytes)
        plan = self.plans.find(spec, document, BUILT_IN_DATASETS)
        if plan is None:
            return None
        return Submission(self.project, spec, plan, idempotency_key, (), self.max_unended_trials, fault, document)

    async def submit(
        self, spec: ExperimentSpec, idempotency_key: str | None = None, *, is_small: bool = False
    ) -> tuple[resources.ExperimentView, Accepted, frozenset[str]]:
        """Store an experiment and notify workers, or find what an earlier submit with the same key has stored.

        Args:
            spec: what was sent.
            idempotency_key: what was sent with it.
            is_small: True if the document may be handled on the event loop.

        Returns:
            The experiment as it was stored, what became of it, and the queues that are served.

        Raises:
            InvalidSpec: it cannot train; nothing was stored.
            QuotaError: the project has too much to do already; nothing was stored.
            StorageQuotaError: the project keeps as much as it may; nothing was stored.
            KeyReusedError: the key was used for another spec; nothing was stored.
        """
        submission = self._submission_at_once(spec, idempotency_key) if is_small else None
        if submission is None:
            submission = await to_thread.run_sync(self.submission, spec, idempotency_key)
        accepted = await self.submissions.submit(submission)
        served = self.served_queues.known()
        if served is None:
            served = await to_thread.run_sync(self.served_queues.find)
        if not submission.plan.trials:  # it was sent again, and cannot be planned any more
            return await to_thread.run_sync(self.get_experiment, accepted.experiment_id, served), accepted, served
        return presentation.submitted(submission, accepted, served), accepted, served

    def list_experiments(
        self, filters: Filters, limit: int, sort: Sort, after: Position | None
    ) -> tuple[list[resources.ExperimentSummaryView], Position | None]:
        """Return a page of experiments, and where the next one begins, if there is one."""
        with self.database.reading() as session:
            mine = replace(filters, project=self.project)
            rows = list_experiments(session, mine, limit=limit + 1, sort=sort, after=after)
            page = rows[:limit]
            ids = [row.id for row in page]
            progress = experiments.get_progress(session, page)
            unclaimed = experiments.list_unclaimed_queues(session, ids)
        is_waiting = bool(unclaimed) or any(one.is_between_rounds for one in progress.values())
        served = self.served_queues.find() if is_waiting else frozenset()
        views = [
            presentation.experiment_summary(row, progress[row.id], unclaimed.get(row.id, ()), served) for row in page
        ]
        return views, position_of(page[-1], sort) if len(rows) > limit else None

    def get_experiment(self, experiment_id: str, served: Collection[str] | None = None) -> resources.ExperimentView:
        """One experiment, or NotFoundError.

        Args:
            experiment_id: which.
            served: the queues that some live worker serves; by default it is looked up.
        """
        with self.database.reading() as session:
            row = experiments.get_experiment(session, experiment_id, self.project)
            progress = experiments.get_progress(session, [row])[experiment_id]
            unclaimed = experiments.list_unclaimed_queues(session, [experiment_id]).get(experiment_id, set())
            best = experiments.get_best_trial(session, row)
            rounds = list_rounds(session, experiment_id) if row.spec.keys() & {"sampler", "confirm"} else ()
        if served is None:
            served = self.served_queues.find()
        return presentation.experiment(row, progress, unclaimed, served, best, rounds)

    def list_trials(self, experiment_id: str) -> tuple[list[resources.TrialSummaryView], int]:
        """Return an experiment's trials and its version, or NotFoundError."""
        with self.database.reading() as session:
            row = experiments.get_experiment(session, experiment_id, self.project)
            cohorts = {cohort.id: cohort for cohort in experiments.list_cohorts(session, experiment_id)}
            trials = experiments.list_trials(session, experiment_id)
        return [presentation.trial_summary(trial, cohorts[trial.cohort_id]) for trial in trials], row.version

    def get_trial(self, trial_id: str) -> resources.TrialView:
        """One trial, or NotFoundError."""
        with self.database.reading() as session:
            row = experiments.get_trial(session, trial_id, self.project)
            cohort = experiments.get_cohort(session, row.cohort_id)
        return presentation.trial(row, cohort)

    def get_comparison(self, experiment_id: str) -> ComparisonView:
        """Compare the candidates of an experiment; NotFoundError."""
        # scipy takes as long to import as the rest of the API, and most processes never compare.
        from app.comparison.importance import importances  # noqa: PLC0415
        from app.comparison.ranking import compare  # noqa: PLC0415

        view = self.get_experiment(experiment_id)
        trials, _ = self.list_trials(experiment_id)
        with self.database.reading() as session:
            row = experiments.get_experiment(session, experiment_id, self.project)
        stages = (row.spec.get("confirm") or {}).get("stages", 1)
        found = compare(view.objective, trials, row.chosen_among or 0, stages, view.undrawn_trials)
        return ComparisonView(
            experiment_id=view.id,
            name=view.name,
            state=view.state,
            version=view.version,
            objective=view.objective,
            sentence=found.sentence,
            candidates=list(found.candidates),
            importances=importances(found.candidates),
        )

    def get_webhook(self, experiment_id: str) -> resources.WebhookView:
        """Return the delivery status of an experiment's webhook; NotFoundError."""
        with self.database.reading() as session:
            experiments.get_experiment(session, experiment_id, self.project)
            row = find_webhook(session, experiment_id)
        if row is None:
            raise NotFoundError("webhook of experiment", experiment_id)
        return presentation.webhook(row)

    def cancel_experiment(self, experiment_id: str) -> resources.CancelView:
        """Cancel what is queued and ask what runs to stop, or NotFoundError."""
        with self.database.writing() as session:
            row = experiments.get_experiment(session, experiment_id, self.project)
            return self._cancel(session, row)

    def cancel_trial(self, trial_id: str) -> resources.CancelView:
        """Cancel one trial."""
        with self.database.writing() as session:
            trial = experiments.get_trial(session, trial_id, self.project)
            return self._cancel(session, experiments.get_experiment(session, trial.experiment_id), trial_id)

    def _cancel(self, session: Session, row: ExperimentTable, trial_id: str | None = None) -> resources.CancelView:
        count = client_requests.request_cancel(session, row.id, trial_id)
        return resources.CancelView(experiment_id=row.id, trials_cancelled=count)

    def pause_experiment(self, experiment_id: str) -> resources.ExperimentView:
        """Begin nothing more of it and put back what runs, or NotFoundError, or ExperimentEndedError."""
        with self.database.writing() as session:
            experiments.get_experiment(session, experiment_id, self.project)
            client_requests.request_pause(session, experiment_id)
        return self.get_experiment(experiment_id)

    def resume_experiment(self, experiment_id: str) -> resources.ExperimentView:
        """Let it go on, or NotFoundError."""
        with self.database.writing() as session:
            experiments.get_experiment(session, experiment_id, self.project)
            cohorts = client_requests.request_resume(session, experiment_id)
        self.submissions.publish(cohorts)
        return self.get_experiment(experiment_id)

    def delete_experiment(self, experiment_id: str) -> None:
        """Remove it with all that belongs to it, or NotFoundError. What it has in training ends."""
        with self.database.writing() as session:
            experiments.get_experiment(session, experiment_id, self.project)
            client_requests.delete_experiment(session, experiment_id)
        try:
            self.storage.remove(experiment_id)
        except OSError as error:  # it is written down that they are to go: the reaper removes them
            _log.warning("files_not_removed", experiment=experiment_id, error=type(error).__name__)

    def get_usage(self) -> resources.UsageView:
        """Return the project's stored bytes and unended trials, with the limit of each."""
        with self.database.reading() as session:
            stored, unended = (
                count(session, self.project) for count in (usage.count_stored_bytes, usage.count_unended_trials)
            )
        return resources.UsageView(
            project=self.project,
            stored_bytes=stored,
            max_stored_bytes=self.kept_bytes.max_bytes,
            unended_trials=unended,
            max_unended_trials=self.max_unended_trials,
        )

    def list_workers(self) -> list[resources.WorkerView]:
        """List live workers, without their work for other projects."""
        with self.database.reading() as session:
            rows = worker_registry.list_workers(session)
            own = experiments.list_own_cohorts(session, self.project, [row.cohort_id for row in rows if row.cohort_id])
        return [presentation.worker(row, own) for row in rows]
