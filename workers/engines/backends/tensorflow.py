"""The seam on TensorFlow: gradient, map over trials, loops, and an update without variables.

Nothing of TensorFlow leaves this module but its tensors.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

import workers.engines.backends.tensorflow_maps  # noqa: F401 - its import registers
from fittingroom.specs.experiment import Precision
from fittingroom.specs.layers.layer_spec import LayerSpec
from workers.engines.backends import seam, tensorflow_programs
from workers.engines.backends.seam import CannotMapError, Capacity, Tensor, Tree, in_a_line
from workers.engines.backends.tensorflow_random import ArithmeticDropout, kernels


class ConstantNormalization(keras.layers.Normalization):  # type: ignore[misc]  # keras has no types
    """`keras.layers.Normalization` whose numbers are part of a program, and no tensors of this process."""

    def build(self, input_shape: Any) -> None:  # noqa: ANN401 - Keras's signature
        """Keras's own."""
        super().build(input_shape)
        mean, variance = (to_numpy(getattr(self, name)) for name in ("mean", "variance"))
        self.mean, self.variance = mean, variance


LAYERS: dict[str, type[keras.layers.Layer]] = {"dropout": ArithmeticDropout, "normalization": ConstantNormalization}
"""Dropout that gives Keras's numbers in a compiled program too, and a normalization that can be in one."""
COMPILERS = ("graph", "xla")
TRACKS_LOSSES_BY_BATCH = True
"""Keras weighs them by the rows that the shape of a tensor says, and a graph does not know these."""
STEPS_PER_CALL = 16
"""An epoch takes a half to nine tenths of the time that one batch a call takes."""
_BATCHES_AHEAD = 8
Compiled = tensorflow_programs.Compiled
trace = tensorflow_programs.trace


def configure(gpu: int | None) -> list[str]:
    """See the seam."""
    found = tf.config.list_physical_devices("GPU")
    wanted = 0 if gpu is None else gpu
    if wanted >= len(found) and gpu is not None:
        raise LookupError(f"TensorFlow finds {len(found)}; they count from 0")
    used = [found[wanted]] if 0 <= wanted < len(found) else []
    tf.config.set_visible_devices(used, "GPU")
    for device in used:
        tf.config.experimental.set_memory_growth(device, enable=True)
    return [f"gpu:{wanted}" for _ in used] + ["cpu:0"]


def versions() -> dict[str, str]:
    """See the seam."""
    return {"tensorflow": tf.__version__}


def is_out_of_memory(error: Exception) -> bool:
    """See the seam."""
    return isinstance(error, tf.errors.ResourceExhaustedError)


def capacity() -> Capacity:
    """See the seam."""
    return seam.GPU if _computes_on_gpu() else seam.cpu()


def _computes_on_gpu() -> bool:
    return bool(tf.config.get_visible_devices("GPU"))


