"""Splits: every row once, in order; whole groups; folds and test rows."""

import numpy as np
import pytest

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import Dataset
from fittingroom.specs.fit import Fit, Split
from fittingroom.specs.targets import Target
from fittingroom.specs.validation.dataset_checks import ends_of_folds
from models.errors import UsageFault
from models.storage import Storage
from tests.workers.engines.trials import trial_spec
from workers.datasets import prepare
from workers.datasets.numbers import Numbers
from workers.datasets.preparation import evaluation_rows
from workers.datasets.splits import Part, _chosen_rows, fitting_and_test_parts, training_and_validation_parts
from workers.saving.artifacts import Inputs

BY_ROW: list[Split] = ["last", "shuffled", "stratified"]


def table(sizes: list[int], seed: int = 0) -> Numbers:
    """Return rows whose one feature is their number, of groups of some sizes, in a random order."""
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = np.arange(len(groups))
    return Numbers(rows[:, None].astype(np.float32), rows % 2, 2, ["row"], ["no", "yes"], groups)


def rows_of(part: Part) -> list[int]:
    return part.x[:, 0].astype(int).tolist()


def groups_of(part: Part) -> set[int]:
    assert part.groups is not None
    return set(part.groups.tolist())


SIZES = {"equal": [4] * 25, "of all sizes": list(range(1, 20)), "one is most": [90, 5, 5, 5], "rows alone": [1] * 12}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize(
    "fit",
    [
        Fit(validation_split=0.2, split="group"),
        Fit(folds=3, split="group"),
        Fit(test_split=0.2, validation_split=0.3, split="group"),
        Fit(test_split=0.2, folds=3, split="group"),
        Fit(test_split=0.3, split="group"),
    ],
    ids=["validation", "folds", "test and validation", "test and folds", "test"],
)
def test_groups_stay_whole_and_every_row_is_used_once(sizes: list[int], fit: Fit) -> None:
    numbers = table(sizes)
    fitting, test = fitting_and_test_parts(numbers, None, fit)
    assert bool(fit.test_split) == bool(len(test.x))
    validated = []
    for fold in range(1, fit.folds + 1) if fit.folds else [None]:
        training, validation = training_and_validation_parts(fitting, fit, fold)
        parts = [groups_of(part) for part in (training, validation, test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(sizes), "no group is in two parts"
        assert len(training.x) >= 1
        assert sorted(rows_of(training) + rows_of(validation) + rows_of(test)) == list(range(sum(sizes)))
        assert all(rows_of(part) == sorted(rows_of(part)) for part in (training, validation, test))
        validated += rows_of(validation)
    if fit.folds:
        assert sorted(validated) == sorted(rows_of(fitting)), "each fold has a group, and every row is in one"


@pytest.mark.parametrize(
    ("sizes", "split", "expected"),
    [([4] * 25, 0.2, {20}), ([1] * 12, 0.25, {3}), ([90, 5, 5, 5], 0.1, {10}),
     ([50, 50], 0.9, {50}), ([60, 40], 0.01, {40})],
    ids=["equal", "rows alone", "one is most", "two, and most for validation", "hardly any"],
)  # fmt: skip
def test_groups_make_about_as_many_rows_as_are_wanted(sizes: list[int], split: float, expected: set[int]) -> None:
    found = set()
    for seed in range(5):
        fit = Fit(validation_split=split, split="group")
        fitting, _ = fitting_and_test_parts(table(sizes, seed), None, fit)
        found.add(len(training_and_validation_parts(fitting, fit, None)[1].x))
    assert found == expected


def test_folds_by_group_have_about_as_many_rows_each() -> None:
    fit = Fit(folds=4, split="group")
    fitting, _ = fitting_and_test_parts(table(list(range(1, 20))), None, fit)
    counts = [len(training_and_validation_parts(fitting, fit, fold)[1].x) for fold in range(1, 5)]
    assert sum(counts) == 190
    assert max(counts) - min(counts) <= 3


def test_split_by_group_of_a_dataset_without_groups_is_refused() -> None:
    for fit in (Fit(validation_split=0.2, split="group"), Fit(folds=3, split="group")):
        with pytest.raises(UsageFault, match="no groups"):
            prepare(Dataset(name="titanic"), fit, [Target("index", 2)], fold=1 if fit.folds else None)


@pytest.mark.parametrize("split", ["shuffled", "stratified"])
def test_split_keeps_every_row_once_and_each_part_in_order(split: Split) -> None:
    fit, target = Fit(validation_split=0.3, split=split), [Target("index", 2)]
    arrays, _ = prepare(Dataset(name="titanic"), fit, target)
    whole, _ = prepare(Dataset(name="titanic"), Fit(), target)
    assert arrays.x_validation is not None
    assert len(arrays.x_validation) == 891 - 623
    rows = [row.tobytes() for row in whole.x]
    for part in (arrays.x, arrays.x_validation):
        places = iter(rows)
        assert all(row.tobytes() in places for row in part), "in the order of the dataset"
    together = np.concatenate([arrays.x, arrays.x_validation])
    assert sorted(row.tobytes() for row in together) == sorted(rows)
    assert arrays.key != prepare(Dataset(name="titanic"), Fit(validation_split=0.3), target)[0].key


def test_stratified_split_has_the_same_part_of_each_class() -> None:
    dataset, target = Dataset(name="mnist-sample"), [Target("index", 10)]
    trained = np.bincount(prepare(dataset, Fit(), target)[0].y[:, 0], minlength=10)
    difference = {}
    for split in ("shuffled", "stratified"):
        arrays, _ = prepare(dataset, Fit.model_validate({"validation_split": 0.1, "split": split}), target)
        assert arrays.y_validation is not None
        difference[split] = np.abs(np.bincount(arrays.y_validation[:, 0], minlength=10) - 0.1 * trained).max()
    assert difference["stratified"] <= 1 < difference["shuffled"]


@pytest.mark.parametrize("split", BY_ROW)
def test_test_rows_are_set_aside_before_all_others_are_split(split: Split) -> None:
    dataset, target = Dataset(name="titanic"), [Target("index", 2)]
    whole, _ = prepare(dataset, Fit(), target)
    rows = [row.tobytes() for row in whole.x]
    tests = []
    for changes in ({"validation_split": 0.25}, {"folds": 3}, {}):
        spec = trial_spec(dataset={"name": "titanic"}, fit={"test_split": 0.2, "split": split})
        fit = Fit.model_validate({"test_split": 0.2, "split": split} | changes)
        arrays, scaling = prepare(dataset, fit, target, fold=1 if fit.folds else None)
        inputs = Inputs(scaling, BUILT_IN_DATASETS["titanic"].feature_names, BUILT_IN_DATASETS["titanic"].class_names)
        x, y = evaluation_rows(spec, target, scaling, inputs, None, Storage("unused"))
        assert (len(x), y.shape) == (891 - 712, (179, 1))
        validated = [] if arrays.x_validation is None else arrays.x_validation
        assert sorted(row.tobytes() for row in (*arrays.x, *validated, *x)) == sorted(rows)
        tests.append([row.tobytes() for row in x])
        if split == "stratified":
            assert abs(y.mean() - whole.y.mean()) < 1 / 179
    assert tests[0] == tests[1] == tests[2], "the same rows, whatever is validated on"
    assert (tests[0] == rows[712:]) == (split == "last")


@pytest.mark.parametrize("split", BY_ROW)
@pytest.mark.parametrize("folds", [2, 5, 7])
def test_folds_validate_every_row_once(split: Split, folds: int) -> None:
    dataset, target, fit = Dataset(name="titanic"), [Target("index", 2)], Fit(folds=folds, split=split)
    whole, _ = prepare(dataset, Fit(), target)
    validated, keys = [], set()
    for fold in range(1, folds + 1):
        arrays, _ = prepare(dataset, fit, target, fold=fold)
        assert arrays.x_validation is not None
        assert arrays.y_validation is not None
        keys.add(arrays.key)
        assert abs(len(arrays.x_validation) - 891 / folds) < 1
        assert sorted(row.tobytes() for row in (*arrays.x, *arrays.x_validation)) == sorted(
            row.tobytes() for row in whole.x
        )
        validated += [row.tobytes() for row in arrays.x_validation]
        if split == "stratified":
            survived = arrays.y_validation.mean() * len(arrays.y_validation)
            assert abs(survived - whole.y.sum() / folds) <= 1
    assert len(keys) == folds
    assert sorted(validated) == sorted(row.tobytes() for row in whole.x)
    if split == "last":
        assert validated == [row.tobytes() for row in whole.x], "consecutive parts"


@pytest.mark.parametrize(("rows", "folds"), [(10, 3), (891, 5), (7, 7), (20, 2)])
def test_ends_of_consecutive_folds(rows: int, folds: int) -> None:
    parts = np.array_split(np.arange(rows), folds)
    assert ends_of_folds(rows, folds) == [part[-1] + 1 for part in parts]


def test_folds_are_scaled_by_their_own_training_rows() -> None:
    dataset, fit = Dataset(name="titanic", standardize=True), Fit(folds=3)
    for fold in (1, 2, 3):
        arrays, _ = prepare(dataset, fit, [Target("index", 2)], fold=fold)
        assert np.abs(arrays.x.mean(axis=0)).max() < 1e-6


@pytest.mark.parametrize("wanted", range(1, 10))
def test_stratified_rows_use_no_class_up(wanted: int) -> None:
    y = np.array([0] * 9 + [1])
    chosen = _chosen_rows(y, wanted, is_stratified=True)
    assert chosen.sum() == wanted
    assert not chosen[9] or wanted >= 6, "the one row of its class is for training while most rows are"
