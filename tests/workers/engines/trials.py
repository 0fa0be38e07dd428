"""Trials for tests of the workers, and the plainest script that trains one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import ExperimentSpec, TrialSpec
from fittingroom.specs.validation.shapes import targets_of
from fittingroom.views.states import TrialPhase
from models.planning.plan import plan_experiment
from tests.factories import document
from workers.datasets import prepare
from workers.engines.backends.chosen import backend
from workers.engines.backends.seam import Capacity
from workers.engines.base import (
    NO_METRICS,
    Arrays,
    Checkpoint,
    Cohort,
    CohortTrial,
    Engine,
    EpochDecision,
    Metrics,
    Weights,
)
from workers.engines.fused.engine import FusedEngine
from workers.engines.reference import ReferenceEngine
from workers.reporting.trial_rules import TrialWatch

Histories = dict[str, list[dict[str, float]]]
TWO_CORES = Capacity(calls=2, widest=128, fills=2e7)


def trial_specs(changed: Mapping[str, Any]) -> list[TrialSpec]:
    """Return the trials of an experiment that the API would accept."""
    return [trial.spec for trial in plan_experiment(ExperimentSpec.model_validate(changed)).trials]


def trial_spec(**changes: Any) -> TrialSpec:
    """Return the one trial of a small experiment on titanic."""
    [spec] = trial_specs(document(**changes))
    return spec


def arrays_of(spec: TrialSpec) -> Arrays:
    """Return the arrays of a spec on a built-in dataset."""
    features = BUILT_IN_DATASETS[spec.dataset.name].features
    arrays, _ = prepare(spec.dataset, spec.fit, targets_of(spec, features), fold=spec.fold)
    return arrays


def cohort_of(specs: list[TrialSpec]) -> Cohort:
    """Trials named t1, t2, … with the arrays of the first."""
    return Cohort([CohortTrial(f"t{number}", spec) for number, spec in enumerate(specs, 1)], arrays_of(specs[0]))


class Recording:
    """A report that records its calls, and answers as the real one does."""

    def __init__(self, cohort: Cohort) -> None:
        self.histories: Histories = {trial.id: [] for trial in cohort.trials}
        self.reasons: dict[str, str] = {}
        self.weights: dict[str, Weights] = {}
        self.phases: list[str] = []
        self.records: list[Mapping[str, Any]] = []
        self.checkpoints: list[Checkpoint] = []
        self.last_states: list[Checkpoint] = []
        self._watches = {trial.id: TrialWatch(trial.spec) for trial in cohort.trials}

    def on_phase(self, phase: TrialPhase) -> None:
        self.phases.append(phase.value)

    def on_program(self, record: Mapping[str, Any]) -> None:
        self.records.append(record)

    def on_epoch(
        self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
    ) -> EpochDecision:
        del again
        for trial_id in metrics:
            assert len(self.histories[trial_id]) == epoch - 1
        decisions = {trial_id: self._watches[trial_id].after(epoch, values) for trial_id, values in metrics.items()}
        for trial_id, decision in decisions.items():
            self.histories[trial_id].append(dict(decision.recorded))
        self.reasons |= {trial_id: decision.ended for trial_id, decision in decisions.items() if decision.ended}
        return EpochDecision(
            {trial_id: decision.ended for trial_id, decision in decisions.items() if decision.ended},
            {trial_id for trial_id, decision in decisions.items() if decision.keep},
            {trial_id: v.learning_rate for trial_id, v in decisions.items() if v.learning_rate is not None},
        )

    def on_checkpoint(self, checkpoint: Checkpoint) -> None:
        self.checkpoints.append(checkpoint)

    def on_last_state(self, checkpoint: Checkpoint) -> None:
        self.last_states.append(checkpoint)

    def on_trial_end(self, trial_id: str, weights: Callable[[], Weights]) -> None:
        self.weights[trial_id] = weights()


def fused_engine(compiler: str = "graph", **options: int) -> FusedEngine:
    """Return a fused engine with one compiler; the graph takes a tenth of XLA's time for a small network."""
    return FusedEngine(compiler=compiler if compiler in backend.COMPILERS else backend.COMPILERS[0], **options)


def reference_engine() -> ReferenceEngine:
    """Return a reference engine as a worker has it: several batches a call."""
    return ReferenceEngine(is_tuned=True)


def trained(engine: Engine, cohort: Cohort) -> Recording:
    """Train a cohort; return what was reported."""
    recording = Recording(cohort)
    engine.train(cohort, recording)
    return recording


def plain_script(
    model: keras.Model,
    arrays: Arrays,
    *,
    seed: int,
    epochs: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    **options: Any,
) -> list[dict[str, float]]:
    """One `fit` of one epoch after the other, over rows put into the order of the epoch: the numbers to agree with.

    It shares no code with the engine: the order is written out again from the sentence in DESIGN that says it.
    """
    history = []
    called = keras.callbacks.CallbackList(list(callbacks), model=model)
    called.on_train_begin()
    x, y = arrays.x, arrays.y
    validation = None if arrays.x_validation is None else (arrays.x_validation, arrays.y_validation)
    for epoch in range(epochs):
        order = np.random.Generator(np.random.Philox(key=[seed, epoch + 1])).permutation(len(x))
        fitted = model.fit(
            x[order], y[order], batch_size=32, shuffle=False, validation_data=validation, verbose=0, **options
        )
        logs = {name: values[0] for name, values in fitted.history.items()}
        history.append(logs)
        model.stop_training = False
        called.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    return history
