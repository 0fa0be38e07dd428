"""Artifacts of trials: the weights of the best epoch, with imputation and scaling of rows.

A file holds all trials of a cohort that ended in the same epoch. It is written once, and kept until the experiment is
deleted.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.sql.leases import Claim
from models.storage import Storage
from workers.datasets import Scaling
from workers.datasets.adaptation import Adapted
from workers.engines.base import Weights

_DOCUMENT = "document"


@dataclass(frozen=True)
class Inputs:
    """Inputs and outputs of these trials' networks."""

    scaling: Scaling
    feature_names: Sequence[str]
    class_names: Sequence[str]
    """Empty where the target is a number."""
    adapted: Adapted = field(default_factory=dict)
    """Numbers of layers that were measured on the training rows."""


@dataclass(frozen=True)
class Artifact:
    """Artifact of one trial."""

    weights: Weights
    """Weights in the order of Keras's `model.get_weights()`."""
    inputs: Inputs


class ArtifactWriter:
    """Writes the artifacts of one claimed cohort."""

    def __init__(self, storage: Storage, claim: Claim, inputs: Inputs) -> None:
        """Args: where files are kept, the claim, and what the cohort's networks take."""
        self._storage, self._inputs = storage, inputs
        self._folder = f"{claim.experiment_id}/artifacts"
        # Another attempt writes files of its own, so that none is ever written twice.
        self._prefix = f"{claim.cohort_id}-{claim.attempt:06}"

    def save(self, epoch: int, weights: Mapping[str, Weights]) -> str:
        """Write what trials that ended after an epoch end with. Returns the file's name.

        Raises:
            OSError: there is no room for it, or no way to it.
        """
        scaling = self._inputs.scaling
        document = {
            "feature_names": list(self._inputs.feature_names),
            "class_names": list(self._inputs.class_names),
            "adapted": self._inputs.adapted,
        }
        arrays: dict[str, NDArray[Any]] = {
            _DOCUMENT: np.frombuffer(json.dumps(document).encode(), np.uint8),
            "fill": scaling.fill,
        }
        if scaling.mean is not None and scaling.deviation is not None:
            arrays |= {"mean": scaling.mean, "deviation": scaling.deviation}
        for trial_id, values in weights.items():
            arrays |= {f"{trial_id}/{index}": value for index, value in enumerate(values)}
        # With a trial in it, as trials that train one after the other may end after the same epoch.
        name = f"{self._folder}/{self._prefix}-{epoch:06}-{min(weights)}.npz"
        with tempfile.NamedTemporaryFile() as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # names are our own
            file.flush()
            self._storage.write_file(name, file.name)
        return name


def read_artifact(storage: Storage, name: str, trial_id: str) -> Artifact:
    """Read the artifact of a trial; of a file of many trials, only its part.

    Raises:
        OSError: the file is missing, or cannot be read.
        KeyError: the trial is not in it.
    """
    with storage.opened(name) as opened, np.load(opened, allow_pickle=False) as file:
        document = json.loads(file[_DOCUMENT].tobytes())
        count = sum(1 for member in file.files if member.startswith(f"{trial_id}/"))
        weights = [file[f"{trial_id}/{index}"] for index in range(count)]
        is_scaled = "mean" in file.files
        scaling = Scaling(file["fill"], *((file["mean"], file["deviation"]) if is_scaled else ()))
    if not weights:
        raise KeyError(trial_id)
    adapted = {int(position): numbers for position, numbers in document.get("adapted", {}).items()}
    return Artifact(weights, Inputs(scaling, document["feature_names"], document["class_names"], adapted))
