"""The seam on JAX: `vmap`, `fori_loop`, and one compiled program whose spent argument gives its memory to the result.

Nothing of JAX leaves this module but its arrays.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import export
from numpy.typing import NDArray

from fittingroom.specs.experiment import Precision
from fittingroom.specs.layers.layer_spec import LayerSpec
from workers.engines.backends import seam
from workers.engines.backends.jax_doubles import Double
from workers.engines.backends.seam import CannotCompileError, Capacity, Tensor, Tree, in_a_line
from workers.engines.program_store import KeptProgram

LAYERS: dict[str, type[keras.layers.Layer]] = {}
COMPILERS = ("xla",)
TRACKS_LOSSES_BY_BATCH = False
STEPS_PER_CALL = 1
_LARGE = 2**18
"""Numbers in a tensor: 39 thousand are below, a million above (measured)."""


def configure(gpu: int | None) -> list[str]:
    """See the seam."""
    # JAX would take three quarters of a GPU's memory at once; read when it first looks for devices.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    logging.getLogger("jax").setLevel(logging.WARNING)  # it says at length which devices it did not find
    wanted = 0 if gpu is None else gpu
    if wanted >= 0:
        jax.config.update("jax_cuda_visible_devices", str(wanted))  # it would open all of them
        try:
            jax.devices("gpu")
        except RuntimeError as error:  # there is none of that number, or JAX was installed without CUDA
            if gpu is not None:
                raise LookupError(f"JAX says {in_a_line(error)}") from error
        else:
            return [f"gpu:{wanted}", "cpu:0"]
    jax.config.update("jax_platforms", "cpu")
    return ["cpu:0"]


def versions() -> dict[str, str]:
    """See the seam."""
    return {"jax": jax.__version__}


def is_out_of_memory(error: Exception) -> bool:
    """See the seam."""
    return isinstance(error, jax.errors.JaxRuntimeError) and str(error).startswith("RESOURCE_EXHAUSTED")


def capacity() -> Capacity:
    """See the seam."""
    return seam.GPU if _computes_on_gpu() else seam.cpu()


def _computes_on_gpu() -> bool:
    return bool(jax.default_backend() == "gpu")


@contextmanager
def precision(wanted: Precision) -> Iterator[None]:
    """See the seam. JAX itself would use TF32 wherever a GPU has it; a CPU has nothing of the kind."""
    if not _computes_on_gpu():
        yield
        return
    with jax.default_matmul_precision("tensorfloat32" if wanted == "tf32" else "float32"):
        yield


class TrialNumber(seam.TrialNumber):
    """Double arithmetic on pairs of float32: JAX has no doubles unless they are enabled globally."""

    def rounded(self, dtype: Any) -> Tensor:  # noqa: ANN401 - JAX's
        """See the seam."""
        return self._value.rounded().astype(dtype)

    def _tensor(self, other: object) -> Tensor:
        return jnp.asarray(other)

    def __jax_array__(self) -> Tensor:
        return self.rounded("float32")


def without_variables(optimizer: keras.Optimizer) -> keras.Optimizer:
    """See the seam. Keras's own works; but JAX's `clip` and `power` take no trial's number beside a tensor."""

    def clipped(self: keras.Optimizer, gradient: list[Tensor]) -> list[Tensor]:
        if not isinstance(self.clipvalue, TrialNumber):
            kept: list[Tensor] = type(optimizer)._clip_gradients(self, gradient)  # noqa: SLF001 - the only place to do it
            return kept
        limit = self.clipvalue.rounded("float32")
        return [jnp.clip(tensor, -limit, limit) for tensor in gradient]

    def step_of_ftrl(self: Any, gradient: Tensor, variable: Any, learning_rate: Any) -> None:  # noqa: ANN401 - Keras's
        for name, number in list(vars(self).items()):
            if isinstance(number, TrialNumber):
                setattr(self, name, number.rounded("float32"))
        keras.optimizers.Ftrl.update_step(self, gradient, variable, learning_rate)

    own = {"_clip_gradients": clipped} | (
        {"update_step": step_of_ftrl} if isinstance(optimizer, keras.optimizers.Ftrl) else {}
    )
    cls: Any = type(f"Mapped{type(optimizer).__name__}", (type(optimizer),), own)
    return cls.from_config(optimizer.get_config())


def value_and_gradient(
    function: Callable[[list[Tensor]], tuple[Tensor, Tree]], weights: list[Tensor]
) -> tuple[Tensor, Tree, list[Tensor]]:
    """See the seam."""
    (value, further), gradient = jax.value_and_grad(function, has_aux=True)(weights)
    return value, further, gradient


def maps_well(layers: Sequence[LayerSpec]) -> bool:
    """See the seam. A mapped convolution is one in groups, for which XLA has nothing fast on a CPU."""
    return _computes_on_gpu() or not any(layer.convolves for layer in layers)


