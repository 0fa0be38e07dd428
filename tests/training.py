"""Epochs written to the database as a worker would, without training."""

from collections.abc import Sequence

from sqlalchemy import select

from fittingroom.views.states import StopReason
from models.sql import experiments, transitions
from models.sql.database import Database, Session
from models.sql.epochs import BestEpoch, EpochRecord, mark_epochs
from models.sql.leases import Claim
from models.sql.tables import EpochTable


def train(database: Database, experiment_id: str, losses: dict[int, list[float | str]]) -> None:
    """Write epochs as a worker would: for each trial by number, its losses."""
    with database.reading() as session:
        trials = experiments.list_trials(session, experiment_id)
    with database.writing() as session:
        claim = transitions.mark_claimed(session, trials[0].cohort_id, "wrk_test", 60, "tensorflow")
        assert claim is not None
        for trial in trials:
            values = losses[trial.number]
            records = [
                EpochRecord(trial.id, epoch, 0.1, {"loss": loss, "val_loss": loss})
                for epoch, loss in enumerate(values, 1)
            ]
            finite = [(float(loss), epoch) for epoch, loss in enumerate(values, 1) if loss != "NaN"]
            value, epoch = min(finite)
            best = {trial.id: BestEpoch(epoch, value, {"loss": value, "val_loss": value})}
            assert mark_epochs(session, claim, records, best, 60)
            assert transitions.mark_completed(session, claim, trial.id, StopReason.EPOCHS)


def list_epochs(
    session: Session, *, trial_id: str | None = None, experiment_id: str | None = None, after_version: int = 0
) -> Sequence[EpochTable]:
    """Return the epochs of a trial or of an experiment as they are stored, in order."""
    query = select(EpochTable).where(EpochTable.version > after_version)
    if trial_id is not None:
        query = query.where(EpochTable.trial_id == trial_id)
    if experiment_id is not None:
        query = query.where(EpochTable.experiment_id == experiment_id)
    return session.scalars(query.order_by(EpochTable.trial_id, EpochTable.epoch)).all()


class Writer:
    """Writes epochs as a worker would."""

    def __init__(self, database: Database, experiment_id: str) -> None:
        self._database = database
        with database.reading() as session:
            self.trials = experiments.list_trials(session, experiment_id)
        with database.writing() as session:
            claim = transitions.mark_claimed(session, self.trials[0].cohort_id, "wrk_test", 60, "tensorflow")
        assert claim is not None
        self._claim: Claim = claim
        self._epochs = [0 for _ in self.trials]

    def write(self, *places: int) -> None:
        records = []
        for place in places or (0,):
            self._epochs[place] += 1
            records.append(EpochRecord(self.trials[place].id, self._epochs[place], 0.1, {"loss": 0.5}))
        with self._database.writing() as session:
            assert mark_epochs(session, self._claim, records, {}, 60)

    def end(self) -> None:
        with self._database.writing() as session:
            for trial in self.trials:
                transitions.mark_completed(session, self._claim, trial.id, StopReason.EPOCHS)