@contextmanager
def precision(wanted: Precision) -> Iterator[None]:
    """See the seam. TensorFlow itself would use TF32 wherever a GPU has it."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(wanted == "tf32")
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


class TrialNumber(seam.TrialNumber):
    """Computes with float64 tensors."""

    def rounded(self, dtype: Any) -> Tensor:  # noqa: ANN401 - TensorFlow's
        """See the seam."""
        return tf.cast(self._value, dtype)

    def _tensor(self, other: object) -> Tensor:
        return tf.convert_to_tensor(other)

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Tensor:  # noqa: ANN401 - TensorFlow's protocol
        return tf.cast(self._value, dtype or tf.float32, name=name)


def without_variables(optimizer: keras.Optimizer) -> keras.Optimizer:
    """See the seam.

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
    """See the seam."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        value, further = function(weights)
    return value, further, tape.gradient(value, weights)


def maps_well(layers: Sequence[LayerSpec]) -> bool:
    """See the seam; what it cannot map, it says when it is tried.

    A mapped loop over the steps of a sequence took 5 and 2 times as long as one trial after the other (LSTM of 98 steps
    with 3 and 16 trials, 2026-11-29).
    """
    return not any(layer.goes_by_steps for layer in layers)


def map_trials(function: Callable[[Tree], Tree], stacked: Tree, width: int) -> Tree:
    """See the seam. One is not mapped."""
    if width == 1:
        with kernels(usable=tensorflow_programs.COMPILER.get() == "graph"):
            alone = function(tf.nest.map_structure(lambda tensor: tensor[0], stacked))
        return tf.nest.map_structure(lambda tensor: tf.expand_dims(tensor, 0), alone)
    log = tf.get_logger()
    level = log.level
    log.setLevel("CRITICAL")  # it reports at length what is answered here
    try:
        return tf.vectorized_map(function, stacked, fallback_to_while_loop=False, warn=False)
    except (ValueError, NotImplementedError, TypeError) as error:
        raise CannotMapError(in_a_line(error)) from error
    finally:
        log.setLevel(level)


def repeat(times: Tensor, body: Callable[[Tensor, Tree], Tree], state: Tree) -> Tree:
    """See the seam."""
    _, state = tf.while_loop(
        lambda i, _: i < times, lambda i, state: (i + 1, body(i, state)), (tf.constant(0), state), parallel_iterations=1
    )
    return state


def collect(times: Tensor, max_times: int, body: Callable[[Tensor, Tree], tuple[Tree, Tree]], state: Tree) -> Tree:
    """See the seam."""
    if max_times == 1:
        _, collected = body(tf.constant(0), state)
        return tf.nest.map_structure(lambda tensor: tf.expand_dims(tensor, 0), collected)
    specs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), state)
    traced = tf.function(body, autograph=False).get_concrete_function(tf.TensorSpec((), tf.int32), specs)
    empty = tf.nest.map_structure(
        lambda tensor: tf.TensorArray(tensor.dtype, max_times, element_shape=tensor.shape), traced.structured_outputs[1]
    )

    def step(number: Tensor, state: Tree, collected: Tree) -> tuple[Tensor, Tree, Tree]:
        state, values = traced(number, state)
        written = tf.nest.map_structure(lambda array, value: array.write(number, value), collected, values)
        return number + 1, state, written

    _, _, collected = tf.while_loop(
        lambda number, *_: number < times, step, (tf.constant(0), state, empty), parallel_iterations=1
    )
    return tf.nest.map_structure(lambda array: array.stack(), collected)


def at(tensor: Tensor, index: Tensor) -> Tensor:
    """See the seam. As a slice, XLA would compile the program again for each index."""
    return tensor[0] if tensor.shape[0] == 1 else tf.gather(tensor, index)


def stream(arrays: tuple[Any, ...], rows_of: Callable[[int], NDArray[np.int64]], batches: int) -> tf.data.Dataset:
    """See the seam; they are read while the one before is trained on."""
    flat: list[NDArray[Any]] = keras.tree.flatten(arrays)

    def read(number: np.int64) -> list[NDArray[Any]]:
        rows = rows_of(int(number))
        return [array[rows] for array in flat]

    def batch(number: Tensor) -> tuple[Any, ...]:
        values = tf.numpy_function(read, [number], [array.dtype for array in flat])
        for value, array in zip(values, flat, strict=True):
            value.set_shape([None, *array.shape[1:]])
        nested: tuple[Any, ...] = keras.tree.pack_sequence_as(arrays, values)
        return nested

    return tf.data.Dataset.range(batches).map(batch).prefetch(_BATCHES_AHEAD)


def to_device(array: NDArray[Any] | np.generic) -> Tensor:
    """See the seam."""
    return tf.constant(array)


def doubles(values: NDArray[np.float64]) -> Tree:
    """See the seam."""
    return tf.constant(values, tf.float64)


def stack(arrays: Sequence[NDArray[Any]]) -> Tensor:
    """See the seam."""
    return tf.constant(np.stack(arrays))


def to_numpy(tensor: Tensor) -> NDArray[Any]:
    """See the seam."""
    array: NDArray[Any] = tensor.numpy()
    return array
