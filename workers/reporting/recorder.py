"""Recorder of epochs: gathers them, writes them together, and reads the cancel flag."""

import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from fittingroom.specs.choices import Direction
from fittingroom.specs.objectives import is_better
from fittingroom.views.history import to_wire
from fittingroom.views.states import StopReason, TrialPhase
from models.sql.client_requests import is_paused
from models.sql.database import Database, Session
from models.sql.epochs import BestEpoch, EpochRecord, mark_epochs
from models.sql.kept_weights import KeptWeights
from models.sql.leases import Claim
from models.sql.transitions import (
    list_cancel_requests,
    mark_cancelled,
    mark_completed,
    mark_phase,
    mark_program,
    mark_pruned,
)
from workers.engines.base import CohortTrial, Metrics

FLUSH_SECONDS = 0.1
"""Epochs shorter than this share a write."""


class LeaseLostError(Exception):
    """Another worker has, or may have, the cohort: nothing more is written, and training ends."""


@dataclass(frozen=True)
class ClientRequests:
    """Requests of clients, read when epochs are written."""

    cancelled: AbstractSet[str] = frozenset()
    """Trials that were asked to stop; they are cancelled now."""
    pause: bool = False
    """True if the experiment is to pause."""


@dataclass(frozen=True)
class Ending:
    """A trial that trains no longer."""

    trial_id: str
    reason: StopReason | None
    """None if it was pruned."""
    weights: KeptWeights


class Recorder:
    """Writes the epochs of one claimed cohort; waits for a database that is out of reach, for as long as a lease."""

    def __init__(
        self,
        database: Database,
        claim: Claim,
        trials: Sequence[CohortTrial],
        best: Mapping[str, BestEpoch],
        lease_seconds: float,
    ) -> None:
        """Begin.

        Args:
            database: where to write.
            claim: the worker's.
            trials: the cohort's.
            best: the best epochs that earlier attempts have written.
            lease_seconds: how long a write keeps the lease.
        """
        self._database, self._claim, self._lease_seconds = database, claim, lease_seconds
        self._objectives = {trial.id: trial.spec.objective for trial in trials}
        self._best = dict(best)
        self._records: list[EpochRecord] = []
        self._written_at = float("-inf")

    def describe(self, engine: str, reason: str, program: Mapping[str, Any] | None) -> None:
        """Write which engine trains the cohort, why, and how.

        Raises:
            LeaseLostError: as `flush`.
        """
        self._write(lambda session: mark_program(session, self._claim, engine, reason, program))

    def set_phase(self, phase: TrialPhase) -> None:
        """Write what is done before the first epoch.

        Raises:
            LeaseLostError: as `flush`.
        """
        self._write(lambda session: mark_phase(session, self._claim, phase))

    def best_value(self, trial_id: str) -> float | None:
        """Return the best objective that an earlier attempt has written of a trial, or None."""
        return self._best[trial_id].value if trial_id in self._best else None

    def add(self, trial_id: str, epoch: int, seconds: float, metrics: Metrics) -> None:
        """Take one epoch; it is written with the next flush."""
        stored = {name: to_wire(value) for name, value in metrics.items()}
        self._records.append(EpochRecord(trial_id, epoch, seconds, stored))
        objective = self._objectives[trial_id]
        direction: Direction = objective.direction or "minimize"
        value, best = metrics[objective.metric], self._best.get(trial_id)
        if is_better(value, best.value if best else None, direction):
            self._best[trial_id] = BestEpoch(epoch, value, stored)

    def flush_if_due(self) -> ClientRequests:
        """Write if the last write is long enough ago; see `flush`."""
        if time.monotonic() - self._written_at >= FLUSH_SECONDS:
            return self.flush()
        return ClientRequests()

    def finish(self) -> None:
        """Write what is left, if anything is: the flush of the last trial's last epoch has ended the claim."""
        if self._records:
            self.flush()

    def flush(self) -> ClientRequests:
        """Write what was gathered, in one transaction, and see what clients want.

        Raises:
            LeaseLostError: the claim is no longer this worker's; nothing was written.
            DatabaseUnavailableError: the database was out of reach for as long as a lease.
        """
        requests = ClientRequests()

        def work(session: Session) -> bool:
            nonlocal requests
            if not mark_epochs(session, self._claim, self._records, self._best, self._lease_seconds):
                return False
            requests = ClientRequests(
                list_cancel_requests(session, self._claim), is_paused(session, self._claim.experiment_id)
            )
            if requests.cancelled:
                mark_cancelled(session, self._claim, sorted(requests.cancelled))
            return True

        self._write(work)
        self._records = []
        self._written_at = time.monotonic()
        return requests

    def complete(self, endings: Sequence[Ending]) -> None:
        """Write what was gathered, and that trials have ended, in one transaction; what clients want is seen later.

        Raises:
            LeaseLostError: as `flush`.
            DatabaseUnavailableError: as `flush`.
        """

        def work(session: Session) -> bool:
            if not mark_epochs(session, self._claim, self._records, self._best, self._lease_seconds):
                return False
            for ending in endings:
                if ending.reason is None:
                    mark_pruned(session, self._claim, ending.trial_id)
                else:
                    mark_completed(session, self._claim, ending.trial_id, ending.reason, ending.weights)
            return True

        self._write(work)
        self._records = []

    def _write(self, work: Callable[[Session], bool]) -> None:
        if not self._database.write(work, self._lease_seconds):
            raise LeaseLostError
