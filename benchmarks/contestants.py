"""Contestants: a `keras.fit` loop, the fused engine, hand-written JAX, scikit-learn.

Each function gives seconds; medians, where something is repeated.
"""

import math
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from benchmarks.work import EPOCHS, Work
from fittingroom.specs.validation.graph import wire
from workers.builders.networks import build_compiled
from workers.engines.backends.chosen import backend
from workers.engines.base import NO_METRICS, Arrays, Cohort, EpochDecision, Metrics, Weights
from workers.engines.fused.engine import FusedEngine


class Clock:
    """A report that notes when each epoch came and what it gave, and stops after the last."""

    def __init__(self, cohort: Cohort, epochs: int) -> None:
        self._ids, self._epochs = [trial.id for trial in cohort.trials], epochs
        self.times: list[float] = []
        self.metrics: list[Mapping[str, Metrics]] = []
        self.record: Mapping[str, Any] = {}

    def on_phase(self, phase: object) -> None:
        """Ignore it."""

    def on_program(self, record: Mapping[str, Any]) -> None:
        """Keep it."""
        self.record = record

    def on_epoch(
        self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
    ) -> EpochDecision:
        """Note it."""
        del again
        self.times.append(time.perf_counter())
        self.metrics.append(metrics)
        return EpochDecision(dict.fromkeys(metrics, "epochs") if epoch == self._epochs else {})

    def on_last_state(self, checkpoint: object) -> None:
        """Let it go."""

    def on_trial_end(self, trial_id: str, weights: Callable[[], Weights]) -> None:
        """Let it go."""


def keras_fit(work: Work, epochs: int = EPOCHS) -> tuple[float, float]:
    """One trial as a script would train it.

    Returns:
        Seconds of an epoch, the median of all but the first; and of the whole, with building and tracing.
    """
    [spec], arrays = work.specs(1, epochs), work.arrays()
    times: list[float] = []
    started = time.perf_counter()
    keras.utils.clear_session()
    model = build_compiled(spec, features=arrays.x.shape[1])
    model.fit(
        arrays.x, arrays.y, epochs=epochs, batch_size=32, verbose=0,
        validation_data=(arrays.x_validation, arrays.y_validation),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: times.append(time.perf_counter()))],
    )  # fmt: skip
    whole = time.perf_counter() - started
    return statistics.median(np.diff(times)), whole


def fused(
    work: Work, trials: int, engine: FusedEngine, epochs: int = EPOCHS, arrays: Arrays | None = None
) -> tuple[float, float, Any]:
    """Return a cohort on the fused engine.

    Returns:
        Seconds of an epoch of all trials, the median of all calls but the first, divided by a call's epochs; of the
        whole; and the engine's record.
    """
    cohort = work.cohort(trials, epochs, arrays)
    clock = Clock(cohort, epochs)
    started = time.perf_counter()
    engine.train(cohort, clock)
    a_call = clock.record["epochs_per_call"]
    calls = np.diff(clock.times[a_call - 1 :: a_call])
    seconds = statistics.median(calls) / a_call if len(calls) else math.nan  # too few epochs for more than one call
    return seconds, clock.times[-1] - started, clock.record


def sklearn(work: Work, epochs: int = 6) -> float | None:
    """One epoch of one trial of scikit-learn's MLPClassifier, without validation: it has no such pass."""
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415 - a rival

    if work.hidden is None:
        return None
    arrays = work.arrays()
    network = MLPClassifier(
        tuple(work.hidden), solver=work.optimizer, batch_size=32, learning_rate_init=0.001, momentum=0.0, alpha=0.0
    )
    labels = arrays.y.argmax(1)
    times = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(epochs):
            started = time.perf_counter()
            network.partial_fit(arrays.x, labels, classes=np.unique(labels))
            times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def flops(work: Work) -> float:
    """Multiplications and additions of an epoch of one trial, by the shapes of its kernels.

    A step takes two passes of products back for each one forward, but for the first layer, whose input has no gradient.
    """
    arrays = work.arrays()
    [spec] = work.specs(1)
    shapes: list[tuple[int, ...]] = []
    each = []
    for layer, wired in zip(spec.model.layers, wire(spec.model), strict=True):
        found = layer.measured(*(arrays.x.shape[1:] if source < 0 else shapes[source] for source in wired.sources))
        shapes.append(found.output)
        if found.multiplications:
            each.append(2.0 * found.multiplications)
    validated = 0 if arrays.x_validation is None else len(arrays.x_validation)
    return len(arrays.x) * (3 * sum(each) - each[0]) + validated * sum(each)


def peak_flops(size: int = 2048, repeats: int = 7) -> float:
    """Floating-point operations per second of a large matrix product on all cores: what this machine can do."""
    a = backend.to_device(np.random.default_rng(0).random((size, size), np.float32))
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        backend.to_numpy(keras.ops.matmul(a, a)[0, 0])
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times[1:])
