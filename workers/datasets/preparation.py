"""From a dataset to the arrays a cohort trains on: rows chosen, split, standardized, targets in the loss's form.

May import: numpy, the specs. Knows neither SQL nor an engine.
"""

import numpy as np

from models.spec.checks import training_rows
from models.spec.datasets import BUILT_IN_DATASETS
from models.spec.experiment import Dataset
from models.spec.losses import TargetForm
from workers.datasets.sources import LOADERS, Floats, Labels
from workers.engines.base import Arrays


def prepare(dataset: Dataset, validation_split: float, target: TargetForm) -> Arrays:
    """Load and cut.

    Args:
        dataset: which rows.
        validation_split: the part kept for validation, taken from the end, unshuffled, as Keras does.
        target: the form in which the loss takes a class.

    Returns:
        Features as float32 (rows, features); targets as float32 (rows, classes) for `one_hot` and (rows, 1) for
        `binary`, as int64 (rows, 1) for `index`.

    Raises:
        UsageFault: the numbers cannot be had on this worker.
    """
    x, labels = LOADERS[dataset.name]()
    if dataset.rows is not None:
        chosen = np.random.Generator(np.random.Philox(key=0)).permutation(len(x))[: dataset.rows]
        x, labels = x[chosen], labels[chosen]
    cut = training_rows(len(x), validation_split)
    key = f"{dataset.model_dump_json()} {validation_split} {target}"
    if dataset.standardize:
        x = _standardized(x, cut)
    y = _encoded(labels, target, BUILT_IN_DATASETS[dataset.name].classes)
    if cut == len(x):
        return Arrays(key, x, y, None, None)
    return Arrays(key, x[:cut], y[:cut], x[cut:], y[cut:])


def _standardized(x: Floats, cut: int) -> Floats:
    """Mean 0 and deviation 1 on the first `cut` rows; a feature that is the same in all of them becomes 0."""
    training = x[:cut].astype(np.float64)
    deviation = training.std(axis=0)
    standardized: Floats = ((x - training.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)).astype(np.float32)
    return standardized


def _encoded(labels: Labels, target: TargetForm, classes: int) -> Floats | Labels:
    if target == "one_hot":
        encoded: Floats = np.eye(classes, dtype=np.float32)[labels]
        return encoded
    if target == "binary":
        return labels.astype(np.float32)[:, None]
    return labels[:, None]
