"""The trials of one program call: their stacked states on the device, epoch axis first, then trial axis.

A call may train several epochs; they are given out one by one, and whoever changes something after one of them has
those after it trained again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from keras import ops
from numpy.typing import NDArray

from workers.engines.backends.chosen import backend
from workers.engines.backends.seam import Tensor
from workers.engines.base import Weights, fitted
from workers.engines.fused.epoch import Data, EpochPlan, State, TrainingStep
from workers.engines.fused.programs import Program

_Value = TypeVar("_Value")

MAX_STATES_KEPT = 3
"""Number of calls whose states may hold the kept weights before these are gathered, which takes time."""
_SMALL_BYTES = 32 * 1024**2
"""States that take no more than this together are never gathered."""


class TrialArrays(NamedTuple):
    """All that is one trial's, on the host."""

    state: State
    """State without the trial axis."""
    best: State | None
    """State at the epoch whose weights are kept."""
    numbers: Mapping[str, float]
    """Hyperparameters of the optimizer; see `workers.engines.fused.hyperparameters`."""

    @property
    def kept_bytes(self) -> int:
        """Size of weights and other layer state, in bytes."""
        return sum(int(array.nbytes) for arrays in (self.state.weights, self.state.others) for array in arrays)

    @property
    def nbytes(self) -> int:
        """Size on the device while training, in bytes: state, gradient, kept weights."""
        weights, others, slots = (sum(int(array.nbytes) for array in arrays) for arrays in self.state)
        return (3 + MAX_STATES_KEPT) * weights + (2 + MAX_STATES_KEPT) * others + slots

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the arrays for a checkpoint, by names with a prefix."""
        kept = {"state": self.state} | ({} if self.best is None else {"best": self.best._replace(slots=[])})
        return {
            f"{name}/{kind}/{field}/{index}": array
            for kind, state in kept.items()
            for field, arrays in state._asdict().items()
            for index, array in enumerate(arrays)
        }

    def restored(self, arrays: Mapping[str, NDArray[Any]], name: str) -> "TrialArrays":
        """Return the arrays of the trial in a checkpoint.

        Raises:
            UnusableCheckpointError: the checkpoint has not what it must have.
        """

        def state(kind: str, like: State) -> State:
            return State(
                *(
                    fitted(arrays, [f"{name}/{kind}/{field}/{index}" for index in range(len(values))], values)
                    for field, values in like._asdict().items()
                )
            )

        has_best = f"{name}/best/weights/0" in arrays
        best = state("best", self.state._replace(slots=[])) if has_best else None
        now = state("state", self.state)
        return TrialArrays(now, None if best is None else best._replace(slots=now.slots), self.numbers)


class _Snapshot(NamedTuple):
    """State of trials after one epoch of a call."""

    states: State
    """States of all epochs of the call: (max_epochs, width, …)."""
    epoch: int
    """Index of the epoch in the call, from 0."""

    def on_host(self) -> State:
        """Return the state of that epoch on the host: (width, …)."""
        return State(*([backend.to_numpy(tensor)[self.epoch] for tensor in tensors] for tensors in self.states))


class TrialBlock:
    """Some trials of a cohort, and the program that trains them.

    Attributes:
        trials: their indices in the cohort.
    """

    def __init__(
        self,
        step: TrainingStep,
        trials: Sequence[int],
        trial_arrays: Sequence[TrialArrays],
        lanes: Sequence[int],
        width: int,
        max_epochs: int,
    ) -> None:
        """Stack the arrays of the trials.

        Args:
            step: what is computed.
            trials: their indices in the cohort.
            trial_arrays: the arrays of each of `trials`.
            lanes: the place of each in the program.
            width: of the program; in places without a trial, the first is computed again and ignored.
            max_epochs: the largest number of epochs per call.
        """
        self.trials = tuple(trials)
        self._lanes = list(lanes)
        self._step = step
        self._width = width
        filled = self.filled(trial_arrays)
        self._now = _Snapshot(_stacked([of_trial.state for of_trial in filled], max_epochs), 0)
        self._results: NDArray[np.float32] | None = None
        """Results of the last call, (epochs, metrics, width); None before a call, or if they are outdated."""
        # When a trial's weights were kept. Tensors of networks never change, so to keep is to hold on to them; one
        # snapshot serves all trials that are kept in the same epoch.
        self._kept: dict[int, _Snapshot] = {}
        if any(of_trial.best is not None for of_trial in trial_arrays):
            best = _Snapshot(
                _stacked([(of_trial.best or of_trial.state)._replace(slots=[]) for of_trial in filled], 1), 0
            )
            self._kept = {
                trial: best for trial, of_trial in zip(trials, trial_arrays, strict=True) if of_trial.best is not None
            }
        self._kept_bytes = max(1, self._width * max_epochs * trial_arrays[0].kept_bytes)
        self._copied: tuple[_Snapshot, State] | None = None
        """A snapshot that was copied to the host since the last epoch, and its copy."""
        names = trial_arrays[0].numbers
        self._host_numbers = {name: np.array([of_trial.numbers[name] for of_trial in filled]) for name in names}
        self._numbers = {name: backend.doubles(values) for name, values in self._host_numbers.items()}

    def filled(self, values: Sequence[_Value]) -> list[_Value]:
        """One value for each of the program's trials, given one for each of the block's."""
        filled = [values[0]] * self._width
        for lane, value in zip(self._lanes, values, strict=True):
            filled[lane] = value
        return filled

    def _lane(self, trial: int) -> int:
        return self._lanes[self.trials.index(trial)]

    def arguments(self, data: Data, plan: EpochPlan) -> tuple[Any, ...]:
        """Return the arguments of its program."""
        states = self._now.states
        return states.slots, states._replace(slots=[]), self._numbers, data, plan

    def next_epoch(self, program: Program, data: Data, plan: Callable[[int], EpochPlan]) -> NDArray[np.float32]:
        """Go on by an epoch; it is trained, with some of those after it, if it was not already.

        Args:
            program: of its width.
            data: what to train on.
            plan: of a call that goes on after a given epoch of the one before.

        Returns:
            The metrics of its trials: (metrics, trials).
        """
        self._copied = None
        if self._results is None or self._now.epoch + 1 == len(self._results):
            called = plan(self._now.epoch)
            states, results = program(*self.arguments(data, called))
            self._results = backend.to_numpy(results)[: int(called.epochs)]
            self._now = _Snapshot(states, 0)
        else:
            self._now = self._now._replace(epoch=self._now.epoch + 1)
        metrics: NDArray[np.float32] = self._results[self._now.epoch][:, self._lanes]
        return metrics

    def keep(self, trials: set[int]) -> None:
        """Remember the weights that some trials have now."""
        here = trials & set(self.trials)
        if not here:
            return
        now = _Snapshot(self._now.states._replace(slots=[]), self._now.epoch)
        self._kept |= dict.fromkeys(here, now)
        held = {id(snapshot.states.weights): snapshot.states for snapshot in self._kept.values()}
        if len(held) > max(MAX_STATES_KEPT, _SMALL_BYTES // self._kept_bytes):
            self._kept = dict.fromkeys(self._kept, self._merged())

    def _merged(self) -> _Snapshot:
        """One snapshot in which each trial has the weights that are kept for it."""
        snapshots = list({id(snapshot): snapshot for snapshot in self._kept.values()}.values())

        def chosen(*tensors: Tensor) -> Tensor:
            result = tensors[0][snapshots[0].epoch]
            for snapshot, tensor in zip(snapshots[1:], tensors[1:], strict=True):
                is_here = np.array([self._kept.get(trial) is snapshot for trial in self.filled(self.trials)])
                here = is_here.reshape(-1, *[1] * (len(tensor.shape) - 2))
                result = ops.where(here, tensor[snapshot.epoch], result)
            return result[None]

        fields = zip(*(snapshot.states for snapshot in snapshots), strict=True)
        return _Snapshot(State(*(list(map(chosen, *field)) if field[0] else [] for field in fields)), 0)

    def set_learning_rates(self, rates: Mapping[int, float]) -> None:
        """Go on with other learning rates."""
        slot = self._step.learning_rate_slot
        here = {trial: rate for trial, rate in rates.items() if trial in self.trials}
        if not here or slot is None:
            return
        values = backend.to_numpy(self._now.states.slots[slot]).copy()
        for trial, rate in here.items():
            values[self._now.epoch, self._lane(trial)] = rate
        self._now.states.slots[slot] = backend.to_device(values)
        self._results = None

    def trial_arrays(self) -> dict[int, TrialArrays]:
        """Return its trials on the host."""
        state = self._now.on_host()
        kept = {id(snapshot): snapshot.on_host() for snapshot in self._kept.values()}
        return {
            trial: TrialArrays(
                _of_one(state, lane),
                _of_one(kept[id(self._kept[trial])], lane) if trial in self._kept else None,
                {name: float(values[lane]) for name, values in self._host_numbers.items()},
            )
            for lane, trial in zip(self._lanes, self.trials, strict=True)
        }

    def weights(self, trial: int) -> Weights:
        """Return the weights a trial ends with: those that were kept, or else those it has now."""
        snapshot = self._kept.get(trial, self._now)
        if self._copied is None or self._copied[0] is not snapshot:  # trials often end together
            self._copied = snapshot, snapshot._replace(states=snapshot.states._replace(slots=[])).on_host()
        mine = _of_one(self._copied[1], self._lane(trial))
        return self._step.whole(mine.weights, mine.others)


def _stacked(states: Sequence[State], max_epochs: int) -> State:
    """States of single trials, as if a call had given each of its epochs the same."""

    def stacked(arrays: Sequence[NDArray[Any]]) -> Tensor:
        return backend.stack([np.stack(arrays)] * max_epochs)

    return State(*([stacked(arrays) for arrays in zip(*field, strict=True)] for field in zip(*states, strict=True)))


def _of_one(state: State, index: int) -> State:
    return State(*([array[index] for array in arrays] for arrays in state))
