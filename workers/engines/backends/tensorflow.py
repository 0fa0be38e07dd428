"""The seam to TensorFlow: gradient, map over trials, loop over batches, compile, and an update without variables.

May import: keras, tensorflow. Knows no spec and no trial. All that the fused engine needs of a backend stands here, and
nothing of TensorFlow leaves this module but its tensors.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

import workers.engines.backends.tensorflow_maps  # noqa: F401 - its import registers
from workers.engines.backends.tensorflow_random import ArithmeticDropout

Tensor = Any
"""A `tf.Tensor`, or what stands for one while a function is traced."""
_BATCHES_AHEAD = 8
Tree = Any
"""Tensors in lists, tuples and dicts."""

OUT_OF_MEMORY: type[Exception] = tf.errors.ResourceExhaustedError
"""What is raised when the device has no memory left."""

LAYERS: dict[str, type[keras.layers.Layer]] = {"dropout": ArithmeticDropout}
"""Layers that give Keras's numbers in a compiled program too, by their type in a spec."""


class CannotMapError(Exception):
    """TensorFlow has no way to map some operation of a function over the trials."""


class CannotCompileError(Exception):
    """TensorFlow cannot make one program of a function."""


class TrialNumber:
    """Stands where Keras expects a Python float, and is another number for each trial.

    Keras computes with such a float in double precision and rounds where it meets a tensor; so does this. Keras also
    asks whether it is there at all (`if self.momentum != 0`): it is, zeros are never made into one of these.
    """

    dtype = "float32"

    def __init__(self, value: Tensor) -> None:
        """Args: value: float64 ()."""
        self._value = value

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Tensor:  # noqa: ANN401 - TensorFlow's protocol
        return tf.cast(self._value, dtype or tf.float32, name=name)

    def __add__(self, other: object) -> Any:  # noqa: ANN401 - a number for a number, a tensor for a tensor
        return self._with(other, tf.add)

    def __mul__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(other, tf.multiply)

    def __sub__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(other, tf.subtract)

    def __rsub__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(other, lambda ours, theirs: tf.subtract(theirs, ours))

    def __rtruediv__(self, other: object) -> Any:  # noqa: ANN401
        return self._with(other, lambda ours, theirs: tf.divide(theirs, ours))

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> "TrialNumber":
        return TrialNumber(-self._value)

    def __bool__(self) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # it equals nothing

    def _with(self, other: object, operation: Callable[[Tensor, Tensor], Tensor]) -> Any:  # noqa: ANN401
        if isinstance(other, float | int):
            return TrialNumber(operation(self._value, tf.constant(other, tf.float64)))
        tensor = tf.convert_to_tensor(other)
        return operation(tf.cast(self._value, tensor.dtype), tensor)


def without_variables(optimizer: keras.Optimizer) -> keras.Optimizer:
    """The same optimizer, whose `stateless_apply` works.

    Keras refuses it on TensorFlow because of `tf.distribute`, which is not used here. The methods of Keras's common
    base class need none of it; they are put between the optimizer's own class and TensorFlow's.
    """
    for_tensorflow, for_all = keras.Optimizer.__bases__
    overridden = {
        name: getattr(for_all, name)
        for name in vars(for_tensorflow)
        if callable(getattr(for_all, name, None)) and not name.startswith("__")
    }
    stateless = type("Stateless", (for_tensorflow,), overridden)
    cls: Any = type(f"Stateless{type(optimizer).__name__}", (type(optimizer), stateless), {})
    return cls.from_config(optimizer.get_config())


