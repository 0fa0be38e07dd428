"""Histories in Keras's shape."""

import math

import pytest

from fittingroom.views.history import to_history, to_wire


@pytest.mark.parametrize("value", [0.0, -1.5, 1e-45, 0.1, math.inf, -math.inf])
def test_numbers_survive_the_wire(value: float) -> None:
    assert float(to_wire(value)) == value


def test_nan_comes_back_as_nan() -> None:
    assert to_wire(math.nan) == "NaN"
    assert math.isnan(float("NaN"))


def test_rows_become_columns() -> None:
    assert to_history([(1, {"loss": 0.5, "val_loss": 0.6}), (2, {"loss": 0.4, "val_loss": "NaN"})]) == {
        "epoch": [1, 2],
        "loss": [0.5, 0.4],
        "val_loss": [0.6, "NaN"],
    }


def test_a_metric_missing_in_an_epoch_is_none_there() -> None:
    assert to_history([(1, {"loss": 1.0}), (2, {"loss": 1.0, "auc": 0.5})])["auc"] == [None, 0.5]


def test_no_epochs() -> None:
    assert to_history([]) == {"epoch": []}
