"""The numbers of the datasets, and the cut into training and validation rows."""

from workers.datasets.numbers import load
from workers.datasets.preparation import Scaling, prepare

__all__ = ["Scaling", "load", "prepare"]
