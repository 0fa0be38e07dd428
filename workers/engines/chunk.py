"""The trials of one program call: their state on the device, stacked, the trial axis first.

May import: numpy, the method, the seam to the backend. Knows no report and no epoch number.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from keras import ops
from numpy.typing import NDArray

from workers.engines.backends import tensorflow as backend
from workers.engines.backends.tensorflow import Tensor
from workers.engines.base import Weights, fitted
from workers.engines.epoch import Data, Method, State
from workers.engines.programs import Program

_Value = TypeVar("_Value")

MAX_STATES_KEPT = 3
"""In how many states the weights may lie that are kept, before they are gathered into one: gathering takes time."""
_SMALL_BYTES = 32 * 1024**2
"""States that take no more than this together are never gathered."""


class Lane(NamedTuple):
    """All that is one trial's, on the host."""

    state: State
    """As in `State`, without the trial axis."""
    best: State | None
    """What it was when its weights were last kept."""
    numbers: Mapping[str, float]
    """Its optimizer's, as in `workers.engines.hyperparameters`."""

    @property
    def kept_bytes(self) -> int:
        """What its weights take, and what its layers keep otherwise."""
        return sum(int(array.nbytes) for arrays in (self.state.weights, self.state.others) for array in arrays)

    @property
    def nbytes(self) -> int:
        """What training it takes on the device: state, gradient, and what is kept."""
        weights, others, slots = (sum(int(array.nbytes) for array in arrays) for arrays in self.state)
        return (3 + MAX_STATES_KEPT) * weights + (2 + MAX_STATES_KEPT) * others + slots

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """What a checkpoint keeps of it, by names that begin with the one given."""
        kept = {"state": self.state} | ({} if self.best is None else {"best": self.best._replace(slots=[])})
        return {
            f"{name}/{kind}/{field}/{index}": array
            for kind, state in kept.items()
            for field, arrays in state._asdict().items()
            for index, array in enumerate(arrays)
        }

    def restored(self, arrays: Mapping[str, NDArray[Any]], name: str) -> "Lane":
        """The same trial's, as a checkpoint has it.

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
        return Lane(now, None if best is None else best._replace(slots=now.slots), self.numbers)


class Chunk:
    """Some trials of a cohort, and the program that trains them.

    Attributes:
        trials: their places in the cohort.
    """

    def __init__(self, method: Method, trials: Sequence[int], lanes: Sequence[Lane], width: int) -> None:
        """Stack the lanes; where they are fewer than the width, the first is computed again and ignored."""
        self.trials = tuple(trials)
        self._method = method
        self._width = width
        filled = self.filled(lanes)
        self._state = _stacked([lane.state for lane in filled])
        # Which stacked state a trial's weights are kept in. Tensors never change, so to keep is to hold on to them; one
        # state serves all trials that are kept in the same epoch.
        self._kept: dict[int, State] = {}
        if any(lane.best is not None for lane in lanes):
            best = _stacked([(lane.best or lane.state)._replace(slots=[]) for lane in filled])
            self._kept = {trial: best for trial, lane in zip(trials, lanes, strict=True) if lane.best is not None}
        self._kept_bytes = max(1, self._width * lanes[0].kept_bytes)
        self._copied: tuple[State, State] | None = None
        """A state that was copied to the host since the last epoch, and its copy."""
        names = lanes[0].numbers
        self._host_numbers = {name: np.array([lane.numbers[name] for lane in filled]) for name in names}
        self._numbers = {name: backend.to_device(values) for name, values in self._host_numbers.items()}

    def filled(self, values: Sequence[_Value]) -> list[_Value]:
        """One value for each of the program's trials, given one for each of the chunk's."""
        return [*values, *[values[0]] * (self._width - len(values))]

    def arguments(self, data: Data, order: Tensor) -> tuple[State, Mapping[str, Tensor], Data, Tensor]:
        """What its program is called with, but for the number of batches."""
        return self._state, self._numbers, data, order

    def train(self, program: Program, data: Data, order: Tensor, steps: np.int32) -> NDArray[np.float32]:
        """Train an epoch.

        Returns:
            The metrics of its trials: (metrics, trials).
        """
        self._copied = None
        self._state, results = program(*self.arguments(data, order), backend.to_device(steps))
        return backend.to_numpy(results)[:, : len(self.trials)]

    def keep(self, trials: set[int]) -> None:
        """Remember the weights that some trials have now."""
        here = trials & set(self.trials)
        if not here:
            return
        now = self._state._replace(slots=[])
        self._kept |= dict.fromkeys(here, now)
        states = {id(state): state for state in self._kept.values()}
        if len(states) > max(MAX_STATES_KEPT, _SMALL_BYTES // self._kept_bytes):
            merged = self._merged(list(states.values()))
            self._kept = dict.fromkeys(self._kept, merged)

    def _merged(self, states: Sequence[State]) -> State:
        """One state in which each trial has the weights that are kept for it."""

        def chosen(*tensors: Tensor) -> Tensor:
            result = tensors[0]
            for state, tensor in zip(states[1:], tensors[1:], strict=True):
                is_here = np.array([self._kept.get(trial) is state for trial in self.filled(self.trials)])
                result = ops.where(is_here.reshape(-1, *[1] * (len(tensor.shape) - 1)), tensor, result)
            return result

        return State(*(list(map(chosen, *field)) if field[0] else [] for field in zip(*states, strict=True)))

    def set_learning_rates(self, rates: Mapping[int, float]) -> None:
        """Go on with other learning rates."""
        slot = self._method.learning_rate_slot
        here = {trial: rate for trial, rate in rates.items() if trial in self.trials}
        if not here or slot is None:
            return
        values = backend.to_numpy(self._state.slots[slot]).copy()
        for trial, rate in here.items():
            values[self.trials.index(trial)] = rate
        self._state.slots[slot] = backend.to_device(values)

    def lanes(self) -> dict[int, Lane]:
        """Its trials as they are now, on the host."""
        state = _on_host(self._state)
        kept = {id(stacked): _on_host(stacked) for stacked in self._kept.values()}
        return {
            trial: Lane(
                _lane(state, lane),
                _lane(kept[id(self._kept[trial])], lane) if trial in self._kept else None,
                {name: float(values[lane]) for name, values in self._host_numbers.items()},
            )
            for lane, trial in enumerate(self.trials)
        }

    def weights(self, trial: int) -> Weights:
        """The weights a trial ends with: those that were kept, or else those it has now."""
        lane = self.trials.index(trial)
        state = self._kept.get(trial, self._state)
        if self._copied is None or self._copied[0] is not state:  # trials often end together
            self._copied = state, _on_host(state._replace(slots=[]))
        mine = _lane(self._copied[1], lane)
        return self._method.whole(mine.weights, mine.others)


def _stacked(states: Sequence[State]) -> State:
    return State(
        *([backend.stack(arrays) for arrays in zip(*field, strict=True)] for field in zip(*states, strict=True))
    )


def _on_host(state: State) -> State:
    return State(*([backend.to_numpy(tensor) for tensor in tensors] for tensors in state))


def _lane(state: State, lane: int) -> State:
    return State(*([array[lane] for array in arrays] for arrays in state))
