"""The look-up behind every ETag, long poll and stream: at which version is a resource, and whose is it?

One indexed query, however many resources are asked for.
"""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.sql.tables import ExperimentTable, TrialTable

_AT_ONCE = 1_000
"""SQLite takes so many values in one statement, and more."""


class ResourceVersion(NamedTuple):
    """Version of an experiment or a trial."""

    version: int
    project: str
    """Project that it belongs to."""


def find_versions(session: Session, ids: Collection[str]) -> dict[str, ResourceVersion]:
    """Return the versions of experiments and trials by id; missing ones are left out."""
    found: dict[str, ResourceVersion] = {}
    experiments = [id_ for id_ in ids if id_.startswith("exp")]
    trials = [id_ for id_ in ids if id_.startswith("trl")]
    for start in range(0, len(experiments), _AT_ONCE):
        query = select(ExperimentTable.id, ExperimentTable.version, ExperimentTable.project).where(
            ExperimentTable.id.in_(experiments[start : start + _AT_ONCE])
        )
        found |= {id_: ResourceVersion(version, project) for id_, version, project in session.execute(query)}
    for start in range(0, len(trials), _AT_ONCE):
        query = (
            select(TrialTable.id, TrialTable.version, ExperimentTable.project)
            .join(ExperimentTable, ExperimentTable.id == TrialTable.experiment_id)
            .where(TrialTable.id.in_(trials[start : start + _AT_ONCE]))
        )
        found |= {id_: ResourceVersion(version, project) for id_, version, project in session.execute(query)}
    return found
