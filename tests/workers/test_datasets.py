"""The numbers of the datasets, and how they are cut."""

from typing import Any

import keras
import numpy as np
import pytest

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import Dataset
from fittingroom.specs.fit import Fit
from fittingroom.specs.model import Model
from fittingroom.specs.targets import Target, TargetForm
from fittingroom.specs.validation.dataset_checks import class_number
from models.errors import UsageFault
from tests.workers.engines.trials import trial_spec
from workers.builders.networks import build_network
from workers.datasets import preparation, prepare
from workers.datasets.adaptation import measure_adapted, with_adapted
from workers.datasets.sources import LOADERS, load_mnist
from workers.engines.base import Arrays


def cut(dataset: Dataset, validation_split: float, form: TargetForm) -> Arrays:
    arrays, _ = prepare(dataset, Fit(validation_split=validation_split), [Target(form, 2)])
    return arrays


@pytest.mark.parametrize("name", ["titanic", "mnist-sample"])
def test_numbers_match_the_schema(name: str) -> None:
    schema = BUILT_IN_DATASETS[name]
    x, labels = LOADERS[name]()
    assert x.shape == (schema.rows, schema.features)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert sorted(set(labels.tolist())) == list(range(schema.classes))


def test_every_dataset_of_the_api_has_a_loader() -> None:
    assert LOADERS.keys() == BUILT_IN_DATASETS.keys()


def test_titanic_is_titanic() -> None:
    x, survived = LOADERS["titanic"]()
    assert survived.sum() == 342
    assert x[0].tolist() == pytest.approx([3, 22, 1, 0, 7.25, 1, 0, 0, 0, 1])


def test_titanic_columns_have_the_right_statistics() -> None:
    x, survived = LOADERS["titanic"]()
    schema = BUILT_IN_DATASETS["titanic"]
    found = [(column.minimum, column.maximum, column.mean) for column in schema.columns]
    np.testing.assert_allclose(np.array(found, float), np.stack([x.min(0), x.max(0), x.mean(0)], axis=1), rtol=1e-5)
    preview = np.array(schema.preview, float)
    np.testing.assert_allclose(preview, np.column_stack([x, survived])[:5], rtol=1e-6)


def test_digits_are_shuffled_and_between_0_and_1() -> None:
    x, labels = LOADERS["mnist-sample"]()
    assert x.min() == 0
    assert x.max() == 1
    assert len(set(labels[:100].tolist())) == 10
    assert np.bincount(labels).tolist() == [500] * 10


def test_validation_is_the_last_part_unshuffled() -> None:
    arrays = cut(Dataset(name="titanic"), 0.3, "one_hot")
    x, labels = LOADERS["titanic"]()
    assert (len(arrays.x), len(arrays.x_validation)) == (623, 268)  # type: ignore[arg-type]
    assert (arrays.x == x[:623]).all()
    assert (arrays.x_validation == x[623:]).all()
    assert (arrays.y.argmax(1) == labels[:623]).all()


def test_rows_are_the_first_after_a_shuffle_that_is_always_the_same() -> None:
    some = cut(Dataset(name="mnist-sample", rows=50), 0.0, "index")
    more = cut(Dataset(name="mnist-sample", rows=100), 0.0, "index")
    assert (more.x[:50] == some.x).all()
    assert some.x_validation is None


def test_standardize_measures_the_training_rows_only() -> None:
    arrays = cut(Dataset(name="titanic", standardize=True), 0.3, "number")
    assert np.abs(arrays.x.mean(axis=0)).max() < 1e-5
    assert np.abs(arrays.x.std(axis=0) - 1).max() < 1e-5
    assert np.abs(arrays.x_validation.mean(axis=0)).max() > 1e-2  # type: ignore[union-attr]


def test_a_feature_that_never_changes_becomes_0() -> None:
    arrays = cut(Dataset(name="mnist-sample", rows=100, standardize=True), 0.5, "one_hot")
    assert np.isfinite(arrays.x).all()
    assert (arrays.x[:, 0] == 0).all()


