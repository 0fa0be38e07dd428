"""Storing of submitted experiments: many in one transaction, each with its cohorts and trials."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import InvalidSpec
from models.errors import DatasetGoneError, KeyReusedError, QuotaError, StorageQuotaError
from models.identifiers import new_id
from models.messaging.queues import queue_of
from models.messaging.waiting import WaitingCohort
from models.planning.plan import ExperimentPlan
from models.planning.templates import resolved_objective
from models.sql.database import clock
from models.sql.datasets import keep_datasets
from models.sql.plans.planned_rows import rows_of_plan
from models.sql.plans.prior_results import to_rows
from models.sql.tables import (
    ApiKeyTable,
    CohortTable,
    ExperimentDatasetTable,
    ExperimentTable,
    ExperimentTagTable,
    IdempotencyKeyTable,
    SearchRoundTable,
    TrialTable,
    WebhookTable,
)
from models.sql.usage import count_unended_trials

IDEMPOTENCY_SECONDS = 86_400.0
"""Lifetime of an idempotency key, in seconds."""


Refusal = StorageQuotaError | InvalidSpec


@dataclass(frozen=True)
class Submission:
    """An experiment to store."""

    project: str
    spec: ExperimentSpec
    plan: ExperimentPlan
    idempotency_key: str | None = None
    dataset_ids: Sequence[str] = ()
    """The uploaded datasets that it trains on."""
    max_unended_trials: int | None = None
    """Quota: maximum unfinished trials of the project, including this experiment's."""
    refusal: Refusal | None = None
    """Reason why it cannot be stored, if there is one; repeated submits are answered all the same."""
    document: dict[str, Any] = field(default_factory=dict)
    """The spec as it is stored and shown; by default it is made of the spec."""

    def __post_init__(self) -> None:
        if not self.document:
            self.document.update(self.spec.public_dump())


@dataclass(frozen=True)
class Accepted:
    """An experiment that is stored once the transaction is committed."""

    experiment_id: str
    created_at: dt.datetime
    cohorts: Sequence[WaitingCohort] = ()
    """Cohorts to announce to the workers after the commit."""
    is_repeated: bool = False
    """True if an earlier submit with the same key stored it."""


Refused = KeyReusedError | DatasetGoneError | QuotaError | Refusal
"""Reasons why an experiment is not stored."""


def add_experiments(session: Session, submissions: Sequence[Submission]) -> list[Accepted | Refused]:
    """Store experiments, in few statements however many there are.

    Returns:
        For each, in order, what became of it; those whose key was used for another spec, whose dataset is gone, or
        which are more than their project may have or keep, are not stored.

    Raises:
        DuplicateRowError: another process has just used one of the keys; do it again. Raised by `Database.writing`.
    """
    now = session.scalars(select(clock())).one()
    earlier = _find_keys(session, submissions)
    there = keep_datasets(session, {dataset_id for submission in submissions for dataset_id in submission.dataset_ids})
    unended = _count_unended(session, submissions)
    answers: list[Accepted | Refused] = []
    rows: dict[Any, list[dict[str, Any]]] = {
        table: []
        for table in (
            ExperimentTable, ExperimentTagTable, ExperimentDatasetTable, WebhookTable, CohortTable, TrialTable,
            SearchRoundTable, IdempotencyKeyTable,
        )
    }  # fmt: skip
    for submission in submissions:
        key = (submission.project, submission.idempotency_key)
        if submission.idempotency_key is not None:
            digest = _digest(submission.spec)
            if key in earlier:
                answers.append(_repeated(earlier[key], digest, submission.idempotency_key))
                continue
        refused = _refusal(submission, there, unended)
        if refused is not None:
            answers.append(refused)
            continue
        accepted = _add_rows(rows, submission, now)
        if submission.idempotency_key is not None:
            row = {
                "project": submission.project, "key": submission.idempotency_key, "digest": digest,
                "experiment_id": accepted.experiment_id, "created_at": now,
            }  # fmt: skip
            rows[IdempotencyKeyTable].append(row)
            earlier[key] = row
        answers.append(accepted)
    for table, values in rows.items():
        if values:
            session.connection().execute(insert(table), values)
    return answers


def forget_idempotency_keys(session: Session) -> None:
    """Forget the keys whose time is over."""
    over = IdempotencyKeyTable.created_at < clock(-IDEMPOTENCY_SECONDS)
    session.execute(delete(IdempotencyKeyTable).where(over))


