"""Usage of a project: its unended trials, and its bytes in the storage."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.lifecycle import TERMINAL
from models.sql.endings import HAS_UNDRAWN_TRIALS
from models.sql.tables import DatasetTable, ExperimentTable, TrialTable

WEIGHT_BYTES = 4
"""Bytes of one parameter in an artifact, which holds the weights as float32."""


def count_unended_trials(session: Session, project: str) -> int:
    """Count the unfinished trials of a project, those that searches have still to draw included."""
    query = (
        select(func.count())
        .select_from(TrialTable)
        .join(ExperimentTable, ExperimentTable.id == TrialTable.experiment_id)
        .where(ExperimentTable.project == project, TrialTable.state.not_in(TERMINAL))
    )
    undrawn = select(func.coalesce(func.sum(ExperimentTable.undrawn_trials), 0)).where(
        ExperimentTable.project == project, HAS_UNDRAWN_TRIALS
    )
    return session.scalars(query).one() + int(session.scalars(undrawn).one())


def count_stored_bytes(session: Session, project: str) -> int:
    """Return the bytes of a project's datasets and of its trials' weights and kept checkpoints in the storage."""
    of_datasets = select(func.coalesce(func.sum(DatasetTable.stored_bytes), 0)).where(DatasetTable.project == project)
    parameters = (
        select(func.coalesce(func.sum(TrialTable.parameter_count), 0))
        .join(ExperimentTable, ExperimentTable.id == TrialTable.experiment_id)
        .where(ExperimentTable.project == project, TrialTable.artifact.is_not(None))
    )
    checkpoints = (
        select(func.coalesce(func.sum(TrialTable.checkpoint_bytes), 0))
        .join(ExperimentTable, ExperimentTable.id == TrialTable.experiment_id)
        .where(ExperimentTable.project == project)
    )
    kept = int(session.scalars(of_datasets).one()) + (session.scalars(checkpoints).one() or 0)
    return kept + WEIGHT_BYTES * int(session.scalars(parameters).one())
