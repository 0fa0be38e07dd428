"""Fused engine: cached programs, stopped trials, memory limits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.factories import DENSE_2, digits, document, layers
from tests.workers.engines.trials import (
    TWO_CORES,
    Recording,
    cohort_of,
    fused_engine,
    reference_engine,
    trained,
    trial_spec,
    trial_specs,
)
from workers.engines.backends.seam import GPU
from workers.engines.base import NO_METRICS, CannotTrainError, Cohort, EpochDecision, Metrics, Weights
from workers.engines.fused import layout
from workers.engines.fused.layout import Workload, arrange, is_worth_shrinking
from workers.engines.reference import ReferenceEngine

TANH = {"type": "dense", "units": 8, "activation": "tanh"}
FIT = {"epochs": 6, "validation_split": 0.3}


def rates(*values: float) -> dict[str, Any]:
    return {"name": "adam", "learning_rate": {"choice": list(values)}}


@pytest.mark.slow
@pytest.mark.backends
def test_two_runs_are_equal_bit_for_bit_in_the_same_engine_and_in_another(compiler: str) -> None:
    changed = document(
        model=layers(TANH, {"type": "dropout", "rate": 0.3}, {"type": "batch_normalization"}, DENSE_2),
        optimizer=rates(0.01, 0.003), seeds=[0, 7], fit=FIT | {"epochs": 2},
    )  # fmt: skip
    cohort = cohort_of(trial_specs(changed))
    engine = fused_engine(compiler)
    first, again, elsewhere = trained(engine, cohort), trained(engine, cohort), trained(fused_engine(compiler), cohort)
    assert first.histories == again.histories == elsewhere.histories
    for trial_id, weights in first.weights.items():
        assert all((a == b).all() for a, b in zip(weights, elsewhere.weights[trial_id], strict=True))


def test_a_sweep_of_another_size_rates_and_seeds_finds_the_program() -> None:
    engine = fused_engine()
    seen = [
        trained(engine, cohort_of(trial_specs(document(optimizer=rates(*values), seeds=seeds, fit=FIT)))).records[0]
        for values, seeds in (((0.01, 0.02, 0.03), [0]), ((0.1, 0.2, 0.5), [5]), ((0.1,), [0]))
    ]
    assert [record["known_program"] for record in seen] == [False, True, False]
    assert [record["trials_per_program"] for record in seen] == [3, 3, 1]
    assert (engine.programs.hits, engine.programs.misses) == (1, 2)
    assert engine.residence.hits == 2


@pytest.mark.backends
def test_convolutions_take_turns_and_dense_layers_share() -> None:
    image = [{"type": "reshape", "target_shape": [28, 28, 1]}, {"type": "conv2d", "filters": 2, "kernel_size": 3}]
    turns = trained(
        fused_engine(), cohort_of(trial_specs(digits(*image, {"type": "flatten"}, optimizer=rates(0.1, 0.2))))
    )
    assert turns.records[0]["trials_per_program"] == 1
    shared = trained(fused_engine(), cohort_of(trial_specs(document(optimizer=rates(0.1, 0.2)))))
    assert shared.records[0]["trials_per_program"] == 2


@pytest.mark.backends
def test_stopped_trials_leave_the_others_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = trial_specs(document(optimizer=rates(*(n / 100 for n in range(1, 7))), fit=FIT))
    cohort = cohort_of(specs)
    staying = Cohort([trial for trial in cohort.trials if trial.id in {"t2", "t5"}], cohort.arrays)
    undisturbed = trained(reference_engine(), staying)

    class Cancelling(Recording):
        def on_epoch(
            self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
        ) -> EpochDecision:
            answer = super().on_epoch(epoch, metrics, again)
            gone = dict.fromkeys(("t1", "t3", "t4", "t6"), "cancelled") if epoch == 2 else {}
            return EpochDecision(answer.stopped | gone, answer.best, answer.learning_rates)

    monkeypatch.setattr(layout, "_WORTH_SHRINKING", 0)
    engine = fused_engine()
    engine.train(cohort, found := Cancelling(cohort))
    assert [record["trials_per_program"] for record in found.records] == [6, 2]
    for trial_id in ("t2", "t5"):
        assert len(found.histories[trial_id]) == 6
        for ours, theirs in zip(found.histories[trial_id], undisturbed.histories[trial_id], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5)
    assert [len(found.histories[trial_id]) for trial_id in ("t1", "t3", "t4", "t6")] == [2, 2, 2, 2]


@pytest.mark.nightly
def test_a_cohort_that_is_taken_up_again_gives_the_rest_bit_for_bit(
    compiler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trials that ended in the first attempt sit beside the others again: the last bit depends on how many do."""
    monkeypatch.setattr(layout, "_WORTH_SHRINKING", 0)
    model = layers(*[{"type": "dense", "units": 100, "activation": "tanh"}] * 2, DENSE_2)
    fit = {"epochs": {"choice": [2, 3, 12]}, "validation_split": 0.3}
    specs = trial_specs(document(model=model, optimizer=rates(0.01, 0.003, 0.001, 0.0003), fit=fit))
    cohort = cohort_of(specs)
    whole = trained(fused_engine(compiler), cohort)
    left = [
        trial
        if len(whole.histories[trial.id]) > 3
        else type(trial)(trial.id, trial.spec, len(whole.histories[trial.id]))
        for trial in cohort.trials
    ]
    rest = trained(fused_engine(compiler), Cohort(left, cohort.arrays))
    long = [trial.id for trial in cohort.trials if len(whole.histories[trial.id]) == 12]
    assert {trial_id for trial_id, history in rest.histories.items() if history} == set(long)
    assert all(rest.histories[trial_id] == whole.histories[trial_id] for trial_id in long)