def _count_unended(session: Session, submissions: Sequence[Submission]) -> dict[str, int]:
    """Count unfinished trials of projects with a quota, and lock out concurrent submits of the same projects."""
    projects = sorted({one.project for one in submissions if one.max_unended_trials is not None})
    # Whoever stores for one of these projects holds the rows of its keys.
    if projects:
        session.execute(select(ApiKeyTable.id).where(ApiKeyTable.project.in_(projects)).with_for_update())
    return {project: count_unended_trials(session, project) for project in projects}


def _refusal(submission: Submission, there: set[str], unended: dict[str, int]) -> Refused | None:
    """Say why an experiment is not stored, or count its trials in `unended`."""
    if not there.issuperset(submission.dataset_ids):
        return DatasetGoneError()
    if submission.refusal is not None:
        return submission.refusal
    if submission.max_unended_trials is not None:
        before, wanted = unended[submission.project], len(submission.plan.trials) + submission.plan.undrawn_trials
        if before + wanted > submission.max_unended_trials:
            return QuotaError(before, wanted, submission.max_unended_trials)
        unended[submission.project] += wanted
    return None


def _add_rows(rows: dict[Any, list[dict[str, Any]]], submission: Submission, now: dt.datetime) -> Accepted:
    """Make the rows of one experiment."""
    spec, plan = submission.spec, submission.plan
    experiment_id, objective = new_id("exp"), resolved_objective(spec)
    rows[ExperimentTable].append(
        {
            "id": experiment_id,
            "project": submission.project,
            "name": spec.name,
            "dataset": spec.dataset.name,
            "spec": submission.document,
            "objective_metric": objective.metric,
            "objective_direction": objective.direction,
            "version": 1,
            "created_at": now,
            "warnings": [warning.model_dump() for warning in plan.warnings] or None,
            "undrawn_trials": plan.undrawn_trials,
            "chosen_among": plan.chosen_among or None,
            "prior_results": to_rows(plan.prior),
        }
    )
    rows[ExperimentTagTable] += [{"experiment_id": experiment_id, "tag": tag} for tag in spec.tags]
    rows[ExperimentDatasetTable] += [
        {"experiment_id": experiment_id, "dataset_id": dataset_id} for dataset_id in submission.dataset_ids
    ]
    if spec.webhook is not None:
        secret = spec.webhook.secret.get_secret_value()
        row = {"experiment_id": experiment_id, "url": spec.webhook.url, "secret": secret, "next_attempt_at": now}
        rows[WebhookTable].append(row)
    planned = rows_of_plan(experiment_id, submission.project, queue_of(spec.device, spec.backend), plan, now)
    rows[CohortTable] += planned.cohorts
    rows[TrialTable] += planned.trials
    rows[SearchRoundTable] += planned.rounds
    return Accepted(experiment_id, now, planned.waiting)


def _digest(spec: ExperimentSpec) -> str:
    """Return a digest of a spec, equal for equal specs in any notation."""
    return hashlib.sha256(spec.model_dump_json(exclude_unset=True).encode()).hexdigest()


def _find_keys(session: Session, submissions: Sequence[Submission]) -> dict[tuple[str, str | None], dict[str, Any]]:
    """Return the keys of these submissions that were used before, in the time for which they are kept."""
    found: dict[tuple[str, str | None], dict[str, Any]] = {}
    keys = sorted({submission.idempotency_key for submission in submissions if submission.idempotency_key is not None})
    for start in range(0, len(keys), 500):
        table = IdempotencyKeyTable
        over = table.key.in_(keys[start : start + 500]) & (table.created_at < clock(-IDEMPOTENCY_SECONDS))
        session.execute(delete(table).where(over))
        query = select(table).where(table.key.in_(keys[start : start + 500]))
        for row in session.scalars(query):
            found[row.project, row.key] = {
                "digest": row.digest, "experiment_id": row.experiment_id, "created_at": row.created_at
            }  # fmt: skip
    return found


def _repeated(earlier: dict[str, Any], digest: str, key: str) -> Accepted | KeyReusedError:
    if earlier["digest"] != digest:
        return KeyReusedError(key, earlier["experiment_id"])
    return Accepted(earlier["experiment_id"], earlier["created_at"], is_repeated=True)
