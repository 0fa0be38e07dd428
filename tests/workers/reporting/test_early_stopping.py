"""Early stopping beside Keras's own callback, and at a loss that is NaN."""

from typing import Any

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fittingroom.specs.fit import EarlyStopping, ReduceLROnPlateau
from tests.workers.engines.trials import trial_spec
from workers.reporting.early_stopping import Patience
from workers.reporting.reduce_lr_on_plateau import Plateau
from workers.reporting.trial_rules import TrialWatch

values = st.floats(-2, 2, width=32, allow_subnormal=False) | st.sampled_from([0.5, 0.25, float("nan")])


class _Model:
    """Model with the one attribute that Keras's callback sets."""

    stop_training = False

    def get_weights(self) -> None:
        """Nothing to keep."""


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
    baseline=st.none() | st.floats(-1, 1, width=32, allow_subnormal=False),
    start_from_epoch=st.integers(0, 4),
)
def test_patience_is_that_of_keras(series: list[float], **options: Any) -> None:
    ours = Patience(EarlyStopping(monitor="val_loss", **options))
    logs = [{"val_loss": value} for value in series]
    stopped = next((epoch for epoch, log in enumerate(logs, 1) if ours.is_exhausted(epoch, log)), None)
    assert stopped == keras_stops_after({"monitor": "val_loss", **options}, logs)


@pytest.mark.parametrize(("monitor", "rising_is_better"), [("val_loss", False), ("val_accuracy", True), ("mae", False)])
def test_mode_auto_follows_the_metric(monitor: str, *, rising_is_better: bool) -> None:
    rising = [Patience(EarlyStopping(monitor=monitor)).is_exhausted]
    stopped = [rising[0](epoch, {monitor: float(epoch)}) for epoch in (1, 2, 3)]
    assert any(stopped) == (not rising_is_better)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_divergence(loss: float) -> None:
    watch = TrialWatch(trial_spec(fit={"epochs": 5}))
    assert watch.after(1, {"loss": 15_000.0}).ended is None
    assert watch.after(2, {"loss": loss}).ended == "diverged"


def test_the_last_epoch_is_the_last() -> None:
    watch = TrialWatch(trial_spec(early_stopping={"patience": 0}))
    assert watch.after(1, {"loss": 1.0, "val_loss": 1.0}).ended is None
    assert watch.after(2, {"loss": 1.0, "val_loss": 2.0}).ended == "epochs"


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Keras's callback reads its variables so
@given(
    series=st.lists(values, min_size=1, max_size=12),
    patience=st.integers(0, 3),
    min_delta=st.sampled_from([0.0, 0.1]),
    mode=st.sampled_from(["min", "max"]),
    factor=st.sampled_from([0.1, 0.5, 0.9]),
    cooldown=st.integers(0, 3),
    min_lr=st.sampled_from([0.0, 0.001, 0.02]),
)
def test_the_plateau_is_that_of_keras(series: list[float], **options: Any) -> None:
    model = _Model()
    model.optimizer = keras.optimizers.SGD(0.1)  # type: ignore[attr-defined]  # a place to keep the rate
    callback = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", **options)
    callback.set_model(model)
    callback.on_train_begin()
    ours = Plateau(ReduceLROnPlateau(monitor="val_loss", **options), 0.1)
    for epoch, value in enumerate(series):
        logs = {"val_loss": value}
        before = ours.learning_rate
        ours.after(logs)
        callback.on_epoch_end(epoch, logs)
        assert logs["learning_rate"] == before
        assert float(model.optimizer.learning_rate) == ours.learning_rate  # type: ignore[attr-defined]


def test_the_best_epoch_is_the_one_keras_restores() -> None:
    watch = TrialWatch(
        trial_spec(
            early_stopping={"patience": 3, "restore_best_weights": True}, fit={"epochs": 9, "validation_split": 0.3}
        )
    )
    losses = [0.5, 0.6, 0.4, 0.41, 0.45]
    kept = [watch.after(epoch, {"loss": 1.0, "val_loss": loss}).keep for epoch, loss in enumerate(losses, 1)]
    assert kept == [True, False, True, False, False]
