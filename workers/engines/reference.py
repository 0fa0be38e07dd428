"""The reference engine: `keras.Model.fit`, one trial after the other, for any network.

May import: keras, numpy, the networks, the specs. Knows neither SQL nor Celery. What it computes is right by
definition; other engines are measured against it.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from models.spec.experiment import TrialSpec
from models.spec.search import fixed
from workers.engines.base import Arrays, Cohort, CohortTrial, Report, Weights
from workers.engines.batches import permutation
from workers.networks import build_compiled


class ReferenceEngine:
    """One `fit` per trial, with one callback."""

    name = "reference"

    def train(self, cohort: Cohort, report: Report) -> None:
        """Train the trials in their order; see `workers.engines.base.Engine`."""
        stopped = {trial.id for trial in cohort.trials if trial.ended_after is not None}
        report.describe({"trials_per_program": 1, "compiler": "graph"})
        for trial in cohort.trials:
            if trial.id not in stopped:
                self._fit(trial, cohort.arrays, report, stopped)

    def _fit(self, trial: CohortTrial, arrays: Arrays, report: Report, stopped: set[str]) -> None:
        keras.utils.clear_session()  # frees the network before, and lets Keras name layers from 1 again
        model = build_compiled(trial.spec, features=arrays.x.shape[1])
        batch_size = fixed(trial.spec.fit.batch_size)
        batches = _OrderedBatches(arrays.x, arrays.y, trial.spec)
        validation = None if arrays.x_validation is None else (arrays.x_validation, arrays.y_validation)
        reporting = _EpochReport(trial.id, batches, report, stopped)
        model.fit(
            batches,
            epochs=fixed(trial.spec.fit.epochs),
            validation_data=validation,
            validation_batch_size=batch_size,
            shuffle=False,
            verbose=0,
            callbacks=[reporting],
        )
        report.ended(trial.id, lambda: reporting.best or model.get_weights())


class _OrderedBatches(keras.utils.PyDataset):  # type: ignore[misc]  # keras has no types
    """The training rows, batch by batch, in the order of `permutation(seed, epoch)`."""

    def __init__(self, x: NDArray[np.float32], y: NDArray[Any], spec: TrialSpec) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._x, self._y = x, y
        self._batch_size = fixed(spec.fit.batch_size)
        self._seed = spec.seed
        self._shuffle = fixed(spec.fit.shuffle)
        self._order = np.arange(len(x))

    @property
    def num_batches(self) -> int:
        """How many batches an epoch has; the last may be smaller."""
        return -(-len(self._x) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._x[rows], self._y[rows]

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch, counted from 1."""
        if self._shuffle:
            self._order = permutation(self._seed, epoch, len(self._x))


class _EpochReport(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Sets the order before each epoch, reports after it, and does as it is answered."""

    def __init__(self, trial_id: str, batches: _OrderedBatches, report: Report, stopped: set[str]) -> None:
        super().__init__()
        self._trial_id, self._batches, self._report, self._stopped = trial_id, batches, report, stopped
        self.best: Weights | None = None
        """The weights that were to be kept."""

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keras counts epochs from 0 here."""
        del logs
        self._batches.set_epoch(epoch + 1)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keras counts epochs from 0 here."""
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        answer = self._report(epoch + 1, {self._trial_id: metrics})
        self._stopped.update(answer.stopped)
        if self._trial_id in answer.best:
            self.best = self.model.get_weights()
        if self._trial_id in answer.learning_rates:
            self.model.optimizer.learning_rate = answer.learning_rates[self._trial_id]
        if self._trial_id in self._stopped:
            self.model.stop_training = True
