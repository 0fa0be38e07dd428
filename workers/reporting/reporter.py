"""The report function that an engine is given: it times, records, saves, and answers which trials must stop."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum, auto
from typing import Any, TypeVar

import structlog
from tenacity import RetryCallState, RetryError, Retrying, stop_after_delay, wait_exponential

from fittingroom.views.states import StopReason, TrialPhase
from models.sql.kept_weights import KeptWeights
from workers.engines.base import NO_METRICS, Checkpoint, Cohort, EpochDecision, Metrics, Weights
from workers.reporting.pruning import Ended, Rungs
from workers.reporting.recorder import Ending, LeaseLostError, Recorder
from workers.reporting.trial_rules import TrialWatch
from workers.saving.artifacts import ArtifactWriter
from workers.saving.checkpoints import Checkpoints, SavedCohort

_Saved = TypeVar("_Saved")

ARTIFACT_PATIENCE_SECONDS = 300.0
"""Retry time, in seconds, for storing the weights of trials that end."""

_log = structlog.get_logger()


class LeaseStatus(Enum):
    """Status of a worker's lease on its cohort."""

    HELD = auto()
    LEAVING = auto()
    """The worker was asked to end."""
    LOST = auto()
    """The lease is gone."""


class ReleasedError(Exception):
    """Training ends before its time, politely: the cohort goes back to the queue."""


