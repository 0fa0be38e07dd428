"""The report function that an engine is given: it times, records, and answers which trials must stop.

May import: the recorder, the watch. Knows no SQL and no Keras.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workers.engines.base import Answer, CohortTrial, Metrics, Weights
from workers.recorder import LeaseLostError, Recorder
from workers.watch import TrialWatch


class ReleasedError(Exception):
    """This worker was asked to end; the cohort goes back to the queue."""


class Reporter:
    """A `workers.engines.base.Report`."""

    def __init__(
        self,
        trials: Sequence[CohortTrial],
        recorder: Recorder,
        engine: tuple[str, str],
        is_releasing: Callable[[], bool],
        is_lost: Callable[[], bool],
    ) -> None:
        """Set up the watch over each trial.

        Args:
            trials: the cohort's.
            recorder: takes the epochs.
            engine: its name, and why it trains this cohort.
            is_releasing: whether the worker was asked to end.
            is_lost: whether the lease is gone.
        """
        self._engine = engine
        self._recorder, self._is_releasing, self._is_lost = recorder, is_releasing, is_lost
        self._watches = {trial.id: TrialWatch(trial.spec) for trial in trials}
        self._last = time.perf_counter()

    def describe(self, record: Mapping[str, Any]) -> None:
        """Store how the cohort is trained."""
        self._recorder.describe(*self._engine, record)

    def ended(self, trial_id: str, weights: Callable[[], Weights]) -> None:
        """Let the weights go: nothing is made of them before there are artifacts."""

    def __call__(self, epoch: int, metrics: Mapping[str, Metrics]) -> Answer:
        """Take an epoch; see `workers.engines.base.Report`."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        verdicts = {trial_id: self._watches[trial_id].after(epoch, values) for trial_id, values in metrics.items()}
        for trial_id, verdict in verdicts.items():
            self._recorder.add(trial_id, epoch, seconds / len(metrics), verdict.recorded, verdict.ended)
        if self._is_lost():
            raise LeaseLostError
        if self._is_releasing():
            self._recorder.flush()
            raise ReleasedError
        stopped: dict[str, str] = {id_: verdict.ended for id_, verdict in verdicts.items() if verdict.ended}
        return Answer(
            stopped | dict.fromkeys(self._recorder.flush_if_due(), "cancelled"),
            {id_ for id_, verdict in verdicts.items() if verdict.keep},
            {id_: verdict.learning_rate for id_, verdict in verdicts.items() if verdict.learning_rate is not None},
        )
