"""Several epochs per call are reported like single ones."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.factories import document
from tests.workers.engines.trials import TWO_CORES, Recording, cohort_of, fused_engine, trained, trial_specs
from workers.engines.base import NO_METRICS, Cohort, EpochDecision, Metrics
from workers.engines.fused import layout
from workers.engines.fused.layout import Workload, arrange

RATES = {"name": "adam", "learning_rate": {"choice": [0.1, 0.01, 0.001]}}
RULES: dict[str, dict[str, Any]] = {
    "to the end": {},
    "lengths that differ": {"fit": {"epochs": {"choice": [1, 7, 21]}, "validation_split": 0.3}},
    "stopping, best weights": {"early_stopping": {"patience": 2, "min_delta": 0.01, "restore_best_weights": True}},
}


def cohort(**changes: Any) -> Cohort:
    fit = {"epochs": 21, "validation_split": 0.3}
    return cohort_of(trial_specs(document(**{"optimizer": RATES, "fit": fit, **changes})))


def epochs_per_call(found: Recording) -> int:
    number: int = found.records[0]["epochs_per_call"]
    return number


@pytest.mark.parametrize(
    "rules",
    [pytest.param(rules, id=name, marks=[pytest.mark.slow] * (not rules)) for name, rules in RULES.items()],
)
def test_one_or_many_give_the_same(rules: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    trials = cohort(**rules)
    monkeypatch.setattr(layout, "_CALL_COST", 0.0)
    one = trained(fused_engine(), trials)
    monkeypatch.setattr(layout, "_CALL_COST", 1e9)
    many = trained(fused_engine(), trials)
    assert (epochs_per_call(one), epochs_per_call(many)) == (1, 16)
    assert many.reasons == one.reasons
    for trial_id, history in one.histories.items():
        assert len(many.histories[trial_id]) == len(history)
        for ours, theirs in zip(many.histories[trial_id], history, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-7)
        for mine, expected in zip(many.weights[trial_id], one.weights[trial_id], strict=True):
            assert mine == pytest.approx(expected, rel=1e-3, abs=1e-5)


class Asking(Recording):
    """Has one epoch ask for something."""

    def __init__(self, of: Cohort, epoch: int, asked: Mapping[str, Any]) -> None:
        super().__init__(of)
        self._epoch, self._asked = epoch, asked

    def on_epoch(
        self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
    ) -> EpochDecision:
        answer = super().on_epoch(epoch, metrics, again)
        return replace(answer, **self._asked) if epoch == self._epoch else answer


@pytest.mark.backends
def test_request_in_the_middle_of_a_call_applies_to_that_epoch(compiler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint, a learning rate and a stop after the third epoch of a call of sixteen."""
    monkeypatch.setattr(layout, "_CALL_COST", 1e9)
    trials = cohort()
    undisturbed = trained(fused_engine(compiler), trials)
    engine = fused_engine(compiler)
    engine.train(trials, saved := Asking(trials, 3, {"checkpoint": True}))
    assert saved.histories == undisturbed.histories
    [checkpoint] = saved.checkpoints
    assert set(checkpoint.epochs.values()) == {3}
    resumed = replace(trials, checkpoint=checkpoint)
    rest = Recording(resumed)
    rest.histories = {trial_id: history[:3] for trial_id, history in undisturbed.histories.items()}
    fused_engine(compiler).train(resumed, rest)
    assert rest.histories == undisturbed.histories

    engine.train(trials, slowed := Asking(trials, 3, {"learning_rates": {"t1": 0.0}}))
    assert slowed.histories["t1"][:3] == undisturbed.histories["t1"][:3]
    assert len({epoch["val_loss"] for epoch in slowed.histories["t1"][3:]}) == 1
    assert slowed.histories["t2"] == undisturbed.histories["t2"]

    engine.train(trials, stopped := Asking(trials, 3, {"stopped": {"t1": "cancelled"}}))
    assert len(stopped.histories["t1"]) == 3
    assert stopped.histories["t2"] == undisturbed.histories["t2"]


@pytest.mark.parametrize(
    ("epoch_cost", "trial_bytes", "expected"),
    [(1e3, 1e3, 16), (2e6, 1e3, 16), (1e7, 1e3, 8), (1e9, 1e3, 1), (1e3, 5e6, 4), (1e3, 1e9, 1)],
)
def test_only_short_epochs_of_small_networks_share_a_call(epoch_cost: float, trial_bytes: float, expected: int) -> None:
    load = Workload(TWO_CORES, can_map=True, step_cost=10.0, epoch_cost=epoch_cost, trial_bytes=int(trial_bytes))
    assert arrange([0], load).epochs_per_call == expected


def test_epochs_per_call_follow_from_steps_rules_and_memory() -> None:
    load = Workload(TWO_CORES, can_map=False, step_cost=10.0, epoch_cost=1e3, trial_bytes=1000)
    assert arrange([0], replace(load, steps=800)).epochs_per_call == 1
    assert arrange([0], replace(load, one_by_one=True)).epochs_per_call == 1
    assert arrange(range(5000), load).epochs_per_call == 4, "what all of them keep is bounded"


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"reduce_lr_on_plateau": {"patience": 1}}, {"fit": {"epochs": 3, "time_limit_seconds": 60}}], ids=str
)
def test_a_plateau_and_a_time_limit_are_looked_at_after_each_epoch(changes: dict[str, Any]) -> None:
    fit = {"epochs": 3, "validation_split": 0.3}
    assert epochs_per_call(trained(fused_engine(), cohort(**{"fit": fit, **changes}))) == 1
