"""A cohort from claim to end: claim, prepare, train, and one answer to whatever went wrong."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import keras
import structlog

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.validation.shapes import targets_of
from fittingroom.views.states import TrialState
from models.errors import DatabaseUnavailableError, UsageFault
from models.messaging.waiting import WaitingCohort
from models.settings import Settings
from models.sql import experiments, transitions
from models.sql.database import Database
from models.sql.epochs import BestEpoch
from models.sql.leases import Claim
from models.sql.tables import CohortTable, TrialTable
from models.sql.turns import find_next_cohorts
from models.storage import Storage
from workers.builders.networks import describe
from workers.continuation import begin_from_last_states
from workers.datasets import load, prepare
from workers.datasets.adaptation import measure_adapted, with_adapted
from workers.devices import environment
from workers.earlier_rounds import EarlierRounds
from workers.engines.backends.chosen import backend
from workers.engines.base import CannotTrainError, Cohort, CohortTrial, Engine, UnusableCheckpointError
from workers.engines.executables import ExecutableFolder
from workers.engines.fused.engine import FusedEngine
from workers.engines.program_store import ProgramStore
from workers.engines.reference import ReferenceEngine, refusal_of
from workers.reporting.recorder import LeaseLostError, Recorder
from workers.reporting.reporter import LeaseStatus, ReleasedError, Reporter
from workers.saving.artifacts import ArtifactWriter, Inputs
from workers.saving.checkpoints import Checkpoints, SavedCohort
from workers.search_rounds import draw_due_rounds

_LOST_RACES = 5
"""Number of lost races after which the rest is left to other workers."""

_log = structlog.get_logger()


@dataclass(frozen=True)
class _Task:
    """A claimed cohort, and what SQL knows of it."""

    claim: Claim
    engine: str
    engine_reason: str
    cohort: Cohort
    completed: dict[str, int]
    """Epochs of each unended trial."""
    best: dict[str, BestEpoch]
    inputs: Inputs
    """Inputs of its networks."""


class Runner:
    """Trains one cohort at a time.

    Attributes:
        engines: by name; they keep programs and datasets from one cohort to the next.
        claim: what is being trained, or None; the heartbeat keeps it alive, the reaper notifies only while it is None.
        claimed_at: since when, on the monotonic clock.
        reporter: receives the engine's reports during training.
        releasing: set it to end training politely.
        lost: the claim whose lease the heartbeat found gone, if there was one.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        worker_id: str,
        devices: list[str],
        executables: ExecutableFolder | None = None,
    ) -> None:
        """Args: settings, database, this worker's id, what it trains on, and where its compiler writes."""
        self._settings, self._database = settings, database
        self._worker_id, self._devices = worker_id, devices
        self._earlier_rounds = EarlierRounds(database)
        self._storage = Storage(settings.storage_location)
        self._executables = executables
        fused = FusedEngine(settings.memory_bytes, ProgramStore(settings.programs_dir, executables))
        reference = ReferenceEngine(is_tuned=True, executables=executables)
        self.engines: dict[str, Engine] = {fused.name: fused, reference.name: reference}
        self._programs = fused.programs
        self.claim: Claim | None = None
        self.claimed_at = 0.0
        self.reporter: Reporter | None = None
        self.releasing = threading.Event()
        self.lost: Claim | None = None
        self.announce: Callable[[Sequence[WaitingCohort]], None] = lambda _: None
        """Notifies other workers of cohorts; set by the worker process."""
        self._has_put_back = False
        """True if the last cohort was requeued after a transient fault."""

    @property
    def needs_restart(self) -> bool:
        """True if the process should restart: it has made `max_programs` programs, or can keep none any more."""
        is_lost = self._executables is not None and self._executables.is_lost
        return is_lost or self._programs.misses >= self._settings.max_programs

    def train_waiting(self, queues: Collection[str]) -> None:
        """Train what waits in these queues, one cohort after the other, until nothing does or the worker is to end.

        The next rounds of searches are drawn on the way.
        """
        lost = 0
        while lost < _LOST_RACES and not self.releasing.is_set() and not self.needs_restart:
            try:
                drawn = draw_due_rounds(self._database, self._settings)
                if drawn:
                    self.announce(drawn)
                with self._database.reading() as session:
                    offered = find_next_cohorts(session, queues)
            except DatabaseUnavailableError as error:  # who is idle is told again
                _log.warning("work_not_found", error=error.reason)
                return
            if not offered:
                return
            lost = 0 if any(self.train_cohort(cohort_id) for cohort_id in offered) else lost + 1
            if self._has_put_back:  # the fault may be this worker's: others are told first
                return

    def train_cohort(self, cohort_id: str) -> bool:
        """Train a cohort if nobody else does; a race that is lost changes nothing, and is answered False."""
        if self.releasing.is_set():
            return False
        seconds, mine = self._settings.lease_seconds, keras.backend.backend()
        claim = self._database.write(
            lambda session: transitions.mark_claimed(session, cohort_id, self._worker_id, seconds, mine), seconds
        )
        if claim is None:
            return False
        log = _log.bind(cohort=cohort_id, attempt=claim.attempt)
        log.info("cohort_claimed")
        self.claim, self.claimed_at, self._has_put_back = claim, time.monotonic(), False
        checkpoints = Checkpoints(self._storage, claim, mine)
        try:
            self._train(claim, checkpoints)
            checkpoints.remove()
            log.info("cohort_trained")
        except LeaseLostError:
            log.warning("lease_lost")
            self._clear_deleted(claim)
        except ReleasedError:
            self.release(claim)
            log.info("cohort_released")
        except Exception as error:  # noqa: BLE001 - the one place where faults are classified
            self._answer(claim, error, log)
        finally:
            self.claim = self.reporter = None
        return True

    @property
    def silent_seconds(self) -> float:
        """Time since an epoch of the claim ended, in seconds."""
        reporter = self.reporter
        return time.monotonic() - self.claimed_at if reporter is None else reporter.silent_seconds

    def release(self, claim: Claim) -> bool:
        """Give a cohort back to the queue; False if it was no longer this worker's."""
        return self._database.write(
            lambda session: transitions.mark_released(session, claim), self._settings.lease_seconds
        )

    def _train(self, claim: Claim, checkpoints: Checkpoints) -> None:
        """Train with the engine that was planned, or the one that can; from a checkpoint, if one is of use."""
        task = self._prepare(claim, checkpoints)
        for saved in self._starts(task, checkpoints):
            try:
                try:
                    self._train_with(task, saved, checkpoints)
                except CannotTrainError as error:
                    reason = f"keras.Model.fit, as {task.engine} cannot: {error}"
                    other = replace(task, engine=ReferenceEngine.name, engine_reason=reason)
                    self._train_with(other, None, checkpoints)
            except UnusableCheckpointError as error:
                _log.warning("checkpoint_unusable", cohort=claim.cohort_id, error=str(error))
            else:
                return

    def _starts(self, task: _Task, checkpoints: Checkpoints) -> Iterator[SavedCohort | None]:
        """Yield starting points: checkpoints of the engine, the newest first, and at last the beginning."""
        yield from (saved for saved in checkpoints.newest_first(task.completed) if saved.engine == task.engine)
        yield None

    def _train_with(self, task: _Task, saved: SavedCohort | None, checkpoints: Checkpoints) -> None:
        claim, cohort = task.claim, task.cohort
        recorder = Recorder(self._database, claim, cohort.trials, task.best, self._settings.lease_seconds)
        engine = (task.engine, task.engine_reason)
        artifacts = ArtifactWriter(self._storage, claim, task.inputs)
        reporter = Reporter(cohort, engine, recorder, checkpoints, artifacts, self._settings.checkpoint_seconds)
        reporter.lease_status = lambda: self._lease_status(claim)
        if saved is not None:
            reporter.restore(saved.watches)
            cohort = replace(cohort, checkpoint=saved.checkpoint, compiler=cohort.compiler or saved.compiler)
            _log.info("resumed", cohort=claim.cohort_id, epochs=max(saved.checkpoint.epochs.values(), default=0))
        self.reporter = reporter
        self.engines[task.engine].train(cohort, reporter)
        recorder.finish()

    def _lease_status(self, claim: Claim) -> LeaseStatus:
        if self.lost is claim:
            return LeaseStatus.LOST
        return LeaseStatus.LEAVING if self.releasing.is_set() else LeaseStatus.HELD

    def _read(self, claim: Claim, checkpoints: Checkpoints) -> tuple[CohortTable, Sequence[TrialTable]]:
        """Read the cohort and its trials; if these are to go on from others, give them their epochs first."""
        with self._database.reading() as session:
            row = experiments.get_cohort(session, claim.cohort_id)
            rows = experiments.list_cohort_trials(session, claim.cohort_id)
        if any(one.continues and one.state == TrialState.RUNNING and not one.epochs_completed for one in rows):
            begin_from_last_states(self._database, claim, checkpoints, self.engines, self._settings.lease_seconds)
            with self._database.reading() as session:
                row = experiments.get_cohort(session, claim.cohort_id)
                rows = experiments.list_cohort_trials(session, claim.cohort_id)
        return row, rows

    def _prepare(self, claim: Claim, checkpoints: Checkpoints) -> _Task:
        """Read the cohort, describe its network, load its arrays."""
        row, rows = self._read(claim, checkpoints)
        trials = [
            CohortTrial(
                row.id,
                TrialSpec.model_validate(row.spec),
                ended_after=None if row.state == TrialState.RUNNING else row.epochs_completed,
                is_pruned=row.state == TrialState.PRUNED,
            )
            for row in rows
        ]
        first = trials[0].spec
        numbers = load(first.dataset, self._storage)
        features = numbers.x.shape[1]
        arrays, scaling = prepare(first.dataset, first.fit, targets_of(first, features), self._storage, first.fold)
        adapted = measure_adapted(first.model, arrays.x)
        trials = [
            replace(one, spec=one.spec.model_copy(update={"model": with_adapted(one.spec.model, adapted)}))
            for one in trials
        ]
        self._describe(claim, trials, features)
        return _Task(
            claim,
            row.engine,
            row.engine_reason,
            Cohort(
                trials,
                arrays,
                (row.program or {}).get("compiler"),
                earlier=self._earlier_rounds.at_rungs(rows, [one.spec for one in trials]),
            ),
            {row.id: row.epochs_completed for row in rows if row.state == TrialState.RUNNING},
            {
                row.id: BestEpoch(row.best_epoch, row.best_value, row.best_metrics or {})
                for row in rows
                if row.best_epoch is not None and row.best_value is not None
            },
            Inputs(scaling, numbers.feature_names, numbers.class_names, adapted),
        )

    def _describe(self, claim: Claim, trials: Sequence[CohortTrial], features: int) -> None:
        """Store what Keras says of the cohort's network, the same for all its trials."""
        description = describe(trials[0].spec, features)
        surroundings = environment(self._devices)
        held = self._database.write(
            lambda session: transitions.mark_described(session, claim, description.summary, surroundings),
            self._settings.lease_seconds,
        )
        if not held:
            raise LeaseLostError

    def _clear_deleted(self, claim: Claim) -> None:
        """Remove what this worker saved of an experiment that was deleted meanwhile."""
        with self._database.reading() as session:
            is_deleted = experiments.is_deleted(session, claim.experiment_id)
        if is_deleted:
            self._storage.remove(claim.experiment_id)

    def _refused_network(self, claim: Claim) -> str | None:
        """Return what Keras says of a network that it can build and not compute, or None."""
        with suppress(Exception):  # what cannot be found out is no refusal
            with self._database.reading() as session:
                [row, *_] = experiments.list_cohort_trials(session, claim.cohort_id)
            spec = TrialSpec.model_validate(row.spec)
            return refusal_of(spec, load(spec.dataset, self._storage).x.shape[1])
        return None

    def _answer(self, claim: Claim, error: Exception, log: structlog.typing.FilteringBoundLogger) -> None:
        """Give a fault to whom it belongs: the spec, the surroundings, or us."""
        log.error("cohort_failed", exc_info=error)
        max_faults = self._settings.max_faults
        detail = f"attempt {claim.attempt}: {type(error).__name__}"
        is_ours = isinstance(error, UsageFault | MemoryError | DatabaseUnavailableError | OSError)
        refused = None if is_ours or backend.is_out_of_memory(error) else self._refused_network(claim)
        with self._database.writing() as session:
            match error:
                case UsageFault():
                    transitions.mark_failed(session, claim, {"kind": "usage", "message": str(error)})
                case _ if isinstance(error, MemoryError) or backend.is_out_of_memory(error):
                    detail = f"attempt {claim.attempt}: worker {self._worker_id} ran out of memory"
                    self._has_put_back = transitions.record_worker_fault(session, claim, max_faults, detail)
                case DatabaseUnavailableError() | OSError():  # the database, the disk, the network
                    self._has_put_back = transitions.record_worker_fault(session, claim, max_faults, detail)
                case _ if refused is not None:
                    transitions.mark_failed(session, claim, {"kind": "usage", "message": refused})
                case _:
                    message = f"the service failed ({type(error).__name__}); its log names cohort {claim.cohort_id}"
                    transitions.mark_failed(session, claim, {"kind": "fatal", "message": message})
