"""The documents a client writes: an experiment, and the trial that comes of it.

May import: pydantic and the standard library, nothing else, so that a client installs light.
Knows neither SQL nor Celery nor Keras; the names and defaults are Keras's all the same.
"""

from models.spec.experiment import ExperimentSpec, TrialSpec

__all__ = ["ExperimentSpec", "TrialSpec"]