@pytest.mark.parametrize(
    ("form", "shape", "dtype"), [("one_hot", 2, "float32"), ("number", 1, "float32"), ("index", 1, "int64")]
)
def test_targets_have_the_form_of_the_loss(form: str, shape: int, dtype: str) -> None:
    y = cut(Dataset(name="titanic"), 0.0, form).y  # type: ignore[arg-type]
    assert y.shape == (891, shape)
    assert y.dtype == dtype


@pytest.mark.parametrize(
    ("given", "died", "survived"),
    [
        ({"survived": 3.0}, 1.0, 3.0),
        ({"1": 3.0, "died": 0.5}, 0.5, 3.0),
        ("balanced", 623 / (2 * 377), 623 / (2 * 246)),
    ],
)
def test_class_weight_is_that_of_each_row(given: Any, died: float, survived: float) -> None:
    fit = Fit(validation_split=0.3, class_weight=given)
    arrays, _ = prepare(Dataset(name="titanic"), fit, [Target("index", 2)])
    expected = np.where(arrays.y[:, 0] == 1, survived, died)
    assert (arrays.y == 1).sum() == 246
    np.testing.assert_allclose(arrays.weight, expected, rtol=1e-6)  # type: ignore[arg-type]


def test_class_weight_balanced_leaves_absent_classes_out() -> None:
    """Same weights as in scikit-learn, which knows only the classes that are there."""
    labels = np.array([3, 3, 3, 7])
    found = preparation._weights(labels, "balanced", [str(digit) for digit in range(10)])  # noqa: SLF001
    np.testing.assert_allclose(found, [4 / 6, 4 / 6, 4 / 6, 2])


def test_class_weight_by_number_of_a_spec_of_before_keeps_its_meaning() -> None:
    """A cohort that was queued before the names counted."""
    found = preparation._weights(np.array([0, 1, 1]), {"0": 1.0, "1": 5.0}, ["3", "5"])  # noqa: SLF001
    assert found.tolist() == [1.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("given", "names", "number"),
    [("b", ["a", "b"], 1), ("1", ["a", "b"], 1), ("1", ["1", "2"], 0), ("0", ["1", "2"], None), ("2", ["a", "b"], None),
     ("01", ["a", "b"], None), ("-1", ["-1", "1"], 0), ("0", ["-1", "1"], None), ("x", ["a", "b"], None)],
)  # fmt: skip
def test_class_number_is_by_name_first(given: str, names: list[str], number: int | None) -> None:
    assert class_number(given, names) == number


def test_mnist_without_a_network_is_a_usage_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras  # noqa: PLC0415 - as in the loader

    def no_network() -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", no_network)
    with pytest.raises(UsageFault, match="mnist-sample"):
        load_mnist()


@pytest.mark.parametrize("axis", [-1, 1, None, [1, 2]])
def test_normalization_measures_like_adapt(axis: Any) -> None:
    rows = np.random.default_rng(0).normal(7, 3, (50, 5 + 6)).astype(np.float32)
    layer = {"type": "normalization", "inputs": ["second"]} | ({} if axis == -1 else {"axis": axis})
    model = Model.model_validate({
        "inputs": {"first": [5], "second": [2, 3]},
        "layers": [layer | {"name": "scaled"}, {"type": "flatten", "name": "flat"},
                   {"type": "concatenate", "inputs": ["flat", "first"]}],
    })  # fmt: skip
    adapted = with_adapted(model, measure_adapted(model, rows))
    built = build_network(trial_spec().model_copy(update={"model": adapted}), 11)
    keras_layer = keras.layers.Normalization(axis=axis)
    keras_layer.adapt(rows[:, 5:].reshape(50, 2, 3))
    expected = np.concatenate([np.reshape(keras_layer(rows[:, 5:].reshape(50, 2, 3)), (50, 6)), rows[:, :5]], axis=1)
    np.testing.assert_allclose(built(rows), expected, rtol=1e-4, atol=1e-5)