def map_trials(function: Callable[[Tree], Tree], stacked: Tree, width: int) -> Tree:
    """See the seam.

    One trial is mapped like many: unmapped, XLA computes the optimizer's slots twice, once for themselves and once
    within the weights. Only where tensors are large is that made up for by products that need no axis of trials.
    """
    if width == 1 and max(tensor.size for tensor in jax.tree.leaves(stacked)) >= _LARGE:
        alone = function(jax.tree.map(lambda tensor: tensor[0], stacked))
        return jax.tree.map(lambda tensor: tensor[None], alone)
    return jax.vmap(function)(stacked)


def repeat(times: Tensor, body: Callable[[Tensor, Tree], Tree], state: Tree) -> Tree:
    """See the seam."""
    return jax.lax.fori_loop(0, times, body, state)


def collect(times: Tensor, max_times: int, body: Callable[[Tensor, Tree], tuple[Tree, Tree]], state: Tree) -> Tree:
    """See the seam."""
    if max_times == 1:
        _, collected = body(0, state)
        return jax.tree.map(lambda tensor: tensor[None], collected)

    def step(number: Tensor, passed: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
        state, collected = passed
        state, values = body(number, state)
        return state, jax.tree.map(lambda all_, one: all_.at[number].set(one), collected, values)

    shapes = jax.eval_shape(lambda state: body(0, state)[1], state)
    empty = jax.tree.map(lambda shape: jnp.zeros((max_times, *shape.shape), shape.dtype), shapes)
    return jax.lax.fori_loop(0, times, step, (state, empty))[1]


def at(tensor: Tensor, index: Tensor) -> Tensor:
    """See the seam."""
    return tensor[0] if tensor.shape[0] == 1 else jax.lax.dynamic_index_in_dim(tensor, index, keepdims=False)


class Compiled:
    """A trace compiled by XLA."""

    def __init__(self, trace: bytes, compiler: str, kept: KeptProgram, *example: Tree) -> None:
        """Compile, or take what is kept.

        Args:
            trace: as `trace` gave it.
            compiler: `xla`, there is no other.
            kept: where the program is kept.
            example: arguments of the shapes that it will have.

        Raises:
            CannotCompileError: the trace cannot be compiled.
        """
        del compiler
        with _refusals(), kept.executable():
            program = jax.jit(export.deserialize(bytearray(trace)).call, donate_argnums=_spent(example))
            self._program = program.lower(*jax.tree.leaves(example)).compile()

    def __call__(self, *arguments: Tree) -> list[Tensor]:
        """Run it."""
        found: list[Tensor] = self._program(*jax.tree.leaves(arguments))
        return found


def trace(function: Callable[..., list[Tensor]], compiler: str, example: Sequence[Tree]) -> bytes:
    """See the seam: the function of its arguments' leaves, exported."""
    if compiler not in COMPILERS:
        raise CannotCompileError(f"JAX compiles with XLA, not with {compiler}")
    leaves, structure = jax.tree.flatten(tuple(example))

    def of_leaves(*leaves: Tensor) -> list[Tensor]:
        return function(*jax.tree.unflatten(structure, leaves))

    with _refusals():
        return bytes(export.export(jax.jit(of_leaves, donate_argnums=_spent(example)))(*leaves).serialize())


def _spent(example: Sequence[Tree]) -> tuple[int, ...]:
    """Return the places of the first argument's leaves."""
    return tuple(range(len(jax.tree.leaves(example[0]))))


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise `CannotCompileError` for what JAX raises when it cannot trace or compile."""
    try:
        yield
    except (
        ValueError, TypeError, NotImplementedError, jax.errors.JAXTypeError, jax.errors.JaxRuntimeError,
    ) as error:  # fmt: skip
        if is_out_of_memory(error):
            raise
        raise CannotCompileError(in_a_line(error)) from error


class _Stream(keras.utils.PyDataset):  # type: ignore[misc]  # keras has no types
    """Batches by number, read in the training thread, so that an epoch keeps the order it began with."""

    def __init__(self, arrays: tuple[Any, ...], rows_of: Callable[[int], NDArray[np.int64]], batches: int) -> None:
        super().__init__(workers=0)
        self._arrays, self._rows_of, self._batches = arrays, rows_of, batches

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        rows = self._rows_of(number)
        batch: tuple[Any, ...] = keras.tree.map_structure(lambda array: array[rows], self._arrays)
        return batch


def stream(arrays: tuple[Any, ...], rows_of: Callable[[int], NDArray[np.int64]], batches: int) -> keras.utils.PyDataset:
    """See the seam."""
    return _Stream(arrays, rows_of, batches)


def to_device(array: NDArray[Any] | np.generic) -> Tensor:
    """See the seam."""
    return jnp.array(array)


def doubles(values: NDArray[np.float64]) -> Tree:
    """See the seam."""
    high = values.astype(np.float32)
    return Double(jnp.array(high), jnp.array((values - high).astype(np.float32)))


def stack(arrays: Sequence[NDArray[Any]]) -> Tensor:
    """See the seam."""
    return jnp.array(np.stack(arrays))


def to_numpy(tensor: Tensor) -> NDArray[Any]:
    """See the seam."""
    return np.array(tensor)
