"""The numbers of the datasets, and the cut into training and validation rows.

May import: numpy, the specs, the storage. Knows neither SQL nor an engine.
"""

from workers.datasets.numbers import load
from workers.datasets.preparation import Scaling, prepare

__all__ = ["Scaling", "load", "prepare"]
