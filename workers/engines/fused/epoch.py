"""Epochs of several trials as a pure function, the trial axis first: the step that the fused engine compiles.

The arithmetic is Keras's own: `stateless_call`, `stateless_apply`, `stateless_update_state`.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import keras
import numpy as np
from cachetools import LRUCache, cachedmethod
from keras import ops
from numpy.typing import NDArray

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.validation.shapes import measure
from workers.builders.heads import units_of
from workers.builders.networks import build_network
from workers.builders.optimizers import build_optimizer
from workers.engines.backends.chosen import backend
from workers.engines.backends.seam import Tensor, Tree
from workers.engines.base import CannotTrainError
from workers.engines.fused.batches import Batches, Rows, batch_of, present_rows, without_padding
from workers.engines.fused.heads import Heads
from workers.engines.fused.hyperparameters import set_numbers
from workers.engines.fused.weights import WeightLayout

_FIRST_STATES_BYTES = 2 * 1024**2
"""Size of the initial states that are kept, of networks that take longer to build than to train."""


class State(NamedTuple):
    """State changed by training: tensors of `width` trials, the trial axis first."""

    weights: list[Tensor]
    """Trainable weights, as `WeightLayout` joins them."""
    others: list[Tensor]
    """Other layer state: moving averages, random generators."""
    slots: list[Tensor]
    """The optimizer's variables."""


class Data(NamedTuple):
    """Training and validation rows."""

    training: Rows
    validation: Rows | tuple[()]
    """Nothing where nothing is validated."""


class EpochPlan(NamedTuple):
    """Epochs, rows and steps of one call of a program."""

    orders: Tensor
    """Row order of each epoch: int32 (max_epochs, rows), the same for all trials, or (max_epochs, width, rows), where
    `max_epochs` is the maximum number of epochs per call; rows are as many as `Batches.padded` says."""
    start: Tensor
    """int32 (): after which epoch of the call before to go on, counted from 0."""
    steps: Tensor
    """int32 (): how many batches the loop of an epoch has."""
    epochs: Tensor
    """int32 (): how many epochs to train, from 1 to `max_epochs`."""


