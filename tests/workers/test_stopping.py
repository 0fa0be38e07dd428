"""When a trial stops: beside Keras's own callback, and at a loss that is no number."""

from typing import Any

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.spec.fit import EarlyStopping
from tests.workers.trials import trial_spec
from workers.stopping import Patience, TrialWatch

values = st.floats(-2, 2, width=32) | st.sampled_from([0.5, 0.25, float("nan")])


class _Model:
    """What Keras's callback needs of a model: a place to say stop."""

    stop_training = False


def keras_stops_after(options: dict[str, Any], logs: list[dict[str, float]]) -> int | None:
    callback = keras.callbacks.EarlyStopping(**options)
    callback.set_model(_Model())
    callback.on_train_begin()
    for epoch, log in enumerate(logs):
        callback.on_epoch_end(epoch, log)
        if callback.model.stop_training:
            return epoch + 1
    return None


@given(
    series=st.lists(values, min_size=1, max_size=15),
    patience=st.integers(0, 4),
    min_delta=st.sampled_from([0.0, 0.1, 0.001]),
    mode=st.sampled_from(["min", "max"]),
    baseline=st.none() | st.floats(-1, 1, width=32),
    start_from_epoch=st.integers(0, 4),
)
def test_patience_is_that_of_keras(series: list[float], **options: Any) -> None:
    ours = Patience(EarlyStopping(monitor="val_loss", **options))
    logs = [{"val_loss": value} for value in series]
    stopped = next((epoch for epoch, log in enumerate(logs, 1) if ours.is_exhausted(epoch, log)), None)
    assert stopped == keras_stops_after({"monitor": "val_loss", **options}, logs)


@pytest.mark.parametrize(("monitor", "rising_is_better"), [("val_loss", False), ("val_accuracy", True), ("mae", False)])
def test_auto_knows_which_way_is_better(monitor: str, *, rising_is_better: bool) -> None:
    rising = [Patience(EarlyStopping(monitor=monitor)).is_exhausted]
    stopped = [rising[0](epoch, {monitor: float(epoch)}) for epoch in (1, 2, 3)]
    assert any(stopped) == (not rising_is_better)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_divergence(loss: float) -> None:
    watch = TrialWatch(trial_spec(fit={"epochs": 5}))
    assert watch.after(1, {"loss": 15_000.0}) is None
    assert watch.after(2, {"loss": loss}) == "diverged"


def test_the_last_epoch_is_the_last() -> None:
    watch = TrialWatch(trial_spec(early_stopping={"patience": 0}))
    assert watch.after(1, {"loss": 1.0, "val_loss": 1.0}) is None
    assert watch.after(2, {"loss": 1.0, "val_loss": 2.0}) == "epochs"
