"""Splits: which rows of a dataset are trained on, which are for validation, and which are set aside for the test."""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fittingroom.specs.fit import Fit, Split
from fittingroom.specs.validation.dataset_checks import count_groups_to_fit, ends_of_folds, fitting_rows, training_rows
from models.errors import UsageFault
from workers.datasets.numbers import Floats, Labels, Numbers, Rows

_Chosen = slice | NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """Some rows of a dataset, in its order."""

    x: Rows
    """(rows, features)."""
    y: Floats | Labels
    """(rows,) or (rows, targets)."""
    groups: Labels | None = None
    """(rows,): number of the group of each row; None where the dataset has none."""

    def where(self, chosen: _Chosen | NDArray[np.int64]) -> "Part":
        """Return some of the rows: a part of them, by a mask, or by their numbers."""
        return Part(self.x[chosen], self.y[chosen], None if self.groups is None else self.groups[chosen])

    def divided(self, begin: int, split: Split, groups_left: int) -> tuple["Part", "Part"]:
        """Divide the rows in two.

        Args:
            begin: number of rows in the first part, about that where groups stay whole.
            split: which rows are in the second one.
            groups_left: least number of groups in the first one.
        """
        if split == "last":
            return self.where(slice(begin)), self.where(slice(begin, None))
        wanted = len(self.y) - begin
        if split == "group":
            mask = _chosen_groups(_groups_of(self), wanted, groups_left)
        else:
            mask = _chosen_rows(self.y, wanted, is_stratified=split == "stratified")
        return self.where(~mask), self.where(mask)


def fitting_and_test_parts(numbers: Numbers, rows: int | None, fit: Fit) -> tuple[Part, Part]:
    """Return the rows to fit, and those that are set aside for the test.

    Args:
        numbers: all of the dataset.
        rows: how many of them a spec wants; None for all.
        fit: the split.
    """
    part = Part(numbers.x, numbers.y, numbers.groups)
    if rows is not None:
        part = part.where(np.random.Generator(np.random.Philox(key=0)).permutation(len(numbers.x))[:rows])
    if not fit.test_split:
        return part, part.where(slice(0))
    return part.divided(fitting_rows(len(part.x), fit), fit.split, count_groups_to_fit(fit))


def training_and_validation_parts(fitting: Part, fit: Fit, fold: int | None) -> tuple[Part, Part]:
    """Return the rows to train on, and those for validation.

    Args:
        fitting: both.
        fit: the split.
        fold: the fold whose rows are for validation, from 1; None without folds.
    """
    if fold is not None and fit.folds is not None:
        validating = _rows_of_fold(fitting, fold, fit.folds, fit.split)
        return fitting.where(~validating), fitting.where(validating)
    if not fit.validation_split:
        return fitting, fitting.where(slice(0))
    return fitting.divided(training_rows(len(fitting.x), fit), fit.split, 1)


def _chosen_rows(y: Floats | Labels, wanted: int, *, is_stratified: bool) -> NDArray[np.bool_]:
    """Return a mask of so many rows, drawn at random; stratified, with the same part of each class."""
    order = _shuffled(y, is_stratified=is_stratified)
    # Evenly spread over the order, with half a distance at both ends: of rows sorted by class, each gives its part.
    is_chosen = np.diff((2 * np.arange(len(y) + 1) * wanted + len(y)) // (2 * len(y))) > 0
    mask = np.zeros(len(y), bool)
    mask[order[is_chosen]] = True
    return mask


def _chosen_groups(groups: Labels, wanted: int, left: int) -> NDArray[np.bool_]:
    """Return a mask of the rows of whole groups, about as many as are wanted.

    At random each that is not too large, then one more if that comes nearer: rather too few rows than too many.

    Args:
        groups: of each row, of shape (rows,).
        wanted: number of rows.
        left: least number of groups that are not chosen.
    """
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    chosen: list[int] = []
    missing = wanted
    for group in _in_random_order(len(sizes)).tolist():
        if sizes[group] <= missing and len(sizes) - len(chosen) > left:
            chosen.append(group)
            missing -= int(sizes[group])
    others = np.setdiff1d(np.arange(len(sizes)), chosen)
    smallest = int(others[np.argmin(sizes[others])])
    if not chosen or (len(others) > left and sizes[smallest] - missing < missing):
        chosen.append(smallest)
    return np.isin(numbers, chosen)


def _rows_of_fold(part: Part, fold: int, folds: int, split: Split) -> NDArray[np.bool_]:
    """Return a mask of the rows of a fold: consecutive ones, every so manyth at random or by class, or whole groups."""
    if split == "group":
        return np.equal(_group_folds(_groups_of(part), folds), fold)
    mask = np.zeros(len(part.y), bool)
    if split == "last":
        ends = [0, *ends_of_folds(len(part.y), folds)]
        mask[ends[fold - 1] : ends[fold]] = True
    else:
        mask[_shuffled(part.y, is_stratified=split == "stratified")[fold - 1 :: folds]] = True
    return mask


def _groups_of(part: Part) -> Labels:
    if part.groups is None:
        raise UsageFault("the dataset has no groups, and the split is by group")
    return part.groups


def _group_folds(groups: Labels, folds: int) -> Labels:
    """Return the fold of each row, from 1: the largest group first, each goes to the fold that has fewest rows."""
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = _in_random_order(len(sizes))
    filled = [(0, fold) for fold in range(1, folds + 1)]
    fold_of = np.zeros(len(sizes), np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")].tolist():
        rows, fold = filled[0]
        fold_of[group] = fold
        heapq.heapreplace(filled, (rows + int(sizes[group]), fold))
    return fold_of[numbers]


def _shuffled(y: Floats | Labels, *, is_stratified: bool) -> NDArray[np.int64]:
    """Return the numbers of all rows in random order; stratified, class after class."""
    order = _in_random_order(len(y))
    return order[np.argsort(y[order], kind="stable")] if is_stratified else order


def _in_random_order(count: int) -> NDArray[np.int64]:
    """Return so many numbers from 0 in random order, always the same."""
    return np.random.Generator(np.random.Philox(key=1)).permutation(count)