class TrainingStep:
    """Network, optimizer, loss and metrics of a trial: what its program computes.

    Attributes:
        key: identifies the step.
        can_map: whether it pays to map it over trials, as far as is known.
        row_cost: multiplications that a row takes, once through the network.
        cost: the same of a batch.
        sequence_steps: steps of sequences that layers compute one after the other.
        activation_bytes: what the layers make of a batch, in float32.
        batches: how rows are divided.
        learning_rate_slot: where among the slots the learning rate is; None with a schedule.
    """

    def __init__(self, spec: TrialSpec, features: int, key: str) -> None:
        """Build it.

        Args:
            spec: any trial of the cohort.
            features: how many numbers a row has.
            key: identifies the step.
        """
        self.key = key
        self._model = build_network(spec, features, backend.LAYERS)
        layers, measured = list(spec.model.parts()), measure(spec.model, features)
        is_tracked_by_batch = backend.TRACKS_LOSSES_BY_BATCH and len(spec.heads) > 1
        batch_size = sampled_value(spec.fit.batch_size)
        self.batches = Batches.of(layers, batch_size, is_tracked_by_batch=is_tracked_by_batch)
        self.can_map = backend.maps_well(layers)
        self.row_cost = float(measured.multiplications)
        self.sequence_steps = measured.sequence_steps
        self.cost = self.row_cost * self.batches.size
        self.activation_bytes = 4 * self.batches.size * measured.numbers_per_row
        self._optimizer = backend.without_variables(build_optimizer(spec.optimizer))
        if not self._model.trainable_variables:
            raise CannotTrainError("no weight of the network is trained")
        is_sparse = any(layer.has_sparse_gradient for layer in layers)
        self._layout = WeightLayout(self._model.trainable_variables, self._optimizer, may_join=not is_sparse)
        self._optimizer.build(self._layout.variables)
        self._first_slots = {_initial_slot(spec): _values(self._optimizer.variables)}
        self._first_states: LRUCache[int, State] = LRUCache(_FIRST_STATES_BYTES, getsizeof=_nbytes)
        with suppress(ValueError):  # it is too large
            self._first_states[spec.seed] = self._state_of(self._model)
        self._heads = Heads(spec, units_of(self._model))
        self._repeats = not self._heads.takes_zeros or not all(layer.takes_zeros for layer in layers)
        rate = self._optimizer._learning_rate  # noqa: SLF001 - the only way to tell it from other variables
        self.learning_rate_slot = next(
            (index for index, variable in enumerate(self._optimizer.variables) if variable is rate), None
        )

    @cachedmethod(lambda self: self._first_states, key=lambda _, spec, __: spec.seed)
    def first_state(self, spec: TrialSpec, features: int) -> State:
        """Return the initial state of a trial's network, without trial axis and slots. Depends on the seed alone."""
        return self._state_of(build_network(spec, features, backend.LAYERS))

    def _state_of(self, network: keras.Model) -> State:
        weights = self._layout.join(_values(network.trainable_variables))
        return State(weights, _values(network.non_trainable_variables), [])

    def first_slots(self, spec: TrialSpec) -> list[NDArray[Any]]:
        """Return the initial state of a trial's optimizer."""
        initial = _initial_slot(spec)
        if initial not in self._first_slots:
            optimizer = backend.without_variables(build_optimizer(spec.optimizer))
            optimizer.build(self._layout.variables)
            self._first_slots[initial] = _values(optimizer.variables)
        slots = list(self._first_slots[initial])
        if self.learning_rate_slot is not None:
            slots[self.learning_rate_slot] = np.asarray(spec.optimizer.learning_rate, np.float32)
        return slots

    def whole(self, weights: list[NDArray[Any]], others: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Both in the order of Keras's `model.get_weights()`."""
        values = dict(zip(map(id, self._model.trainable_variables), self._layout.part(weights), strict=True))
        values |= dict(zip(map(id, self._model.non_trainable_variables), others, strict=True))
        return [values[id(variable)] for variable in self._model.weights]

    def epochs(
        self, slots: list[Tensor], network: State, numbers: Mapping[str, Tensor], data: Data, plan: EpochPlan
    ) -> list[Tensor]:
        """Train epochs, one after the other, each with its validation.

        Args:
            slots: the state's of the epochs of the call before, (max_epochs, width, …) each. They are spent.
            network: the same of all else that is in a state; slots are empty.
            numbers: of each trial's optimizer, as `backend.doubles` gave them.
            data: the rows.
            plan: which epochs.

        Returns:
            The state after each epoch, its fields one after the other, (max_epochs, width, …) each, and the metrics,
            float32 (max_epochs, metrics, width); what is beyond the epochs that were trained means nothing.
        """

        def train(number: Tensor, state: State) -> tuple[State, tuple[State, Tensor]]:
            state, results = self._epoch(state, numbers, data, backend.at(plan.orders, number), plan.steps)
            return state, (state, results)

        before = network._replace(slots=slots)
        state = State(*([backend.at(tensor, plan.start) for tensor in field] for field in before))
        states, results = backend.collect(plan.epochs, plan.orders.shape[0], train, state)
        return [*(tensor for field in states for tensor in field), results]

    def _epoch(
        self, state: State, numbers: Mapping[str, Tensor], data: Data, order: Tensor, steps: Tensor
    ) -> tuple[State, Tensor]:
        """Return the state after an epoch, and its metrics, float32 (metrics, width)."""
        width, rows, size = state.weights[0].shape[0], data.training.x.shape[0], self.batches.size

        def step(
            first: Tensor, size: int, passed: tuple[State, Tree], present: Tensor | None = None
        ) -> tuple[State, Tree]:
            return self._train(*passed, numbers, batch_of(data.training, order, first, size, width), present, width)

        def step_of_loop(number: Tensor, passed: tuple[State, Tree]) -> tuple[State, Tree]:
            first = number * size
            return step(first, size, passed, present_rows(first, size, rows) if self.batches.is_padded else None)

        passed = (state, self._heads.zeros(width))
        if rows >= size:
            passed = backend.repeat(steps, step_of_loop, passed)
        if last := self.batches.left_over(rows):
            passed = step(rows - last, last, passed)
        state, measured = passed
        results = self._heads.results(measured, width)
        if data.validation:
            others, measured = self._validated(state, data.validation, width)
            state = state._replace(others=others)
            results += self._heads.results(measured, width)
        return state, ops.stack(results)

    def _train(
        self,
        state: State,
        measured: Tree,
        numbers: Mapping[str, Tensor],
        batch: Rows,
        present: Tensor | None,
        width: int,
    ) -> tuple[State, Tree]:
        """One step of the optimizer for each trial, on its batch."""

        def one(trial: Tree) -> Tree:
            weights, others, slots, measured, numbers, (x, y, weight) = trial

            def loss_of(weights: list[Tensor]) -> tuple[Tensor, Tree]:
                outputs, changed, losses = self._model.stateless_call(
                    weights,
                    others,
                    without_padding(present, x, repeats=self._repeats),
                    training=True,
                    return_losses=True,
                )
                loss, tracked = self._heads.losses(y, outputs, losses, weight, present)
                return loss, (tracked, outputs, changed)

            _, (tracked, outputs, others), gradient = backend.value_and_gradient(
                loss_of, self._layout.part_tensors(weights)
            )
            set_numbers(self._optimizer, {name: backend.TrialNumber(number) for name, number in numbers.items()})
            weights, slots = self._optimizer.stateless_apply(slots, self._layout.join_tensors(gradient), weights)
            return weights, others, slots, self._heads.measured(measured, tracked, y, outputs, present)

        stacked = (state.weights, state.others, state.slots, measured, dict(numbers), tuple(batch))
        weights, others, slots, measured = backend.map_trials(one, stacked, width)
        return State(weights, others, slots), measured

    def _validated(self, state: State, rows: Rows, width: int) -> tuple[list[Tensor], Tree]:
        """Return other layer state and the metrics' state after all validation rows, in steps of one size."""
        count = rows.x.shape[0]
        is_padded = self.batches.is_padded_to_validate
        size = self.batches.evaluation_size(count)
        steps = -(-count // size) if is_padded else count // size

        def step(first: Tensor, size: int, passed: Tree) -> Tree:
            present = present_rows(first, size, count) if is_padded else None

            def one(trial: Tree) -> Tree:
                weights, others, measured, (x, y, weight) = trial
                outputs, changed, losses = self._model.stateless_call(
                    self._layout.part_tensors(weights),
                    others,
                    without_padding(present, x, repeats=self._repeats),
                    training=False,
                    return_losses=True,
                )
                _, tracked = self._heads.losses(y, outputs, losses, weight, present)
                measured = self._heads.measured(measured, tracked, y, outputs, present)
                return changed if carries else others, measured

            batch = batch_of(rows, None, first, size, width)
            others, measured = passed
            return backend.map_trials(one, (state.weights, others, measured, tuple(batch)), width)

        carries = not self.batches.validates_apart  # otherwise what comes out is what went in
        passed = state.others, self._heads.zeros(width)
        if steps == 1:
            passed = step(0, size, passed)
        elif steps:
            passed = backend.repeat(steps, lambda number, passed: step(number * size, size, passed), passed)
        last = count - steps * size
        passed = step(count - last, last, passed) if last > 0 else passed
        others, measured = passed
        return others, measured


def _values(variables: Sequence[keras.Variable]) -> list[NDArray[Any]]:
    return [backend.to_numpy(variable.value) for variable in variables]


def _nbytes(state: State) -> int:
    return sum(int(array.nbytes) for arrays in state for array in arrays)


def _initial_slot(spec: TrialSpec) -> float | None:
    """Return what an optimizer's slots begin with, where that can be chosen."""
    initial: float | None = getattr(spec.optimizer, "initial_accumulator_value", None)
    return initial