def value_and_gradient(
    function: Callable[[list[Tensor]], tuple[Tensor, Tree]], weights: list[Tensor]
) -> tuple[Tensor, Tree, list[Tensor]]:
    """Value of a function of the weights, what else it returns, and the gradient of the value."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        value, further = function(weights)
    return value, further, tape.gradient(value, weights)


def map_trials(function: Callable[[Tree], Tree], stacked: Tree, width: int) -> Tree:
    """Apply a function of one trial to all of them at once.

    Args:
        function: of what one trial has.
        stacked: the same with a trial axis of length `width` first.
        width: how many trials. One is not mapped, so that everything can be computed for it.

    Raises:
        CannotMapError: something in the function cannot be mapped.
    """
    if width == 1:
        alone = function(tf.nest.map_structure(lambda tensor: tensor[0], stacked))
        return tf.nest.map_structure(lambda tensor: tf.expand_dims(tensor, 0), alone)
    log = tf.get_logger()
    level = log.level
    log.setLevel("CRITICAL")  # it reports at length what is answered here
    try:
        return tf.vectorized_map(function, stacked, fallback_to_while_loop=False, warn=False)
    except (ValueError, NotImplementedError, TypeError) as error:
        raise CannotMapError(str(error).strip().partition("\n")[0]) from error
    finally:
        log.setLevel(level)


def repeat(times: Tensor, body: Callable[[Tensor, Tree], Tree], state: Tree) -> Tree:
    """Pass a state through `body(i, state)` for i from 0 to times - 1."""
    _, state = tf.while_loop(
        lambda i, _: i < times, lambda i, state: (i + 1, body(i, state)), (tf.constant(0), state), parallel_iterations=1
    )
    return state


class Compiled:
    """A function as one program, in two makes: TensorFlow's graph as it is, and compiled by XLA."""

    def __init__(self, function: Callable[..., Tree], *example: Tree) -> None:
        """Trace.

        Args:
            function: of tensors; it is called once.
            example: arguments of the shapes that it will have.

        Raises:
            CannotMapError: as `map_trials`.
            CannotCompileError: the function cannot be traced.
        """
        specs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), example)
        try:
            traced = tf.function(function, autograph=False).get_concrete_function(*specs)
        except (ValueError, TypeError, NotImplementedError, tf.errors.OpError) as error:
            raise CannotCompileError(str(error).strip().partition("\n")[0]) from error
        self._makes = {
            "graph": traced,
            "xla": tf.function(lambda *arguments: traced(*arguments), autograph=False, jit_compile=True),  # noqa: PLW0108 - tf.function takes no concrete function
        }

    def __call__(self, compiler: str, *arguments: Tree) -> Tree:
        """Run it, as `graph` or as `xla`, which is compiled when it is first run.

        Raises:
            CannotCompileError: the compiler refuses the program.
        """
        try:
            return self._makes[compiler](*arguments)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            raise CannotCompileError(str(error).strip().partition("\n")[0]) from error


def stream(
    arrays: Sequence[NDArray[Any]], rows_of: Callable[[int], NDArray[np.int64]], batches: int
) -> tf.data.Dataset:
    """Batches of rows that stay on the host, read while the one before is trained on.

    Args:
        arrays: (rows, …) each: features, targets, and what rows count, where they do not count 1.
        rows_of: the rows of a batch; asked anew in every epoch.
        batches: how many an epoch has.
    """

    def read(number: np.int64) -> list[NDArray[Any]]:
        rows = rows_of(int(number))
        return [array[rows] for array in arrays]

    def batch(number: Tensor) -> tuple[Tensor, ...]:
        values = tf.numpy_function(read, [number], [array.dtype for array in arrays])
        for value, array in zip(values, arrays, strict=True):
            value.set_shape([None, *array.shape[1:]])
        return tuple(values)

    return tf.data.Dataset.range(batches).map(batch).prefetch(_BATCHES_AHEAD)


def to_device(array: NDArray[Any] | np.generic) -> Tensor:
    """Copy an array to the device that computes."""
    return tf.constant(array)


def stack(arrays: Sequence[NDArray[Any]]) -> Tensor:
    """Copy arrays to the device, one after the other along a new first axis."""
    return tf.constant(np.stack(arrays))


def to_numpy(tensor: Tensor) -> NDArray[Any]:
    """Wait for a tensor, and copy it back."""
    array: NDArray[Any] = tensor.numpy()
    return array


def cores() -> int:
    """How many programs are worth running beside each other: CPU cores, or 1 where a GPU computes."""
    return 1 if tf.config.get_visible_devices("GPU") else len(os.sched_getaffinity(0))
