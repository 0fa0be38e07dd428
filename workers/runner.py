"""A cohort from claim to end: claim, prepare, train, and one answer to whatever went wrong.

May import: models, the engines, the datasets. Knows no HTTP and no message: `workers.tasks` calls it.
"""

import threading
from collections.abc import Sequence

import structlog
from sqlalchemy.exc import OperationalError

from models import repository, transitions
from models.database import Database
from models.errors import UsageFault
from models.leases import Claim
from models.lifecycle import TrialState
from models.settings import Settings
from models.spec.datasets import BUILT_IN_DATASETS
from models.spec.experiment import TrialSpec
from models.spec.losses import target_form
from models.spec.shapes import measure
from workers.datasets import prepare
from workers.devices import environment
from workers.engines.base import CannotTrainError, Cohort, CohortTrial, Engine
from workers.engines.compilers import KnownCompilers
from workers.engines.fused import FusedEngine
from workers.engines.reference import ReferenceEngine
from workers.networks import describe
from workers.recorder import LeaseLostError, Recorder
from workers.reporter import ReleasedError, Reporter

_log = structlog.get_logger()


class Runner:
    """Trains one cohort at a time.

    Attributes:
        engines: by name; they keep programs and datasets from one cohort to the next.
        claim: what is being trained, or None; the heartbeat keeps it alive, the reaper rings only while it is None.
        releasing: set it to end training politely.
        lost: the claim whose lease the heartbeat found gone, if there was one.
    """

    def __init__(self, settings: Settings, database: Database, worker_id: str, devices: list[str]) -> None:
        """Args: settings, database, this worker's id, and what it trains on."""
        self._settings, self._database = settings, database
        self._worker_id, self._devices = worker_id, devices
        compilers = KnownCompilers(settings.compilers_file)
        fused = FusedEngine(compilers, settings.memory_bytes)
        self.engines: dict[str, Engine] = {fused.name: fused, ReferenceEngine.name: ReferenceEngine(compilers)}
        self._programs = fused.programs
        self.claim: Claim | None = None
        self.releasing = threading.Event()
        self.lost: Claim | None = None

    @property
    def is_worn(self) -> bool:
        """Whether so many programs were compiled that the process is to begin anew."""
        return self._programs.misses >= self._settings.max_programs

    def train_cohort(self, cohort_id: str) -> None:
        """Train a cohort if nobody else does; a race that is lost changes nothing."""
        if self.releasing.is_set():
            return
        with self._database.writing() as session:
            claim = transitions.mark_claimed(session, cohort_id, self._worker_id, self._settings.lease_seconds)
        if claim is None:
            return
        log = _log.bind(cohort=cohort_id, attempt=claim.attempt)
        log.info("cohort_claimed")
        self.claim = claim
        try:
            self._train(claim)
            log.info("cohort_trained")
        except LeaseLostError:
            log.warning("lease_lost")
        except ReleasedError:
            with self._database.writing() as session:
                transitions.mark_released(session, claim)
            log.info("cohort_released")
        except Exception as error:  # noqa: BLE001 - the one place where faults are classified
            self._answer(claim, error, log)
        finally:
            self.claim = None

    def _train(self, claim: Claim) -> None:
        engine, reason, cohort = self._prepare(claim)
        try:
            self._train_with(engine, reason, cohort, claim)
        except CannotTrainError as error:
            self._train_with(ReferenceEngine.name, f"keras.Model.fit, as {engine} cannot: {error}", cohort, claim)

    def _train_with(self, engine: str, reason: str, cohort: Cohort, claim: Claim) -> None:
        recorder = Recorder(self._database, claim, cohort.trials, self._settings.lease_seconds)
        is_lost = lambda: self.lost is claim  # noqa: E731 - a word for it
        report = Reporter(cohort.trials, recorder, (engine, reason), self.releasing.is_set, is_lost)
        self.engines[engine].train(cohort, report)
        recorder.finish()

    def _prepare(self, claim: Claim) -> tuple[str, str, Cohort]:
        """Read the cohort, describe its networks, load its arrays. Returns its engine, why this one, and the cohort."""
        with self._database.reading() as session:
            row = repository.get_cohort(session, claim.cohort_id)
            engine, reason, program = row.engine, row.engine_reason, row.program or {}
            trials = [
                CohortTrial(
                    row.id,
                    TrialSpec.model_validate(row.spec),
                    ended_after=None if row.state == TrialState.RUNNING else row.epochs_completed,
                )
                for row in repository.list_trials(session, claim.experiment_id)
                if row.cohort_id == claim.cohort_id
            ]
        first = trials[0].spec
        features = BUILT_IN_DATASETS[first.dataset.name].features
        self._describe(claim, trials, features)
        target = target_form(first.loss, units=measure(first.model.layers, (features,)).output[0])
        arrays = prepare(first.dataset, first.fit.validation_split, target)
        return engine, reason, Cohort(trials, arrays, program.get("compiler"))

    def _describe(self, claim: Claim, trials: Sequence[CohortTrial], features: int) -> None:
        """Store what Keras says of the cohort's network, the same for all its trials."""
        description = describe(trials[0].spec, features)
        with self._database.writing() as session:
            held = transitions.mark_described(
                session, claim, [trial.id for trial in trials], description.summary, environment(self._devices)
            )
        if not held:
            raise LeaseLostError

    def _answer(self, claim: Claim, error: Exception, log: structlog.typing.FilteringBoundLogger) -> None:
        """Give a fault to whom it belongs: the spec, the surroundings, or us."""
        log.error("cohort_failed", exc_info=error)
        with self._database.writing() as session:
            match error:
                case UsageFault():
                    transitions.mark_failed(session, claim, {"kind": "usage", "message": str(error)})
                case OperationalError() | OSError():  # the database, the disk, the network
                    detail = f"attempt {claim.attempt}: {type(error).__name__}"
                    transitions.mark_faulted(session, claim, self._settings.max_faults, detail)
                case _:
                    message = f"the service failed ({type(error).__name__}); its log names cohort {claim.cohort_id}"
                    transitions.mark_failed(session, claim, {"kind": "fatal", "message": message})
