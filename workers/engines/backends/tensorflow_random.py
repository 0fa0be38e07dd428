"""Dropout that draws TensorFlow's own random numbers, with arithmetic alone where need be.

TensorFlow's random operations give other numbers when XLA compiles them, and cannot be mapped over seeds that differ;
arithmetic is the same everywhere, but takes longer to trace and to compute. The generator is Philox4x32-10 (Salmon et
al., Parallel random numbers: as easy as 1, 2, 3, 2011), set up and laid out as TensorFlow's.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_Words = Any
"""uint32 tensor"""
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_SCRAMBLING_KEY = (0x3EC8F720, 0x02461E29)
"""Key with which TensorFlow derives key and counter from a seed."""
_MANTISSA, _ONE = np.uint32(0x7FFFFF), np.uint32(0x3F800000)
"""Fraction mask of a float32, and the bits of 1.0."""


_HAS_KERNELS: ContextVar[bool] = ContextVar("has_kernels", default=False)


@contextmanager
def kernels(*, usable: bool) -> Iterator[None]:
    """Within, trace random numbers as TensorFlow's operations, if these may be used: in a graph, without a map."""
    before = _HAS_KERNELS.set(usable)
    try:
        yield
    finally:
        _HAS_KERNELS.reset(before)


class ArithmeticDropout(keras.layers.Dropout):  # type: ignore[misc]  # keras has no types
    """`keras.layers.Dropout`, number for number, in float32."""

    def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - Keras's signature
        """Set a random part of the inputs to 0 and scale up the rest, while training."""
        if not training or self.rate == 0:
            return inputs
        if self.compute_dtype != "float32":
            raise NotImplementedError(
                f"dropout in {self.compute_dtype} draws numbers that arithmetic does not know yet"
            )
        if _HAS_KERNELS.get():
            return super().call(inputs, training=training)
        drawn = uniform(self.seed_generator.next(), tuple(inputs.shape))
        return tf.where(drawn >= self.rate, inputs * (1.0 / (1.0 - self.rate)), 0.0)


def uniform(seed: Any, shape: tuple[int, ...]) -> Any:  # noqa: ANN401 - tensors
    """Numbers from 0 to below 1, those of `tf.random.stateless_uniform(shape, seed)` on a CPU.

    Args:
        seed: integers (2,), neither below 0.
        shape: of the result.

    Returns:
        float32, of that shape.
    """
    low, high = _words(tf.cast(seed, tf.uint64))
    even, odd = _philox(low[:, None], high[:, None], tf.constant(_SCRAMBLING_KEY, tf.uint32)[:, None])
    key, upper = tf.stack([even[0], odd[0]]), tf.stack([even[1], odd[1]])
    size = math.prod(shape)
    groups = tf.cast(tf.range(-(-size // 4)), tf.uint32)
    zeros = tf.zeros_like(groups)
    even, odd = _philox(tf.stack([groups, zeros + upper[0]]), tf.stack([zeros, zeros + upper[1]]), key)
    words = tf.stack([even[0], odd[0], even[1], odd[1]], axis=-1)
    fraction = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(words, _MANTISSA), _ONE)
    return tf.reshape(tf.reshape(tf.bitcast(fraction, tf.float32) - 1.0, [-1])[:size], shape)


def _philox(even: _Words, odd: _Words, key: _Words) -> tuple[_Words, _Words]:
    """Four random words for each counter.

    Two words are computed as one tensor, which keeps XLA from computing each round again for every word of the next.

    Args:
        even: words 0 and 2 of each counter, (2, counters).
        odd: words 1 and 3, (2, counters).
        key: (2, 1).

    Returns:
        The random words in the same two tensors.
    """
    multipliers, weyl = tf.constant(_MULTIPLIERS, tf.uint64)[:, None], tf.constant(_WEYL, tf.uint32)[:, None]
    for _ in range(_ROUNDS):
        low, high = _words(tf.cast(even, tf.uint64) * multipliers)
        even = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(high[::-1], odd), key)
        odd = low[::-1]
        key += weyl
    return even, odd


def _words(numbers: Any) -> tuple[_Words, _Words]:  # noqa: ANN401 - tensors
    """Return the low and the high words of uint64 numbers."""
    low = tf.bitwise.bitwise_and(numbers, tf.constant(0xFFFFFFFF, tf.uint64))
    high = tf.bitwise.right_shift(numbers, tf.constant(32, tf.uint64))
    return tf.cast(low, tf.uint32), tf.cast(high, tf.uint32)
