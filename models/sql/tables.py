"""The SQL tables. In code a SQL class is a *table*; documents of the wire are specs and views.

Queries are in the other modules of `models.sql`; `models.sql.transitions` alone changes states.
"""

import datetime as dt
from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, MetaData, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from models.sql.database import UtcDateTime

_ID = String(40)
_PROJECT = String(64)
_WAITING = text("finished_at IS NULL AND lease_owner IS NULL")
"""The cohorts that wait."""


class Base(DeclarativeBase):
    """Constraints have names, so that a migration can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own convention
        dt.datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
    }


class ExperimentTable(Base):
    """Experiment as submitted. Its state is derived from its trials, never stored."""

    __tablename__ = "experiments"
    __table_args__ = (
        Index("ix_experiments_project_created_at_id", "project", "created_at", "id"),
        Index("ix_experiments_project_name_id", "project", "name", "id"),
        Index(
            "ix_experiments_undrawn_trials", "undrawn_trials",
            sqlite_where=text("undrawn_trials > 0"), postgresql_where=text("undrawn_trials > 0"),
        ),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    # The defaults are for rows of earlier versions.
    project: Mapped[str] = mapped_column(_PROJECT, server_default="default")
    name: Mapped[str] = mapped_column(String(200))
    dataset: Mapped[str] = mapped_column(String(200), server_default="unknown")
    spec: Mapped[dict[str, Any]]
    objective_metric: Mapped[str] = mapped_column(String(200))
    objective_direction: Mapped[str] = mapped_column(String(10))
    version: Mapped[int] = mapped_column(BigInteger, default=1)
    created_at: Mapped[dt.datetime]
    cancel_requested_at: Mapped[dt.datetime | None]
    paused_at: Mapped[dt.datetime | None]
    warnings: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    undrawn_trials: Mapped[int] = mapped_column(default=0, server_default="0")
    """Number of trials that later rounds of the search will have."""
    search_ended_at: Mapped[dt.datetime | None]
    """Time at which nothing was left to draw."""
    chosen_among: Mapped[int | None]
    """Number of candidates of an earlier experiment among which its own were chosen, by the same seeds."""
    prior_results: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True), deferred=True)
    """Results of earlier experiments, with which the search began."""
    drawing_expires_at: Mapped[dt.datetime | None]
    """Expiry of a worker's lease on drawing the next round."""
    drawing_attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    """Number of times that a worker has begun to draw the next round."""


