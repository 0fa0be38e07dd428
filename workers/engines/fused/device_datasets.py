"""Datasets that stay on the device from one cohort to the next, within a budget."""

from collections import OrderedDict

from workers.engines.backends.chosen import backend
from workers.engines.base import Arrays
from workers.engines.fused.batches import Rows
from workers.engines.fused.epoch import Data


class Residence:
    """The arrays that were used last, on the device.

    Attributes:
        budget_bytes: how much may stay.
        hits: how often arrays were there already.
    """

    def __init__(self, budget_bytes: int) -> None:
        """Args: budget_bytes: how much may stay."""
        self.budget_bytes = budget_bytes
        self._resident: OrderedDict[str, tuple[Data, int]] = OrderedDict()
        self.hits = 0

    def get(self, arrays: Arrays) -> Data:
        """Return the arrays on the device; they are copied there if they are not there yet."""
        if arrays.key in self._resident:
            self.hits += 1
        else:
            self._resident[arrays.key] = (_copied(arrays), arrays.nbytes)
        self._resident.move_to_end(arrays.key)
        while len(self._resident) > 1 and sum(size for _, size in self._resident.values()) > self.budget_bytes:
            self._resident.popitem(last=False)
        return self._resident[arrays.key][0]


def _copied(arrays: Arrays) -> Data:
    weight = () if arrays.weight is None else backend.to_device(arrays.weight)
    training = Rows(backend.to_device(arrays.x), backend.to_device(arrays.y), weight)
    if arrays.x_validation is None or arrays.y_validation is None:
        return Data(training, ())
    return Data(training, Rows(backend.to_device(arrays.x_validation), backend.to_device(arrays.y_validation), ()))
