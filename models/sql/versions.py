"""The look-up behind every ETag, long poll and stream: at which version is a resource, and whose is it?

One indexed query, however many resources are asked for.
"""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from models.sql.quick_reads import ReadRows
from models.sql.tables import ExperimentTable, TrialTable

_AT_ONCE = 1_000
"""SQLite takes so many values in one statement, and more."""


_OF_EXPERIMENTS = select(ExperimentTable.id, ExperimentTable.version, ExperimentTable.project)
_OF_TRIALS = select(TrialTable.id, TrialTable.version, ExperimentTable.project).join(
    ExperimentTable, ExperimentTable.id == TrialTable.experiment_id
)
_OF_ONE = {
    "exp": _OF_EXPERIMENTS.where(ExperimentTable.id == bindparam("wanted")),
    "trl": _OF_TRIALS.where(TrialTable.id == bindparam("wanted")),
}


class ResourceVersion(NamedTuple):
    """Version of an experiment or a trial."""

    version: int
    project: str
    """Project that it belongs to."""


def find_versions(session: Session, ids: Collection[str]) -> dict[str, ResourceVersion]:
    """Return the versions of experiments and trials by id; missing ones are left out."""
    found: dict[str, ResourceVersion] = {}
    for prefix, query, column in (("exp", _OF_EXPERIMENTS, ExperimentTable.id), ("trl", _OF_TRIALS, TrialTable.id)):
        wanted = [id_ for id_ in ids if id_.startswith(prefix)]
        for start in range(0, len(wanted), _AT_ONCE):
            rows = session.execute(query.where(column.in_(wanted[start : start + _AT_ONCE])))
            found |= {id_: ResourceVersion(version, project) for id_, version, project in rows}
    return found


def find_version(read: ReadRows, resource_id: str) -> ResourceVersion | None:
    """Return the version of an experiment or a trial; None if there is no such resource.

    Args:
        read: `QuickReads.rows`, or `rows_of` a session.
        resource_id: which.
    """
    query = _OF_ONE.get(resource_id[:3])
    rows = [] if query is None else read(query, wanted=resource_id)
    return ResourceVersion(*rows[0][1:]) if rows else None
