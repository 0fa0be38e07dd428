"""The numbers of the built-in datasets, and the cut into training and validation rows.

May import: numpy, the specs. Knows neither SQL nor an engine.
"""

from workers.datasets.preparation import prepare

__all__ = ["prepare"]
