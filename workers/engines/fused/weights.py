"""Layout of a trial's trainable weights: one vector where its optimizer treats every number alike.

One vector has an optimizer's formula once in a program, not once for each kernel and bias, which is most of what there
is to trace and to compile in a small network.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from workers.engines.backends.seam import Tensor

_BY_KERNEL = (keras.optimizers.Lamb, keras.optimizers.Adafactor)
"""Optimizers that scale a step by norms of a kernel, or factor it."""
_LARGE = 2**16
"""Numbers from which joining them in every step takes longer than it saves (measured: 42 thousand are below)."""


class WeightLayout:
    """Layout of the trainable weights of a network.

    Attributes:
        variables: Keras variables, which only give an optimizer their shapes.
    """

    def __init__(self, weights: Sequence[keras.Variable], optimizer: keras.Optimizer, *, may_join: bool = True) -> None:
        """Choose a layout.

        Args:
            weights: of the network, float32.
            optimizer: what will update them.
            may_join: False to keep them apart.
        """
        self._shapes = [tuple(weight.shape) for weight in weights]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        # `clipnorm` is that of a kernel's gradient, and a constraint is one kernel's as well.
        is_alike = may_join and optimizer.clipnorm is None and not isinstance(optimizer, _BY_KERNEL)
        is_alike = is_alike and all(weight.constraint is None for weight in weights)
        self._is_joined = len(weights) > 1 and sum(self._sizes) < _LARGE and is_alike
        self.variables = [keras.Variable(np.zeros(sum(self._sizes), np.float32))] if self._is_joined else list(weights)

    def join(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the arrays of a network as they are laid out."""
        return [np.concatenate([np.reshape(array, -1) for array in arrays])] if self._is_joined else list(arrays)

    def join_tensors(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the tensors of a network as they are laid out."""
        return [ops.concatenate([ops.reshape(one, (-1,)) for one in tensors])] if self._is_joined else list(tensors)

    def part(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the arrays as the network has them."""
        parts = np.split(arrays[0], np.cumsum(self._sizes)[:-1]) if self._is_joined else arrays
        return [np.reshape(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def part_tensors(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the tensors as the network has them."""
        if not self._is_joined:
            return list(tensors)
        parts = ops.split(tensors[0], np.cumsum(self._sizes)[:-1].tolist())
        return [ops.reshape(part, shape) for part, shape in zip(parts, self._shapes, strict=True)]
