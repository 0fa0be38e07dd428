"""Importance of hyperparameters: found where it is, about nothing where it is not."""

import numpy as np
import pytest

from app.comparison.importance import importances
from app.comparison.ranking import compare
from fittingroom.views.comparison import ImportanceView
from fittingroom.views.resources import BestEpochView, ObjectiveView
from fittingroom.views.states import TrialState
from tests.app.comparison.trials import COMPLETED

LOSS = ObjectiveView(metric="val_loss", direction="minimize")
ACCURACY = ObjectiveView(metric="val_accuracy", direction="maximize")


def found(objective: ObjectiveView, count: int, seed: int = 0) -> list[ImportanceView]:
    """Return the importances of candidates on which rate and activation have influence, and momentum has none."""
    rng = np.random.default_rng(seed)
    trials = []
    for number in range(count):
        rate, activation = 10 ** rng.uniform(-4, 0), str(rng.choice(["relu", "tanh"]))
        values = {"rate": rate, "momentum": rng.random(), "activation": activation, "constant": 3}
        loss = (np.log10(rate) + 2) ** 2 + (activation == "tanh") + rng.normal(0, 0.1)
        metrics = {"val_loss": loss, "val_accuracy": -loss}
        changes = {"id": f"trl_{number}", "hyperparameters": values, "label": str(number)}
        trials.append(COMPLETED.model_copy(update=changes | {"best_epoch": BestEpochView(epoch=1, metrics=metrics)}))
    return importances(compare(objective, trials).candidates)


@pytest.mark.parametrize("objective", [LOSS, ACCURACY], ids=lambda one: one.metric)
def test_hyperparameters_with_influence_come_before_one_without(objective: ObjectiveView) -> None:
    views = found(objective, 200)
    assert {view.hyperparameter for view in views[:2]} == {"rate", "activation"}
    assert [view.importance for view in views] == sorted((view.importance for view in views), reverse=True)
    assert sum(view.importance for view in views) == pytest.approx(1)
    momentum = views[2]
    assert momentum.importance < 0.1
    for view in views:
        assert 0 <= view.interval.low <= view.interval.high <= 1
        assert view is momentum or view.interval.low > momentum.importance


def test_hyperparameter_without_influence_has_none_in_the_mean() -> None:
    shares = [{view.hyperparameter: view.importance for view in found(LOSS, 60, seed)} for seed in range(30)]
    assert np.mean([one["momentum"] for one in shares]) < 0.1


def test_few_candidates_have_no_importances() -> None:
    assert found(LOSS, 19) == []
    assert len(found(LOSS, 20)) == 3


def test_importances_are_the_same_each_time() -> None:
    assert found(LOSS, 40) == found(LOSS, 40)


def test_equal_values_have_importances_without_a_fault() -> None:
    trials = [
        COMPLETED.model_copy(
            update={
                "id": f"trl_{number}", "label": str(number),
                "hyperparameters": {"rate": number / 100, "flag": number > 9},
                "best_epoch": BestEpochView(epoch=1, metrics={"val_loss": 1.0}),
            }
        )
        for number in range(30)
    ]  # fmt: skip
    views = importances(compare(LOSS, trials).candidates)
    assert all(np.isfinite([view.importance, view.interval.low, view.interval.high]).all() for view in views)


def test_pruned_candidates_count_as_worse_than_those_that_completed() -> None:
    trials = []
    for number in range(30):
        update = {"id": f"trl_{number}", "label": str(number), "hyperparameters": {"rate": number, "other": number % 2}}
        update["best_epoch"] = BestEpochView(epoch=1, metrics={"val_loss": 1.0 + number})
        trials.append(COMPLETED.model_copy(update=update | ({} if number < 6 else {"state": TrialState.PRUNED})))
    views = importances(compare(LOSS, trials).candidates)
    assert [view.hyperparameter for view in views] == ["rate", "other"]
    assert views[0].importance > 0.9