class Reporter:
    """A `workers.engines.base.Report`."""

    def __init__(
        self,
        cohort: Cohort,
        engine: tuple[str, str],
        recorder: Recorder,
        checkpoints: Checkpoints,
        artifacts: ArtifactWriter,
        checkpoint_seconds: float,
    ) -> None:
        """Set up the watch over each trial.

        Args:
            cohort: what is trained.
            engine: its name, and why it trains this cohort.
            recorder: takes the epochs.
            checkpoints: take the checkpoints.
            artifacts: take the weights that trials end with.
            checkpoint_seconds: interval between checkpoints.
        """
        self._engine = engine
        self._recorder, self._checkpoints, self._artifacts = recorder, checkpoints, artifacts
        self._checkpoint_seconds = checkpoint_seconds
        self._watches = {trial.id: TrialWatch(trial.spec) for trial in cohort.trials}
        pruner = cohort.trials[0].spec.pruner
        self._rungs = None if pruner is None else Rungs(pruner, cohort.trials, cohort.earlier)
        self._ended = {
            trial.id: Ended(trial.ended_after, trial.is_pruned)
            for trial in cohort.trials
            if trial.ended_after is not None
        }
        self._reached: dict[str, float | None] = {
            trial_id: recorder.best_value(trial_id) for trial_id, ended in self._ended.items() if ended.epochs > 0
        }
        """Best objective so far of each trial that has begun."""
        self._unended = {trial.id for trial in cohort.trials if trial.ended_after is None}
        self.time_limit = cohort.trials[0].spec.fit.time_limit_seconds
        """The same for all trials of a cohort."""
        self._ending: dict[str, StopReason | None] = {}
        """Trials that ended with the last epoch, and why; None for those that were pruned."""
        self._weights: dict[str, Weights] = {}
        """Weights of ended trials, as far as the engine has handed them over."""
        self._keeps_state = {trial.id for trial in cohort.trials if not trial.spec.fit.delete_checkpoint}
        self._last_states: dict[str, tuple[str, int]] = {}
        """File of the state of each ended trial that is kept, and its part of the file in bytes."""
        self._compiler = cohort.compiler
        self._epoch = 0
        self._is_leaving = False
        self.is_saving = False
        """True while the storage is written."""
        self._patience_seconds = self._state_patience_seconds = ARTIFACT_PATIENCE_SECONDS
        self._reported_at = self._saved_at = time.monotonic()
        self.lease_status: Callable[[], LeaseStatus] = lambda: LeaseStatus.HELD
        """Asked after each epoch; the runner says."""

    @property
    def has_begun(self) -> bool:
        """True if an epoch has ended since training began or was resumed."""
        return self._epoch > 0

    @property
    def silent_seconds(self) -> float:
        """Time since the last epoch ended, in seconds."""
        return time.monotonic() - self._reported_at

    def restore(self, watches: Mapping[str, Mapping[str, Any]]) -> None:
        """Know of each trial again what was known at a checkpoint."""
        for trial_id, state in watches.items():
            self._watches[trial_id].restore(state)

    def on_phase(self, phase: TrialPhase) -> None:
        """Store what the engine is about to do."""
        self._recorder.set_phase(phase)

    def on_program(self, record: Mapping[str, Any]) -> None:
        """Store how the cohort is trained."""
        self._compiler = record.get("compiler")
        self._recorder.describe(*self._engine, record)

    def on_last_state(self, checkpoint: Checkpoint) -> None:
        """Keep the state of trials that end now; where the storage does not take it, they end without."""
        saved = self._saved_cohort(checkpoint, checkpoint.epochs)
        kept, fault = self._patiently(lambda: self._checkpoints.keep(saved), self._state_patience_seconds)
        if kept is None:
            _log.warning("last_state_missed", error=fault)
            self._state_patience_seconds = 0.0  # likewise
            return
        name, size = kept
        self._last_states |= dict.fromkeys(checkpoint.epochs, (name, size // len(checkpoint.epochs)))

    def _saved_cohort(self, checkpoint: Checkpoint, trials: Iterable[str]) -> SavedCohort:
        watches = {trial_id: self._watches[trial_id].state() for trial_id in trials}
        return SavedCohort(self._engine[0], checkpoint, watches, self._compiler)

    def on_trial_end(self, trial_id: str, weights: Callable[[], Weights]) -> None:
        """Keep the weights; when all trials that ended with this epoch have handed over theirs, they have completed."""
        if trial_id not in self._ending:
            return  # it was cancelled
        is_pruned = self._ending[trial_id] is None
        self._weights[trial_id] = weights() if self._watches[trial_id].has_weights and not is_pruned else []
        if self._weights.keys() == self._ending.keys():
            self._complete()

    def _complete(self) -> None:
        """Save what trials end with, and only then write that they have ended."""
        kept = {trial_id: weights for trial_id, weights in self._weights.items() if weights}
        name, fault = self._save_weights(kept) if kept else (None, None)
        endings = []
        for trial_id, reason in self._ending.items():
            weights = KeptWeights(artifact_fault=fault)
            if reason is None:
                weights = KeptWeights()
            elif trial_id not in kept:
                weights = KeptWeights(artifact_fault="none of its epochs had an objective that is a number")
            elif name is not None:
                weights = KeptWeights(name, self._watches[trial_id].kept_epoch or self._epoch)
            checkpoint, size = self._last_states.pop(trial_id, (None, None))
            endings.append(Ending(trial_id, reason, replace(weights, checkpoint=checkpoint, checkpoint_bytes=size)))
        self._recorder.complete(endings)
        self._ending, self._weights = {}, {}

    def _save_weights(self, weights: Mapping[str, Weights]) -> tuple[str | None, str | None]:
        found = self._patiently(lambda: self._artifacts.save(self._epoch, weights), self._patience_seconds)
        if found[0] is None:
            self._patience_seconds = 0.0  # what others of the cohort end with is tried once
        return found

    def _patiently(self, save: Callable[[], _Saved], seconds: float) -> tuple[_Saved | None, str | None]:
        """Write what trials end with, and wait for a storage that does not take it.

        Returns:
            What `save` returned; or, if it was waited for in vain, what was wrong.

        Raises:
            LeaseLostError: somebody else trains the cohort.
            ReleasedError: the worker is to end; another one will train what came after the last checkpoint.
        """
        attempts = Retrying(
            stop=stop_after_delay(seconds),
            wait=wait_exponential(multiplier=0.2, max=10.0),
            before_sleep=self._look_around,
        )
        try:
            with self._saving():
                return attempts(save), None
        except RetryError as error:
            cause = error.last_attempt.exception()
            return None, f"they could not be written: {type(cause).__name__}: {cause}"[:200]

    @contextmanager
    def _saving(self) -> Iterator[None]:
        """While the storage takes its time, which counts for no epoch and for no time limit."""
        began = time.monotonic()
        self.is_saving = True
        try:
            yield
        finally:
            self._reported_at += time.monotonic() - began
            self.is_saving = False

    def _look_around(self, attempt: RetryCallState) -> None:
        """Between two attempts to save: whether there is still a reason to."""
        error = None if attempt.outcome is None else attempt.outcome.exception()
        _log.warning("results_not_written", error=f"{type(error).__name__}: {error}", attempt=attempt.attempt_number)
        match self.lease_status():
            case LeaseStatus.LOST:
                raise LeaseLostError
            case LeaseStatus.LEAVING:
                raise ReleasedError

    def on_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint; one that finds no room is missed, and the one before stands."""
        try:
            with self._saving():
                self._checkpoints.save(self._saved_cohort(checkpoint, self._unended))
        except Exception as error:  # noqa: BLE001 - every storage has exceptions of its own, and none may end training
            _log.warning("checkpoint_missed", error=f"{type(error).__name__}: {error}")
        self._saved_at = time.monotonic()
        if self._is_leaving:
            raise ReleasedError

    def on_epoch(
        self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
    ) -> EpochDecision:
        """Take an epoch; see `workers.engines.base.Report`."""
        seconds, self._reported_at = self.silent_seconds, time.monotonic()
        decisions = {
            trial_id: self._watches[trial_id].after(epoch, values, seconds) for trial_id, values in metrics.items()
        }
        for trial_id, decision in decisions.items():
            self._recorder.add(trial_id, epoch, seconds / len(metrics), decision.recorded)
        for trial_id, values in again.items():
            self._watches[trial_id].look(values)
        lease_status = self.lease_status()
        if lease_status is LeaseStatus.LOST:
            raise LeaseLostError
        self._is_leaving |= lease_status is LeaseStatus.LEAVING
        is_due = self._is_leaving or time.monotonic() - self._saved_at >= self._checkpoint_seconds
        # What a checkpoint is the end of must have been written before.
        requests = self._recorder.flush() if is_due else self._recorder.flush_if_due()
        if requests.pause:
            self._is_leaving = is_due = True
        self._epoch = epoch
        self._reached |= {trial_id: self._watches[trial_id].best for trial_id in (*metrics, *again)}
        going = {id_ for id_, decision in decisions.items() if decision.ended is None} - requests.cancelled
        # Those that go on from an earlier attempt's rung, and those that it has pruned there.
        pruned_here = Ended(epoch, is_pruned=True)
        going |= {id_ for id_ in again if self._ended[id_].epochs > epoch or self._ended[id_] == pruned_here}
        pruned = set() if self._rungs is None else self._rungs.pruned(epoch, going, self._reached, self._ended)
        self._ending = {
            id_: decision.ended
            for id_, decision in decisions.items()
            if (decision.ended is not None or id_ in pruned) and id_ not in requests.cancelled
        }
        self._ended |= {id_: Ended(epoch, is_pruned=reason is None) for id_, reason in self._ending.items()}
        self._ended |= {id_: Ended(epoch if id_ in metrics else 0, is_pruned=False) for id_ in requests.cancelled}
        stopped = {id_: "pruned" if reason is None else reason.value for id_, reason in self._ending.items()}
        stopped |= dict.fromkeys(requests.cancelled, "cancelled")
        self._unended -= stopped.keys()
        return EpochDecision(
            stopped,
            {id_ for id_, decision in decisions.items() if decision.keep},
            {id_: decision.learning_rate for id_, decision in decisions.items() if decision.learning_rate is not None},
            checkpoint=is_due and bool(self._unended),
            kept={id_ for id_ in self._ending if decisions[id_].could_go_on} & self._keeps_state,
        )