def test_a_cohort_that_does_not_fit_into_memory_is_split() -> None:
    specs = trial_specs(digits(TANH, optimizer=rates(0.01, 0.02, 0.03, 0.04, 0.05)))
    cohort = cohort_of(specs)
    small = fused_engine(memory_bytes=2 * cohort.arrays.nbytes + 1000)
    found, expected = trained(small, cohort), trained(fused_engine(), cohort)
    assert len(found.records) > 1
    assert found.reasons == expected.reasons
    for trial_id, history in expected.histories.items():
        for ours, theirs in zip(found.histories[trial_id], history, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5)


def test_data_that_does_not_fit_is_left_to_an_engine_that_streams() -> None:
    cohort = cohort_of([trial_spec()])
    with pytest.raises(CannotTrainError, match="MB may stay on the device"):
        trained(fused_engine(memory_bytes=1000), cohort)


def test_datasets_that_were_not_used_for_long_make_room() -> None:
    engine = fused_engine(memory_bytes=2**30)
    one, other = (cohort_of([trial_spec(dataset={"name": "titanic", "rows": rows})]) for rows in (300, 200))
    engine.residence.budget_bytes = one.arrays.nbytes + other.arrays.nbytes - 1
    for cohort in (one, one, other, one):
        trained(engine, cohort)
    assert engine.residence.hits == 1


@pytest.mark.nightly
def test_streaming_with_many_batches_a_call_gives_the_numbers_of_a_plain_fit() -> None:
    changed = document(model=layers(TANH, {"type": "batch_normalization"}, DENSE_2), optimizer=rates(0.01), fit=FIT)
    cohort = cohort_of(trial_specs(changed))
    tuned, plain = trained(reference_engine(), cohort), trained(ReferenceEngine(), cohort)
    for ours, theirs in zip(tuned.histories["t1"], plain.histories["t1"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


SMALL = Workload(TWO_CORES, can_map=True, step_cost=10.0, epoch_cost=100.0)
LARGE = Workload(TWO_CORES, can_map=True, step_cost=1e6, epoch_cost=1e9)
HUGE = Workload(TWO_CORES, can_map=True, step_cost=1e8, epoch_cost=1e10)
ON_A_GPU = Workload(GPU, can_map=True, step_cost=1e8, epoch_cost=1e10)
UNMAPPED = Workload(TWO_CORES, can_map=False, step_cost=1e6, epoch_cost=1e9)


@pytest.mark.parametrize(
    ("trials", "load", "width", "blocks", "at_once"),
    [
        (1, LARGE, 1, 1, 2),
        (5, SMALL, 6, 1, 2),
        (5, LARGE, 3, 2, 2),
        (16, LARGE, 8, 2, 2),
        (300, SMALL, 128, 3, 2),
        (5, UNMAPPED, 1, 5, 2),
        (5, HUGE, 1, 5, 1),
        (5, ON_A_GPU, 6, 1, 1),
        (4_000, ON_A_GPU, 4_096, 1, 1),
        (5_000, ON_A_GPU, 4_096, 2, 1),
    ],
)
def test_layout(trials: int, load: Workload, width: int, blocks: int, at_once: int) -> None:
    found = arrange(range(trials), load)
    assert (found.width, len(found.blocks), found.at_once) == (width, blocks, at_once)
    assert [trial for block in found.blocks for trial in block] == list(range(trials))
    assert all(1 <= len(block) <= width for block in found.blocks)


def test_a_smaller_program_must_be_worth_its_making() -> None:
    found = arrange(range(16), LARGE)
    assert is_worth_shrinking(found, active=8, epochs_left=100, load=LARGE)
    assert not is_worth_shrinking(found, active=9, epochs_left=100, load=LARGE)
    assert not is_worth_shrinking(found, active=8, epochs_left=2, load=LARGE)


@pytest.mark.slow
@pytest.mark.backends
@pytest.mark.parametrize("small_bytes", [0, pytest.param(32 * 1024**2, marks=pytest.mark.nightly)])
def test_weights_are_kept_of_whatever_epoch(compiler: str, small_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trial ends with those of the last epoch in which it was kept, gathered meanwhile or not."""
    monkeypatch.setattr("workers.engines.fused.trial_block._SMALL_BYTES", small_bytes)
    optimizer = rates(*[0.001 * number for number in range(1, 8)])
    fit = {"epochs": 8, "validation_split": 0.3}
    cohort = cohort_of(trial_specs(document(optimizer=optimizer, fit=fit)))
    plain = fused_engine(compiler)
    kept = {"t1": {1}, "t2": {2, 5}, "t3": {3}, "t4": {4, 8}, "t5": set[int](), "t6": {6}, "t7": {1, 2, 3, 4, 5, 6, 7}}

    class Keeping(Recording):
        def on_epoch(
            self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
        ) -> EpochDecision:
            answer = super().on_epoch(epoch, metrics, again)
            return replace(answer, best={trial_id for trial_id, epochs in kept.items() if epoch in epochs})

    def ended_after(epochs: int) -> dict[str, Weights]:
        shorter = document(optimizer=optimizer, fit=fit | {"epochs": epochs})
        until_then = cohort_of(trial_specs(shorter))
        recording = Never(until_then)
        plain.train(until_then, recording)
        return recording.weights

    class Never(Recording):
        def on_epoch(
            self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
        ) -> EpochDecision:
            return replace(super().on_epoch(epoch, metrics, again), best=frozenset())

    found = Keeping(cohort)
    fused_engine(compiler).train(cohort, found)
    for trial_id, epochs in kept.items():
        for ours, theirs in zip(found.weights[trial_id], ended_after(max(epochs, default=8))[trial_id], strict=True):
            assert (ours == theirs).all(), trial_id
