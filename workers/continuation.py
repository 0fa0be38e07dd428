"""Beginning of a cohort whose trials go on from the last states of others."""

from collections.abc import Mapping, Sequence

import structlog

from models.sql import continuations
from models.sql.continuations import Continuation
from models.sql.database import Database
from models.sql.epochs import mark_epochs
from models.sql.leases import Claim
from models.sql.transitions import mark_begins_anew
from workers.engines.base import Engine, UnusableCheckpointError
from workers.reporting.recorder import LeaseLostError
from workers.saving.checkpoints import Checkpoints, SavedCohort

_log = structlog.get_logger()


def begin_from_last_states(
    database: Database, claim: Claim, checkpoints: Checkpoints, engines: Mapping[str, Engine], lease_seconds: float
) -> None:
    """Give a cohort the epochs and the state of the trials that it goes on from, as if it had trained these itself.

    Where a state is gone, the cohort is marked as one that trains from its first epoch. The checkpoint is written
    before the epochs: once these are there, nothing of the earlier experiment is needed any more.

    Raises:
        OSError: the storage does not give the state, or the checkpoint finds no room.
        LeaseLostError: another worker has the cohort.
        DatabaseUnavailableError: the database was out of reach for as long as a lease.
    """
    with database.reading() as session:
        found = continuations.list_continuations(session, claim.cohort_id)
    saved = _own_state(found, checkpoints, engines)
    if saved is None:
        if not database.write(lambda session: mark_begins_anew(session, claim), lease_seconds):
            raise LeaseLostError
        return
    checkpoints.save(saved)
    for one in found:
        if not one.has_ended:
            _copy_epochs(database, claim, one, lease_seconds)
    _log.info("continued", cohort=claim.cohort_id, epochs=max(saved.checkpoint.epochs.values()))


def _own_state(
    found: Sequence[Continuation], checkpoints: Checkpoints, engines: Mapping[str, Engine]
) -> SavedCohort | None:
    """Return the state of the earlier trials as a state of the cohort's own; None if it cannot be had."""
    files = {one.checkpoint for one in found}
    saved = checkpoints.read_kept(files.pop()) if len(files) == 1 else None
    if saved is None or saved.engine not in engines:
        return None
    earlier = {one.trial_id: one.earlier_id for one in found}
    try:
        checkpoint = engines[saved.engine].continued(saved.checkpoint, earlier)
    except UnusableCheckpointError as error:
        _log.warning("last_state_unusable", error=str(error))
        return None
    watches = {trial_id: saved.watches[earlier_id] for trial_id, earlier_id in earlier.items()}
    return SavedCohort(saved.engine, checkpoint, watches, saved.compiler)


def _copy_epochs(database: Database, claim: Claim, one: Continuation, lease_seconds: float) -> None:
    """Write the epochs of an earlier trial, and its best one, as the trial's own."""
    with database.reading() as session:
        records = continuations.list_epochs_of_earlier(session, one)
    best = {} if one.best is None else {one.trial_id: one.best}
    if not database.write(lambda session: mark_epochs(session, claim, records, best, lease_seconds), lease_seconds):
        raise LeaseLostError
