"""Interface of the engines to a Keras backend, and code shared by the backends.

A backend is a module with the names of `Backend`; `workers.engines.backends.chosen` says which one this process has.
"""

import math
import operator
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from fittingroom.specs.experiment import Precision
from fittingroom.specs.layers.layer_spec import LayerSpec

Tensor = Any
"""An array on the device, or what stands for one while a function is traced."""
Tree = Any
"""Tensors in lists, tuples and dicts."""


@dataclass(frozen=True)
class Capacity:
    """Capacity of the computing device."""

    calls: int
    """Number of programs worth running concurrently."""
    widest: int
    """Maximum number of trials per program."""
    fills: float
    """Multiplications per step of one trial, from which it keeps the device busy by itself."""
    is_gpu: bool = False


GPU = Capacity(calls=1, widest=4_096, fills=math.inf, is_gpu=True)
"""Not measured: no GPU was at hand."""


def cpu() -> Capacity:
    """Return the capacity of this process's cores; measured on two cores."""
    return Capacity(calls=len(os.sched_getaffinity(0)), widest=128, fills=2e7)


class CannotMapError(Exception):
    """The backend has no way to map some operation of a function over the trials."""


class CannotCompileError(Exception):
    """The backend cannot make one program of a function."""


def in_a_line(error: Exception) -> str:
    """Return an error as one line; of exceptions that Keras wraps, the layer's own message."""
    lines = [line for line in re.sub(r"\x1b\[\d*m", "", str(error)).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        del lines[0]
    return lines[0].strip() if lines else type(error).__name__


class Compiled(Protocol):
    """A function as one program."""

    def __call__(self, *arguments: Tree) -> list[Tensor]:
        """Run it."""


class TrialNumber(ABC):
    """Stands where Keras expects a Python float, and is another number for each trial.

    Keras computes with such a float in double precision and rounds where it meets a tensor; so does this. Keras also
    asks whether it is there at all (`if self.momentum != 0`): it is, zeros are never made into one of these.
    """

    dtype = "float32"

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - whatever a backend computes doubles with
        """Args: value: one number of what `Backend.doubles` gave."""
        self._value = value

    @abstractmethod
    def rounded(self, dtype: Any) -> Tensor:  # noqa: ANN401 - a backend's
        """Return the tensor that Keras would make of the float."""

    @abstractmethod
    def _tensor(self, other: object) -> Tensor:
        """Whatever Keras computes with, as a tensor."""

    def __add__(self, other: object) -> Any:  # noqa: ANN401 - a number for a number, a tensor for a tensor
        return self._with(other, operator.add)

    def __mul__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(other, operator.mul)

    def __sub__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(other, operator.sub)

    def __rsub__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(other, lambda ours, theirs: theirs - ours)

    def __rtruediv__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(other, lambda ours, theirs: theirs / ours)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> "TrialNumber":
        return type(self)(-self._value)

    def __bool__(self) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # it equals nothing

    def _with(self, other: object, operation: Callable[[Any, Any], Any]) -> Any:  # noqa: ANN401
        if isinstance(other, float | int):
            return type(self)(operation(self._value, float(other)))
        tensor = self._tensor(other)
        return operation(self.rounded(tensor.dtype), tensor)


class Backend(Protocol):
    """The names that a backend's module has."""

    LAYERS: dict[str, type[keras.layers.Layer]]
    """Layers to use in the place of Keras's own in a compiled program, by their type in a spec."""
    COMPILERS: Sequence[str]
    """Compilers of a program: `xla` alone, or `graph` and `xla`, between which `workers.engines.compilers` chooses. The
    first is the default of `fit`, and compiles all that can be traced."""
    TRACKS_LOSSES_BY_BATCH: bool
    """True if `fit` averages the losses of several outputs over batches, however many rows the last one has."""
    STEPS_PER_CALL: int
    """Batches per call of `fit`, by measurement."""
    TrialNumber: type[TrialNumber]
    Compiled: Callable[..., Compiled]
    """Makes a program of a trace, with the compiler that it was traced for, a place to keep it, and arguments of the
    shapes that it will have; `CannotCompileError`. The first argument of a call is spent, and not to be used again."""

    def configure(self, gpu: int | None) -> list[str]:
        """Take one GPU, or none, and only as much of its memory as is needed; before anything else.

        Args:
            gpu: number of the GPU to use; None takes the first, where there is one; below 0 none is used.

        Returns:
            The devices in short form: `["cpu:0"]`, or `["gpu:1", "cpu:0"]`.

        Raises:
            LookupError: there is no such GPU; what was found.
        """

    def versions(self) -> dict[str, str]:
        """Return the backend's libraries, by name."""

    def is_out_of_memory(self, error: Exception) -> bool:
        """Return True if the error is out of memory on the device."""

    def capacity(self) -> Capacity:
        """Return the capacity of the device."""

    def precision(self, precision: Precision) -> AbstractContextManager[None]:
        """Multiply float32 matrices that precisely, in what is traced and run within."""

    def without_variables(self, optimizer: keras.Optimizer) -> keras.Optimizer:
        """Return an equal optimizer whose `stateless_apply` works."""

    def value_and_gradient(
        self, function: Callable[[list[Tensor]], tuple[Tensor, Tree]], weights: list[Tensor]
    ) -> tuple[Tensor, Tree, list[Tensor]]:
        """Value of a function of the weights, what else it returns, and the gradient of the value."""

    def trace(self, function: Callable[..., list[Tensor]], compiler: str, example: Sequence[Tree]) -> bytes:
        """Trace a function once, in a form that is the same program in every process.

        Args:
            function: of tensors, to tensors.
            compiler: one of `COMPILERS`.
            example: arguments of the shapes that it will have.

        Raises:
            CannotMapError: as `map_trials`.
            CannotCompileError: the function cannot be traced, or not for this compiler.
        """

    def maps_well(self, layers: Sequence[LayerSpec]) -> bool:
        """Return True if trials of a network of these layers are expected to be faster together."""

    def map_trials(self, function: Callable[[Tree], Tree], stacked: Tree, width: int) -> Tree:
        """Apply a function of one trial to all of them at once.

        Args:
            function: of what one trial has.
            stacked: the same with a trial axis of length `width` first.
            width: how many trials. For one of them everything can be computed.

        Raises:
            CannotMapError: something in the function cannot be mapped.
        """

    def repeat(self, times: Tensor, body: Callable[[Tensor, Tree], Tree], state: Tree) -> Tree:
        """Pass a state through `body(i, state)` for i from 0 to times - 1."""

    def collect(
        self, times: Tensor, max_times: int, body: Callable[[Tensor, Tree], tuple[Tree, Tree]], state: Tree
    ) -> Tree:
        """Pass a state through `body(i, state)`, which also gives something to collect.

        Args:
            times: how often; at least once.
            max_times: the largest number of times.
            body: gives the next state, and tensors.
            state: before the first.

        Returns:
            What was collected, along a new first axis of length `max_times`; what is beyond `times` means nothing.
        """

    def at(self, tensor: Tensor, index: Tensor) -> Tensor:
        """Return the element at an index of the first axis, without a look-up if there is only one."""

    def stream(self, arrays: tuple[Any, ...], rows_of: Callable[[int], NDArray[np.int64]], batches: int) -> Any:  # noqa: ANN401 - whatever `fit` takes
        """Batches of rows that stay on the host, for `fit`.

        Args:
            arrays: (rows, …) each: features, targets or a tuple of them, and what rows count, where not 1.
            rows_of: the rows of a batch; asked anew in every epoch.
            batches: how many an epoch has.
        """

    def to_device(self, array: NDArray[Any] | np.generic) -> Tensor:
        """Copy an array to the device that computes."""

    def doubles(self, values: NDArray[np.float64]) -> Tree:
        """Copy numbers to the device without rounding them: one for each trial."""

    def stack(self, arrays: Sequence[NDArray[Any]]) -> Tensor:
        """Copy arrays to the device, one after the other along a new first axis."""

    def to_numpy(self, tensor: Tensor) -> NDArray[Any]:
        """Wait for a tensor, and copy it back."""
