"""A dataset's numbers and their names, whether it is built in or was uploaded."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import DatasetReference
from models.errors import UsageFault
from models.sql.datasets import file_of
from models.storage import Storage
from workers.datasets.sources import LOADERS

Floats = NDArray[np.float32]
Rows = NDArray[np.floating[Any]]
"""Features before scaling: float64 where float32 would round much of what a column varies by."""
Labels = NDArray[np.int64]
_KEPT = 2
_uploaded: LRUCache[str, "Numbers"] = LRUCache(_KEPT)


@dataclass(frozen=True)
class Numbers:
    """All rows of a dataset."""

    x: Rows
    """(rows, features); NaN where a number is missing."""
    y: Floats | Labels
    """(rows,): class numbers, or float32 where the target is a number; (rows, targets) where there are several."""
    classes: int | None
    """Number of classes; None for regression."""
    feature_names: list[str]
    """Empty where they have none."""
    class_names: list[str]
    groups: Labels | None = None
    """(rows,): number of the group of each row; None where the dataset has none."""


def load(reference: DatasetReference, storage: Storage | None = None) -> Numbers:
    """Return the numbers that a spec means.

    Args:
        reference: what the spec says.
        storage: where uploaded ones are.

    Raises:
        UsageFault: they cannot be had on this worker.
        OSError: the storage does not give them.
    """
    if reference.sha256 is None:
        schema = BUILT_IN_DATASETS[reference.name]
        x, y = LOADERS[reference.name]()
        return Numbers(x, y, schema.classes, schema.feature_names, schema.class_names)
    if reference.sha256 not in _uploaded:
        if storage is None:
            raise UsageFault(f"the dataset {reference.name!r} was uploaded, and this worker has no storage")
        _uploaded[reference.sha256] = _read(storage, reference.sha256)
    return _uploaded[reference.sha256]


def _read(storage: Storage, sha256: str) -> Numbers:
    with storage.opened(file_of(sha256)) as opened, np.load(opened, allow_pickle=False) as file:
        document = json.loads(file["document"].tobytes())
        names = document["feature_names"], document["class_names"]
        return Numbers(file["x"], file["y"], document["classes"], *names, file.get("groups"))


class DatasetNames(Protocol):
    """Names of the features and classes of a dataset, in order."""

    @property
    def feature_names(self) -> Sequence[str]:
        """Names of the features; empty where they have none."""

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the classes; empty where the target is a number."""


def like(training: DatasetNames, other: Numbers) -> Numbers:
    """Return the rows of a dataset with the features and class numbers of another one, by their names.

    What the other one has not is 0: a category, a mark, that does not occur.
    """
    x, y = other.x, other.y
    feature_names, class_names = list(training.feature_names), list(training.class_names)
    if feature_names != other.feature_names:
        places = {name: place for place, name in enumerate(other.feature_names)}
        nothing = np.zeros(len(x), np.float32)
        x = np.stack([x[:, places[n]] if n in places else nothing for n in feature_names], axis=1)
    if class_names != other.class_names:
        y = np.array([class_names.index(name) for name in other.class_names], np.int64)[y]
    return Numbers(x, y, len(class_names) or None, feature_names, class_names)
