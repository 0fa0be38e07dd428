"""The report function that an engine is given: it times, records, and answers which trials must stop.

May import: recorder and stopping. Knows no SQL and no Keras.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from workers.engines.base import CohortTrial, Metrics
from workers.recorder import LeaseLostError, Recorder
from workers.stopping import TrialWatch


class ReleasedError(Exception):
    """This worker was asked to end; the cohort goes back to the queue."""


class Reporter:
    """A `workers.engines.base.Report`."""

    def __init__(
        self,
        trials: Sequence[CohortTrial],
        recorder: Recorder,
        is_releasing: Callable[[], bool],
        is_lost: Callable[[], bool],
    ) -> None:
        """Set up the watch over each trial.

        Args:
            trials: the cohort's.
            recorder: takes the epochs.
            is_releasing: whether the worker was asked to end.
            is_lost: whether the lease is gone.
        """
        self._recorder, self._is_releasing, self._is_lost = recorder, is_releasing, is_lost
        self._watches = {trial.id: TrialWatch(trial.spec) for trial in trials}
        self._last = time.perf_counter()

    def __call__(self, epoch: int, metrics: Mapping[str, Metrics]) -> Mapping[str, str]:
        """Take an epoch; see `workers.engines.base.Report`."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        stops: dict[str, str] = {}
        for trial_id, values in metrics.items():
            ended = self._watches[trial_id].after(epoch, values)
            self._recorder.add(trial_id, epoch, seconds / len(metrics), values, ended)
            if ended is not None:
                stops[trial_id] = ended
        if self._is_lost():
            raise LeaseLostError
        if self._is_releasing():
            self._recorder.flush()
            raise ReleasedError
        return stops | dict.fromkeys(self._recorder.flush_if_due(), "cancelled")
