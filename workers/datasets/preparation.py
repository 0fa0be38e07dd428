"""Preparation of a dataset for a cohort: its rows, imputation, scaling, and the form of the target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fittingroom.specs.experiment import Dataset, TrialSpec
from fittingroom.specs.fit import Fit
from fittingroom.specs.targets import Target, TargetForm, columns_of
from fittingroom.specs.validation.dataset_checks import class_number
from models.errors import UsageFault
from models.storage import Storage
from workers.datasets.numbers import DatasetNames, Floats, Labels, Numbers, Rows, like, load
from workers.datasets.splits import Part, fitting_and_test_parts, training_and_validation_parts
from workers.engines.base import Arrays


@dataclass(frozen=True)
class Scaling:
    """Imputation and scaling of rows, measured on the training rows."""

    fill: NDArray[np.float64]
    """(features,): what stands for a missing number."""
    mean: NDArray[np.float64] | None = None
    """(features,): what is subtracted; None where nothing is standardized."""
    deviation: NDArray[np.float64] | None = None
    """(features,): what is then divided by; never 0."""

    def apply(self, x: Rows) -> Floats:
        """Rows as a network sees them: float32 (rows, features) without NaN; infinite where they are beyond float32."""
        missing = np.isnan(x)
        if missing.any():
            x = np.where(missing, self.fill, x)
        with np.errstate(over="ignore"):
            if self.mean is not None and self.deviation is not None:
                x = (x - self.mean) / self.deviation  # in float64, as the mean is
            return x.astype(np.float32, copy=False)


def measure_scaling(x: Rows, *, standardize: bool) -> Scaling:
    """Measure the training rows; a feature that is the same in all of them becomes 0."""
    missing = np.isnan(x)
    known = np.maximum((~missing).sum(axis=0), 1)
    fill = np.where(missing, 0.0, x.astype(np.float64)).sum(axis=0) / known
    if not standardize:
        return Scaling(fill)
    training = np.where(missing, fill, x).astype(np.float64, copy=False)
    # In float64 the mean of equal numbers may be another one, and the deviation of tiny ones is 0.
    is_constant, deviation = training.min(axis=0) == training.max(axis=0), training.std(axis=0)
    mean = np.where(is_constant, training[0], training.mean(axis=0))
    return Scaling(fill, mean, np.where(is_constant | (deviation == 0), 1.0, deviation))


def prepare(
    dataset: Dataset, fit: Fit, targets: Sequence[Target], storage: Storage | None = None, fold: int | None = None
) -> tuple[Arrays, Scaling]:
    """Load, cut and scale.

    Args:
        dataset: which rows.
        fit: which rows are kept for validation; what classes weigh.
        targets: what each output is compared with.
        storage: where uploaded datasets are.
        fold: the fold whose rows are kept for validation, from 1; None without folds.

    Returns:
        Features as float32 (rows, features); targets as float32 (rows, classes) for `one_hot` and (rows, 1) for
        `number`, as int64 (rows, 1) for `index`; of several outputs one after the other, as float32. And what was
        done to the features.

    Raises:
        UsageFault: the numbers cannot be had on this worker.
        OSError: the storage does not give them.
    """
    numbers = load(dataset, storage)
    fitting, _ = fitting_and_test_parts(numbers, dataset.rows, fit)
    training, validation = training_and_validation_parts(fitting, fit, fold)
    if dataset.validation is not None:
        other = like(numbers, load(dataset.validation, storage))
        validation = Part(other.x, other.y)
    scaling = measure_scaling(training.x, standardize=dataset.standardize)
    split = f"{fit.validation_split} {fit.test_split} {fit.split} {fold}/{fit.folds}"
    key = f"{dataset.model_dump_json()} {split} {fit.class_weight} {targets}"
    weight = None if fit.class_weight is None else _weights(training.y, fit.class_weight, numbers.class_names)
    x, y = scaling.apply(training.x), _encoded(training.y, targets, numbers.classes)
    if not len(validation.x):
        return Arrays(key, x, y, None, None, weight), scaling
    y_validation = _encoded(validation.y, targets, numbers.classes)
    return Arrays(key, x, y, scaling.apply(validation.x), y_validation, weight), scaling


def evaluation_rows(
    spec: TrialSpec,
    targets: Sequence[Target],
    scaling: Scaling,
    names: DatasetNames,
    other: Numbers | None,
    storage: Storage,
) -> tuple[Floats, Floats | Labels]:  # fmt: skip
    """Return the rows to measure a trained network on: those of another dataset, or those set aside for the test.

    Args:
        spec: of the trained trial.
        targets: what each output is compared with.
        scaling: of the training rows.
        names: of the features and classes that the network knows.
        other: rows of another dataset; None for the test rows of the trial's own.
        storage: where uploaded datasets are.

    Returns:
        Features as float32 (rows, features), and targets as `prepare` returns them.
    """
    if other is not None:
        rows = like(names, other)
        part = Part(rows.x, rows.y)
    else:
        _, part = fitting_and_test_parts(load(spec.dataset, storage), spec.dataset.rows, spec.fit)
    return scaling.apply(part.x), _encoded(part.y, targets, len(names.class_names) or None)


def _encoded(y: Floats | Labels, targets: Sequence[Target], classes: int | None) -> Floats | Labels:
    if len(targets) == 1:
        return _encoded_for(y, targets[0].form, classes)
    if classes is not None:
        parts = [_encoded_for(y, target.form, classes) for target in dict.fromkeys(targets)]
        return np.concatenate(parts, axis=1, dtype=np.float32)
    numbers = y.reshape(len(y), -1).astype(np.float32)
    for target, columns in zip(targets, columns_of(targets, numbers.shape[1]), strict=True):
        if target.form == "index":
            _refuse_other_classes(numbers[:, columns], target.units)
    return numbers


def _refuse_other_classes(numbers: Floats, classes: int) -> None:
    """Refuse targets that are no class numbers: a backend would give NaN, or end the process."""
    wrong = (numbers != np.round(numbers)) | (numbers < 0) | (numbers >= classes)
    if wrong.any():
        detail = f"an output of {classes} units with sparse_categorical_crossentropy takes class numbers from 0 to"
        raise UsageFault(f"{detail} {classes - 1} as targets, and one of this dataset's is {numbers[wrong][0]:g}")


def _encoded_for(y: Floats | Labels, form: TargetForm, classes: int | None) -> Floats | Labels:
    if y.ndim == 2:
        return y.astype(np.float32)
    if form == "one_hot" and classes is not None:
        encoded: Floats = np.eye(classes, dtype=np.float32)[y.astype(np.int64)]
        return encoded
    if form == "number":
        return y.astype(np.float32)[:, None]
    return y.astype(np.int64)[:, None]


def _weights(labels: Rows | Labels, class_weight: Mapping[str, float] | str, class_names: Sequence[str]) -> Floats:
    """Return the weight of each row by its class."""
    y = labels.astype(np.int64)
    if isinstance(class_weight, str):  # balanced, as in scikit-learn: rows / (classes * rows of the class)
        counts = np.bincount(y, minlength=len(class_names))
        balanced: Floats = (len(y) / (np.count_nonzero(counts) * counts[y])).astype(np.float32)
        return balanced
    known = np.ones(len(class_names), np.float32)
    for given, weight in class_weight.items():
        number = class_number(given, class_names)
        # By number alone, as in specs of before 2026-11-28.
        known[int(given) if number is None else number] = weight
    return known[y]
