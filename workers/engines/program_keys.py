"""Cache keys of compiled programs."""

import hashlib
import json

from fittingroom.specs.experiment import TrialSpec
from models.planning.cohorts import program_document
from workers.engines.base import Arrays


def program_key(spec: TrialSpec, arrays: Arrays) -> str:
    """Return a short text of all that a program depends on, except its width and the order of rows."""
    shapes = [(array.shape, str(array.dtype)) for array in arrays.arrays()]
    text = json.dumps([program_document(spec), shapes, arrays.weight is not None], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