class SearchRoundTable(Base):
    """A round of a search: its row and its trials are stored in one transaction, by whoever is first."""

    __tablename__ = "search_rounds"

    experiment_id: Mapped[str] = mapped_column(_ID, ForeignKey("experiments.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    trials: Mapped[int]
    """Number of its trials."""
    versions: Mapped[dict[str, Any]]
    """Versions of the libraries that drew it."""
    drawn_at: Mapped[dt.datetime]


class ExperimentTagTable(Base):
    """The words an experiment can be found by."""

    __tablename__ = "experiment_tags"

    experiment_id: Mapped[str] = mapped_column(_ID, ForeignKey("experiments.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(50), primary_key=True, index=True)


class DatasetTable(Base):
    """A dataset that was uploaded; its numbers are in the storage, under its hash."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("project", "name"),)

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    project: Mapped[str] = mapped_column(_PROJECT)
    name: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    stored_bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")
    document: Mapped[dict[str, Any]]
    created_at: Mapped[dt.datetime]


class ExperimentDatasetTable(Base):
    """Uploaded datasets of an experiment."""

    __tablename__ = "experiment_datasets"

    experiment_id: Mapped[str] = mapped_column(_ID, ForeignKey("experiments.id"), primary_key=True)
    dataset_id: Mapped[str] = mapped_column(_ID, ForeignKey("datasets.id"), primary_key=True, index=True)


class WebhookTable(Base):
    """Webhook of an experiment, and its delivery status."""

    __tablename__ = "webhooks"
    __table_args__ = (Index("ix_webhooks_delivered_at_next_attempt_at", "delivered_at", "next_attempt_at"),)

    experiment_id: Mapped[str] = mapped_column(_ID, ForeignKey("experiments.id"), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    secret: Mapped[str] = mapped_column(String(200))
    next_attempt_at: Mapped[dt.datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    delivered_at: Mapped[dt.datetime | None]
    last_answer: Mapped[str | None] = mapped_column(String(200))


class CohortTable(Base):
    """Trials that train together: the unit of queueing and leasing."""

    __tablename__ = "cohorts"
    __table_args__ = (
        Index("ix_cohorts_finished_at_lease_expires_at", "finished_at", "lease_expires_at"),
        Index(
            "ix_cohorts_waiting",
            "finished_at", "lease_owner",  # always null here; without them SQLite takes the other index
            "project", "created_at", "experiment_id", "number", "queue",
            sqlite_where=_WAITING, postgresql_where=_WAITING,
        ),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    experiment_id: Mapped[str] = mapped_column(_ID, ForeignKey("experiments.id"), index=True)
    project: Mapped[str] = mapped_column(_PROJECT, server_default="default")
    """The experiment's: workers choose between projects without looking at experiments."""
    number: Mapped[int]
    queue: Mapped[str] = mapped_column(String(20))
    engine: Mapped[str] = mapped_column(String(40))
    engine_reason: Mapped[str] = mapped_column(Text)
    program: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[dt.datetime]
    attempt: Mapped[int] = mapped_column(default=0)
    faults: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None] = mapped_column(_ID)
    lease_expires_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]


class ProjectTurnTable(Base):
    """Time of a project's last claim."""

    __tablename__ = "project_turns"

    project: Mapped[str] = mapped_column(_PROJECT, primary_key=True)
    served_at: Mapped[dt.datetime]


class TrialTable(Base):
    """One model, one set of hyperparameters, one seed, trained once."""

    __tablename__ = "trials"
    __table_args__ = (Index("ix_trials_experiment_id_number", "experiment_id", "number", unique=True),)

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    experiment_id: Mapped[str] = mapped_column(_ID, ForeignKey("experiments.id"))
    cohort_id: Mapped[str] = mapped_column(_ID, ForeignKey("cohorts.id"), index=True)
    number: Mapped[int]
    round: Mapped[int] = mapped_column(default=1, server_default="1")
    """Round of the search that drew it, from 1."""
    is_confirming: Mapped[bool] = mapped_column(default=False, server_default=false())
    """True if it confirms a candidate that was chosen before."""
    label: Mapped[str] = mapped_column(Text)
    model_name: Mapped[str | None] = mapped_column(String(64))
    seed: Mapped[int] = mapped_column(BigInteger)
    fold: Mapped[int | None]
    hyperparameters: Mapped[dict[str, Any]]
    spec: Mapped[dict[str, Any]]
    parameter_count: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger, default=1)
    state: Mapped[str] = mapped_column(String(20), index=True)
    phase: Mapped[str | None] = mapped_column(String(20))
    stop_reason: Mapped[str | None] = mapped_column(String(20))
    fault: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[dt.datetime]
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]
    cancel_requested_at: Mapped[dt.datetime | None]
    attempt: Mapped[int] = mapped_column(default=0)
    epochs_planned: Mapped[int]
    epochs_completed: Mapped[int] = mapped_column(default=0)
    training_seconds: Mapped[float] = mapped_column(Float(53), default=0.0)
    best_epoch: Mapped[int | None]
    best_value: Mapped[float | None] = mapped_column(Float(53))
    best_metrics: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    model_summary: Mapped[str | None] = mapped_column(Text)
    environment: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    artifact: Mapped[str | None] = mapped_column(String(200))
    artifact_epoch: Mapped[int | None]
    artifact_fault: Mapped[str | None] = mapped_column(String(200))
    checkpoint: Mapped[str | None] = mapped_column(String(200))
    """File that holds the state with which it ended, if that is kept."""
    checkpoint_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Size of that state, in bytes."""
    continues: Mapped[str | None] = mapped_column(_ID)
    """Trial of an earlier experiment from whose last state it goes on."""


class EpochTable(Base):
    """One completed pass of one trial; written once."""

    __tablename__ = "epochs"
    __table_args__ = (Index("ix_epochs_experiment_id_version", "experiment_id", "version"),)

    trial_id: Mapped[str] = mapped_column(_ID, ForeignKey("trials.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    experiment_id: Mapped[str] = mapped_column(_ID)
    version: Mapped[int] = mapped_column(BigInteger)
    attempt: Mapped[int]
    seconds: Mapped[float] = mapped_column(Float(53))
    metrics: Mapped[dict[str, Any]]
    recorded_at: Mapped[dt.datetime]


class WorkerTable(Base):
    """A worker process: its queues, last heartbeat, and current cohort."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    process_id: Mapped[int]
    instance: Mapped[str | None] = mapped_column(_ID)
    queues: Mapped[list[Any]]
    devices: Mapped[list[Any]]
    versions: Mapped[dict[str, Any]]
    started_at: Mapped[dt.datetime]
    seen_at: Mapped[dt.datetime] = mapped_column(index=True)
    stopped_at: Mapped[dt.datetime | None]
    cohort_id: Mapped[str | None] = mapped_column(_ID)


class DeletionTable(Base):
    """A deleted experiment with files that still exist."""

    __tablename__ = "deletions"

    experiment_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    deleted_at: Mapped[dt.datetime]


class IdempotencyKeyTable(Base):
    """A submit that a client may repeat: which experiment it made. Kept for a day."""

    __tablename__ = "idempotency_keys"

    project: Mapped[str] = mapped_column(_PROJECT, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    experiment_id: Mapped[str] = mapped_column(_ID)
    created_at: Mapped[dt.datetime] = mapped_column(index=True)


class ApiKeyTable(Base):
    """A key that somebody may use, known by its hash alone."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    project: Mapped[str] = mapped_column(_PROJECT, index=True)
    name: Mapped[str] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[Any]]
    requests_per_minute: Mapped[int | None]
    max_unended_trials: Mapped[int | None]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime | None]
    revoked_at: Mapped[dt.datetime | None]
