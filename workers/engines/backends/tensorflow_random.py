"""Dropout that draws TensorFlow's own random numbers with arithmetic alone.

May import: keras, tensorflow. Knows nothing of trials. TensorFlow's random operations give other numbers when XLA
compiles them, and cannot be mapped over seeds that differ; arithmetic is the same everywhere. The generator is
Philox4x32-10 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3, 2011), set up and laid out as TensorFlow's.
"""

import math
from typing import Any

import keras
import tensorflow as tf

_Word = Any
"""uint32 tensor"""
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_SCRAMBLING_KEY = (0x3EC8F720, 0x02461E29)
"""With which TensorFlow makes key and counter from a seed."""
_MANTISSA, _ONE = 0x7FFFFF, 0x3F800000
"""Of a float32: the bits of its fraction, and the number 1."""


class ArithmeticDropout(keras.layers.Dropout):  # type: ignore[misc]  # keras has no types
    """`keras.layers.Dropout`, number for number."""

    def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - Keras's signature
        """Set a random part of the inputs to 0 and scale up the rest, while training."""
        if not training or self.rate == 0:
            return inputs
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
    seed = tf.cast(seed, tf.uint64)
    low = tf.cast(tf.bitwise.bitwise_and(seed, _as(0xFFFFFFFF, tf.uint64)), tf.uint32)
    high = tf.cast(tf.bitwise.right_shift(seed, _as(32, tf.uint64)), tf.uint32)
    mixed = _philox((low[0], high[0], low[1], high[1]), tuple(_as(key, tf.uint32) for key in _SCRAMBLING_KEY))
    size = math.prod(shape)
    groups = tf.range(-(-size // 4), dtype=tf.int32)
    counter = (tf.cast(groups, tf.uint32), _as(0, tf.uint32), mixed[2], mixed[3])
    words = tf.stack(_philox(counter, (mixed[0], mixed[1])), axis=-1)
    fraction = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(words, _as(_MANTISSA, tf.uint32)), _as(_ONE, tf.uint32))
    return tf.reshape(tf.reshape(tf.bitcast(fraction, tf.float32) - 1.0, [-1])[:size], shape)


def _philox(counter: tuple[_Word, ...], key: tuple[_Word, ...]) -> tuple[_Word, ...]:
    """Four random words for each counter."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        high0, low0 = _product(_MULTIPLIERS[0], c0)
        high1, low1 = _product(_MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = _xor(_xor(high1, c1), k0), low1, _xor(_xor(high0, c3), k1), low0
        k0, k1 = k0 + _as(_WEYL[0], tf.uint32), k1 + _as(_WEYL[1], tf.uint32)
    return c0, c1, c2, c3


def _product(multiplier: int, word: _Word) -> tuple[_Word, _Word]:
    """High and low word of a product."""
    product = tf.cast(word, tf.uint64) * _as(multiplier, tf.uint64)
    return (
        tf.cast(tf.bitwise.right_shift(product, _as(32, tf.uint64)), tf.uint32),
        tf.cast(tf.bitwise.bitwise_and(product, _as(0xFFFFFFFF, tf.uint64)), tf.uint32),
    )


def _xor(one: _Word, other: _Word) -> _Word:
    return tf.bitwise.bitwise_xor(one, other)


def _as(number: int, dtype: Any) -> Any:  # noqa: ANN401 - tensors
    return tf.constant(number, dtype)
