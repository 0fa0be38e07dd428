"""The reference engine: `keras.Model.fit`, one trial after the other, for any network and for data of any size.

What it computes is right by definition; other engines are measured against it.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.validation.shapes import measure
from workers.builders.heads import BuiltHead, build_heads, divided, units_of
from workers.builders.networks import build_compiled
from workers.engines.backends.chosen import backend
from workers.engines.backends.seam import in_a_line
from workers.engines.base import (
    Arrays,
    Checkpoint,
    Cohort,
    CohortTrial,
    Report,
    UnusableCheckpointError,
    Weights,
    fitted,
)
from workers.engines.compilers import Calls, CompilerChoice, as_begun, choose_compiler
from workers.engines.executables import ExecutableFolder
from workers.engines.row_order import permutation


class ReferenceEngine:
    """One `fit` per trial, with one callback."""

    name = "reference"

    def __init__(self, *, is_tuned: bool = False, executables: ExecutableFolder | None = None) -> None:
        """Make an engine.

        Args:
            is_tuned: whether to choose the compiler, and to put several batches into a call. Otherwise `fit` is called
                with Keras's own defaults: the definition of what is right.
            executables: where XLA writes what it makes for `fit`, which is not kept.
        """
        self._executables = executables
        self._is_tuned = is_tuned

    def train(self, cohort: Cohort, report: Report) -> None:
        """Train the trials in their order; see `workers.engines.base.Engine`."""
        with backend.precision(cohort.trials[0].spec.precision):
            self._train(cohort, report)

    def continued(self, last: Checkpoint, trials: Mapping[str, str]) -> Checkpoint:
        """Return a checkpoint from which a new trial goes on; see `workers.engines.base.Engine`."""
        if [*trials.values()] != [last.document["trial"]]:
            raise UnusableCheckpointError("it is the state of another trial, or of several")
        [trial_id] = trials
        epoch = last.document["epoch"]
        return Checkpoint({trial_id: epoch}, {"trial": trial_id, "epoch": epoch}, last.arrays)

    def _train(self, cohort: Cohort, report: Report) -> None:
        stopped = {trial.id for trial in cohort.trials if trial.ended_after is not None}
        saved = cohort.checkpoint
        if saved is not None and saved.document.get("trial") not in {trial.id for trial in cohort.trials} - stopped:
            raise UnusableCheckpointError("its trial is not one that is to be trained")
        begun = None if cohort.compiler is None else as_begun(cohort.compiler)
        choice = begun or self._choice(cohort.trials[0].spec, cohort.arrays)
        report.on_program({"trials_per_program": 1, "compiler": choice.compiler, "compiler_reason": choice.reason})
        for trial in cohort.trials:
            if trial.id not in stopped:
                mine = saved if saved is not None and saved.document["trial"] == trial.id else None
                with nullcontext() if self._executables is None else self._executables.compiling():
                    self._fit(trial, replace(cohort, compiler=choice.compiler, checkpoint=mine), report, stopped)

    def _fit(self, trial: CohortTrial, cohort: Cohort, report: Report, stopped: set[str]) -> None:
        arrays = cohort.arrays
        model = self._compiled(trial.spec, arrays, cohort.compiler)
        order = _Order(trial.spec, len(arrays.x))
        heads = build_heads(trial.spec, units_of(model))
        validation = None
        if arrays.x_validation is not None:
            validation = (arrays.x_validation, divided(arrays.y_validation, heads))
        reporting = _EpochReport(trial.id, order, report, stopped)
        first = 0
        if cohort.checkpoint is not None:
            reporting.best = _restore(model, cohort.checkpoint)
            first = cohort.checkpoint.document["epoch"]
        model.fit(
            backend.stream(_training(arrays, heads), order.batch, order.batches),
            initial_epoch=first,
            epochs=sampled_value(trial.spec.fit.epochs),
            validation_data=validation,
            validation_batch_size=sampled_value(trial.spec.fit.batch_size),
            shuffle=False,
            verbose=0,
            callbacks=[reporting],
        )
        report.on_trial_end(trial.id, lambda: reporting.best or model.get_weights())

    def _compiled(self, spec: TrialSpec, arrays: Arrays, compiler: str | None) -> keras.Sequential:
        calls = {"steps_per_execution": backend.STEPS_PER_CALL} if self._is_tuned else {}
        return build_compiled(spec, arrays.x.shape[1], is_compiled=compiler == "xla", **calls)

    def _choice(self, spec: TrialSpec, arrays: Arrays) -> CompilerChoice:
        """Return the compiler that the rule says, or Keras's own in a plain `fit`."""
        if not self._is_tuned:
            return CompilerChoice(backend.COMPILERS[0], "Keras's own")
        batch_size, epochs = sampled_value(spec.fit.batch_size), sampled_value(spec.fit.epochs)
        network = measure(spec.model, arrays.x.shape[1])
        steps, is_on_gpu = -(-len(arrays.x) // batch_size), backend.capacity().is_gpu
        cost = float(network.multiplications * batch_size)
        calls = Calls(1, 1, steps, cost, epochs, is_on_gpu, network.sequence_steps)
        return choose_compiler(spec, calls, backend.COMPILERS)


def refusal_of(spec: TrialSpec, features: int) -> str | None:
    """Return why Keras cannot train a network that it can build, in its own words; None if it can."""
    model = build_compiled(spec, features)
    x = np.zeros((2, features), np.float32)
    heads = build_heads(spec, units_of(model))
    y = np.zeros((2, sum(head.target.width for head in heads)), np.float32)
    y = y.astype(np.int64) if heads[0].target.form == "index" and len(heads) == 1 else y
    try:
        model.train_on_batch(x, divided(y, heads))
    except Exception as error:  # noqa: BLE001 - whatever a backend raises
        return f"Keras cannot train this network: {in_a_line(error)}"
    return None


def _training(arrays: Arrays, heads: Sequence[BuiltHead]) -> tuple[Any, ...]:
    """Return the training arrays for `fit`."""
    given = (arrays.x, divided(arrays.y, heads))
    return given if arrays.weight is None else (*given, arrays.weight)


def _variables(model: keras.Model) -> dict[str, list[keras.Variable]]:
    """All that training changes, the state of random generators included."""
    return {
        "weights": [*model.trainable_variables, *model.non_trainable_variables],
        "optimizer": list(model.optimizer.variables),
    }


def _checkpoint(trial_id: str, epoch: int, model: keras.Model, best: Weights | None) -> Checkpoint:
    kept = {
        kind: [backend.to_numpy(variable.value) for variable in variables]
        for kind, variables in _variables(model).items()
    }
    arrays = {
        f"{kind}/{index}": array
        for kind, values in (kept | {"best": best or []}).items()
        for index, array in enumerate(values)
    }
    return Checkpoint({trial_id: epoch}, {"trial": trial_id, "epoch": epoch}, arrays)


def _restore(model: keras.Model, saved: Checkpoint) -> Weights | None:
    """Make a network what it was; returns the weights that were to be kept, if there were any."""
    model.optimizer.build(model.trainable_variables)
    for kind, variables in _variables(model).items():
        names = [f"{kind}/{index}" for index in range(len(variables))]
        for variable, value in zip(
            variables,
            fitted(saved.arrays, names, [backend.to_numpy(variable.value) for variable in variables]),
            strict=True,
        ):
            variable.assign(value)
    if "best/0" not in saved.arrays:
        return None
    weights = model.get_weights()
    return fitted(saved.arrays, [f"best/{index}" for index in range(len(weights))], weights)


class _Order:
    """Row order of batches, by `permutation(seed, epoch)`."""

    def __init__(self, spec: TrialSpec, rows: int) -> None:
        self._batch_size = sampled_value(spec.fit.batch_size)
        self._seed = spec.seed
        self._shuffle = sampled_value(spec.fit.shuffle)
        self._rows = np.arange(rows)
        self.batches = -(-rows // self._batch_size)
        """Batches per epoch; the last may be smaller."""

    def batch(self, number: int) -> NDArray[np.int64]:
        """Return the rows of a batch, counted from 0."""
        return self._rows[number * self._batch_size : (number + 1) * self._batch_size]

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch, counted from 1."""
        if self._shuffle:
            self._rows = permutation(self._seed, epoch, len(self._rows))


class _EpochReport(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Sets the order before each epoch, reports after it, and does as it is answered."""

    def __init__(self, trial_id: str, order: _Order, report: Report, stopped: set[str]) -> None:
        super().__init__()
        self._trial_id, self._order, self._report, self._stopped = trial_id, order, report, stopped
        self.best: Weights | None = None
        """The weights that were to be kept."""

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keras counts epochs from 0 here."""
        del logs
        self._order.set_epoch(epoch + 1)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keras counts epochs from 0 here."""
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        answer = self._report.on_epoch(epoch + 1, {self._trial_id: metrics})
        self._stopped.update(answer.stopped)
        if self._trial_id in answer.best:
            self.best = self.model.get_weights()
        if self._trial_id in answer.learning_rates:
            self.model.optimizer.learning_rate = answer.learning_rates[self._trial_id]
        if self._trial_id in answer.kept:
            self._report.on_last_state(_checkpoint(self._trial_id, epoch + 1, self.model, self.best))
        if self._trial_id in self._stopped:
            self.model.stop_training = True
        elif answer.checkpoint:
            self._report.on_checkpoint(_checkpoint(self._trial_id, epoch + 1, self.model, self.best))
