"""Claimed cohorts for tests of states, leases and epochs."""

from sqlalchemy import update

from models.sql import experiments, transitions
from models.sql.database import Database, clock
from models.sql.epochs import EpochRecord, mark_epochs
from models.sql.leases import Claim
from models.sql.tables import CohortTable
from tests.factories import store as store_experiment

LEASE = 60.0
SWEEP = {"optimizer": {"name": "sgd", "learning_rate": {"choice": [0.1, 0.01]}}}


def claim_one(database: Database, owner: str = "wrk_a", **changes: object) -> tuple[Claim, list[str]]:
    """Store an experiment of one cohort and claim it: the claim, and its trials' ids."""
    experiment_id, [message] = store_experiment(database, **(changes or SWEEP))
    with database.writing() as session:
        claim = transitions.mark_claimed(session, message.cohort_id, owner, LEASE, "tensorflow")
    assert claim is not None
    with database.reading() as session:
        return claim, [trial.id for trial in experiments.list_trials(session, experiment_id)]


def states(database: Database, claim: Claim) -> list[str]:
    with database.reading() as session:
        return [trial.state for trial in experiments.list_trials(session, claim.experiment_id)]


def version(database: Database, claim: Claim) -> int:
    with database.reading() as session:
        return experiments.get_experiment(session, claim.experiment_id).version


def record(database: Database, claim: Claim, trial_id: str, epoch: int, loss: float = 0.5) -> bool:
    with database.writing() as session:
        records = [EpochRecord(trial_id, epoch, 0.1, {"loss": loss})]
        return mark_epochs(session, claim, records, {}, LEASE)


def expire(database: Database, claim: Claim) -> None:
    with database.writing() as session:
        session.execute(
            update(CohortTable).where(CohortTable.id == claim.cohort_id).values(lease_expires_at=clock(-1.0))
        )
