"""Conditions on experiments that have not ended. An experiment's state is derived; `models.lifecycle` says how."""

from sqlalchemy import ColumnElement, and_, exists, or_

from models.lifecycle import TERMINAL
from models.sql.tables import ExperimentTable, TrialTable

HAS_UNENDED_TRIALS: ColumnElement[bool] = exists().where(
    TrialTable.experiment_id == ExperimentTable.id, TrialTable.state.not_in(TERMINAL)
)
HAS_UNDRAWN_TRIALS: ColumnElement[bool] = and_(
    ExperimentTable.undrawn_trials > 0, ExperimentTable.cancel_requested_at.is_(None)
)
"""True of a search that has rounds to come: one that was cancelled has none."""
IS_UNENDED: ColumnElement[bool] = or_(HAS_UNENDED_TRIALS, HAS_UNDRAWN_TRIALS)
