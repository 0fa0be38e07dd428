"""Converters that `tf.vectorized_map` lacks for operations that Keras uses.

The axis it adds comes first, whatever it stands for.
"""

from typing import Any

import tensorflow as tf
from tensorflow.python.ops.parallel_for.pfor import RegisterPFor, wrap


@RegisterPFor("Bitcast")  # type: ignore[untyped-decorator]  # `keras.ops.argmax` looks at the sign of zeros with it
def _bitcast(converted: Any) -> Any:  # noqa: ANN401 - TensorFlow has no types
    return wrap(tf.bitcast(converted.stacked_input(0), converted.get_attr("type")), is_stacked=True)


@RegisterPFor("InTopKV2")  # type: ignore[untyped-decorator]  # the metric top_k
def _in_top_k(converted: Any) -> Any:  # noqa: ANN401
    """Rows are judged one by one, so those of all trials may stand below each other."""
    converted.stack_inputs()
    scores, targets, k = (converted.stacked_input(0), converted.stacked_input(1), converted.op.inputs[2])
    hits = tf.math.in_top_k(
        tf.reshape(targets, [-1]), tf.reshape(scores, [-1, scores.shape[-1]]), tf.get_static_value(k)
    )
    return wrap(tf.reshape(hits, tf.shape(targets)), is_stacked=True)
