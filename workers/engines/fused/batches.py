"""Batches of a step: rows of one size, the last one padded, the same for each trial."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from keras import ops

from fittingroom.specs.layers.layer_spec import LayerSpec
from workers.engines.backends.seam import Tensor

_EVALUATION_ROWS = 512
"""Maximum number of validation rows per step, unless a batch has more: they keep the cores busy and fit into caches."""


class Rows(NamedTuple):
    """Rows on the device, the same for all trials."""

    x: Tensor
    """float32 (rows, features)"""
    y: Tensor
    """(rows, outputs)"""
    weight: Tensor | tuple[()]
    """float32 (rows,): how much each counts in the loss; nothing where each counts 1."""


@dataclass(frozen=True)
class Batches:
    """Division of rows into batches."""

    size: int
    """Rows of a batch."""
    is_padded: bool
    """True if a last batch may be filled up, so that one trace serves all."""
    is_padded_to_validate: bool
    """The same of batches that are only validated on."""
    validates_apart: bool
    """True if it does not matter to the layers which rows are validated on together."""
    is_tracked_by_batch: bool
    """True if some metric is a mean over batches."""

    @classmethod
    def of(cls, layers: Sequence[LayerSpec], size: int, *, is_tracked_by_batch: bool = False) -> "Batches":
        """Return the batches of a network: padding changes nothing where each row's output and loss is its own."""
        validates_apart = all(layer.is_validated_apart for layer in layers)
        is_padded_to_validate = validates_apart and not any(layer.regularizes_activity for layer in layers)
        is_padded = is_padded_to_validate and all(layer.keeps_rows_apart and not layer.is_random for layer in layers)
        return cls(size, is_padded, is_padded_to_validate, validates_apart, is_tracked_by_batch)

    def steps(self, rows: int) -> int:
        """Return how many batches an epoch has in its loop."""
        return -(-rows // self.size) if self._fills_up(rows) else rows // self.size

    def left_over(self, rows: int) -> int:
        """Return how many rows are trained after the loop, in a smaller batch."""
        return 0 if self._fills_up(rows) else rows % self.size

    def padded(self, rows: int) -> int:
        """Return how many rows an order names: those of whole batches, if the last one is padded."""
        return max(rows, self.steps(rows) * self.size)

    def evaluation_size(self, rows: int) -> int:
        """Return the rows of a validation step: as many in all steps, or those of a batch where it matters."""
        if self.is_tracked_by_batch or not self.validates_apart:
            return self.size
        return -(-rows // -(-rows // max(_EVALUATION_ROWS, self.size)))

    def _fills_up(self, rows: int) -> bool:
        return self.is_padded and rows >= self.size


def present_rows(first: Tensor, size: int, count: int) -> Tensor | None:
    """1 for each row of a batch that is one of `count`, 0 for padding, float32 (size,); None if no batch has any."""
    if count % size == 0:
        return None
    return ops.cast(ops.arange(size) + first < count, "float32")


def without_padding(present: Tensor | None, rows: Tensor, *, repeats: bool) -> Tensor:
    """Return rows with something in the place of padding of which loss and metrics are finite.

    What is computed of it is multiplied by 0, and 0 times what is not finite would be a NaN.

    Args:
        present: see `present_rows`.
        rows: of a batch.
        repeats: True for the first row, which is present, in place of zeros: for what is not finite of some outputs.
    """
    if present is None:
        return rows
    padding = rows[:1] if repeats else 0.0
    return ops.where(ops.reshape(present, (-1, *[1] * (len(rows.shape) - 1))) > 0, rows, padding)


def batch_of(data: Rows, order: Tensor | None, first: Tensor, size: int, width: int) -> Rows:
    """Rows `first` to `first + size` in some order (none: their own), for each trial: (width, size, …).

    Each trial has its own copy even where all are the same: so each multiplies matrices of the same shape wherever it
    stands among the others, and its numbers are the same bit for bit.
    """
    if order is None or len(order.shape) == 1:
        if order is None:
            rows = ops.minimum(ops.arange(size) + first, data.x.shape[0] - 1)
        else:
            rows = ops.slice(order, (first,), (size,))
        return _each(data, lambda array: _for_each(ops.take(array, rows, axis=0), width))
    rows = ops.slice(order, (0, first), (width, size))
    return _each(data, lambda array: ops.take(array, rows, axis=0))


def _for_each(array: Tensor, width: int) -> Tensor:
    return ops.broadcast_to(array, (width, *array.shape))


def _each(rows: Rows, change: Callable[[Tensor], Tensor]) -> Rows:
    """Rows with the same done to all that there is of them."""
    return Rows(change(rows.x), change(rows.y), () if isinstance(rows.weight, tuple) else change(rows.weight))
