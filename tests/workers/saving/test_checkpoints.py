"""A cohort that goes on from a checkpoint writes what one that was left alone would have written, bit for bit."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.sql.leases import Claim
from models.storage import Storage
from tests.conftest import BACKEND
from tests.factories import DENSE_2, digits, document, layers
from tests.workers.engines.trials import Histories, Recording, cohort_of, fused_engine, reference_engine, trial_specs
from workers.engines.base import NO_METRICS, Checkpoint, Cohort, Engine, EpochDecision, Metrics, UnusableCheckpointError
from workers.saving.checkpoints import Checkpoints, SavedCohort

RULES = {
    "early_stopping": {"monitor": "val_loss", "patience": 2, "restore_best_weights": True},
    "reduce_lr_on_plateau": {"monitor": "val_loss", "patience": 1, "factor": 0.5},
}
KINDS = {
    "adam, three rates": document(
        optimizer={"name": "adam", "learning_rate": {"choice": [0.01, 0.003, 0.1]}},
        fit={"epochs": 9, "validation_split": 0.3},
    ),
    "two lengths, two seeds": document(
        fit={"epochs": {"choice": [4, 9]}, "validation_split": 0.3}, seeds=[0, 1]
    ),
    "stopping, plateau, best weights": document(
        optimizer={"name": "rmsprop", "learning_rate": {"choice": [0.002, 0.2]}},
        fit={"epochs": 12, "validation_split": 0.3}, **RULES,
    ),
    "dropout, batch normalization": digits(
        {"type": "dense", "units": 8, "activation": "relu"},
        {"type": "batch_normalization"},
        {"type": "dropout", "rate": 0.3},
        seeds=[0, 1], fit={"epochs": 7, "validation_split": 0.3},
    ),
}  # fmt: skip


class Cut(Exception):
    """The worker dies here."""


class CutOff(Recording):
    """Asks for a checkpoint after an epoch, and dies some epochs later."""

    def __init__(self, cohort: Cohort, at: int, lives: int) -> None:
        super().__init__(cohort)
        self._at, self._lives = at, lives
        self.saved: SavedCohort | None = None
        self.left: int | None = None

    def on_epoch(
        self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
    ) -> EpochDecision:
        answer = super().on_epoch(epoch, metrics, again)
        if self.left is not None:
            self.left -= 1
            if self.left <= 0:
                raise Cut
        return replace(answer, checkpoint=epoch == self._at and self.left is None)

    def on_checkpoint(self, checkpoint: Checkpoint) -> None:
        states = {trial_id: watch.state() for trial_id, watch in self._watches.items()}
        self.saved = SavedCohort("an engine", checkpoint, states)
        self.left = self._lives


def checkpoints(folder: Path, attempt: int = 1, backend: str = BACKEND) -> Checkpoints:
    return Checkpoints(Storage(str(folder)), Claim("coh_1", "exp_1", "wrk_1", attempt), backend)


def bits(histories: Histories) -> dict[str, list[dict[str, str]]]:
    return {
        trial_id: [{name: value.hex() for name, value in epoch.items()} for epoch in history]
        for trial_id, history in histories.items()
    }


ENGINES: dict[str, Callable[[], Engine]] = {
    "fused": fused_engine,
    "fused, xla": lambda: fused_engine("xla"),
    "reference": reference_engine,
}
"""Engines by name, made anew for each attempt, as each is another process."""
TOGETHER, RANDOM = "stopping, plateau, best weights", "dropout, batch normalization"
"""A cohort that meets most rules, and one that draws random numbers."""


def marks_of(engine: str, name: str) -> list[pytest.MarkDecorator]:
    """Return the markers of a resumed cohort: quick, in `make check`, or nightly."""
    if name == TOGETHER:
        return [] if engine == "fused" else [pytest.mark.slow]
    return [pytest.mark.slow if (engine, name) == ("fused", RANDOM) else pytest.mark.nightly]


RESUMED = [
    pytest.param(make, kind, id=f"{engine}-{name}", marks=marks_of(engine, name))
    for engine, make in ENGINES.items()
    for name, kind in KINDS.items()
]


@pytest.mark.backends
@pytest.mark.parametrize(("engine", "kind"), RESUMED)
def test_resumed_history_equals_the_undisturbed_one(
    engine: Callable[[], Engine], kind: dict[str, Any], tmp_path: Path
) -> None:
    cohort = cohort_of(trial_specs(kind))
    undisturbed = Recording(cohort)
    engine().train(cohort, undisturbed)
    # Together, some trials end between the checkpoint and the cut; one by one, the one in training must not.
    before = CutOff(cohort, at=3, lives=2) if engine is not reference_engine else CutOff(cohort, at=2, lives=1)
    with pytest.raises(Cut):
        engine().train(cohort, before)
    assert before.saved is not None
    checkpoints(tmp_path).save(before.saved)
    completed = {trial_id: len(history) for trial_id, history in before.histories.items()}
    [saved] = checkpoints(tmp_path, attempt=2).newest_first(completed)
    # What ended after the checkpoint has ended for good; of the others the epochs after it are trained again.
    after = Recording(cohort)
    after.histories = {
        trial_id: history[: saved.checkpoint.epochs.get(trial_id, len(history))]
        if trial_id not in before.reasons
        else history
        for trial_id, history in before.histories.items()
    }
    for trial_id, state in saved.watches.items():
        after._watches[trial_id].restore(state)  # noqa: SLF001 - as the reporter does
    trials = [
        replace(trial, ended_after=completed[trial.id] if trial.id in before.reasons else None)
        for trial in cohort.trials
    ]
    assert any(trial.ended_after is None for trial in trials), "nothing is left to go on with"
    engine().train(replace(cohort, trials=trials, checkpoint=saved.checkpoint), after)
    assert bits(after.histories) == bits(undisturbed.histories)
    assert before.reasons | after.reasons == undisturbed.reasons
    for trial_id, weights in after.weights.items():
        expected = undisturbed.weights[trial_id]
        assert [array.tobytes() for array in weights] == [array.tobytes() for array in expected]


def a_checkpoint(engine: Engine) -> tuple[Cohort, SavedCohort]:
    cohort = cohort_of(trial_specs(KINDS["adam, three rates"]))
    report = CutOff(cohort, at=2, lives=1)
    with pytest.raises(Cut):
        engine.train(cohort, report)
    assert report.saved is not None
    return cohort, report.saved


@pytest.fixture(scope="module")
def saved() -> SavedCohort:
    """Return a checkpoint of the fused engine after its second epoch."""
    return a_checkpoint(fused_engine())[1]


@pytest.mark.backends
@pytest.mark.parametrize("engine", [fused_engine, reference_engine])
def test_a_checkpoint_of_another_network_is_refused_before_anything_is_reported(engine: Callable[[], Engine]) -> None:
    cohort, saved = a_checkpoint(engine())
    other = cohort_of(trial_specs(document(model=layers(DENSE_2), optimizer=KINDS["adam, three rates"]["optimizer"])))
    report = Recording(other)
    with pytest.raises(UnusableCheckpointError):
        engine().train(replace(other, checkpoint=saved.checkpoint), report)
    foreign = replace(saved.checkpoint, document={"trials": ["trl_x"], "trial": "trl_x"})
    with pytest.raises(UnusableCheckpointError):
        engine().train(replace(cohort, checkpoint=foreign), report)
    assert not any(report.histories.values())


def test_another_backends_are_left_alone(tmp_path: Path, saved: SavedCohort) -> None:
    checkpoints(tmp_path).save(saved)
    assert list(checkpoints(tmp_path, attempt=2, backend="another").newest_first({})) == []
    assert len(list(checkpoints(tmp_path, attempt=2).newest_first({}))) == 1


def test_the_newest_two_are_kept_and_a_later_attempt_comes_first(tmp_path: Path, saved: SavedCohort) -> None:
    ours, later = checkpoints(tmp_path), checkpoints(tmp_path, attempt=2)
    for _ in range(3):
        ours.save(saved)
    assert [name.rpartition("/")[2] for name in Storage(str(tmp_path)).list_names()] == [
        "000001-000002.npz", "000001-000003.npz",
    ]  # fmt: skip
    later.save(replace(saved, engine="later"))
    ours.save(replace(saved, engine="a worker that has lost its lease"))
    assert next(later.newest_first({})).engine == "later"
    later.remove()
    assert Storage(str(tmp_path)).list_names() == []


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_spoilt_file_is_passed_over(tmp_path: Path, saved: SavedCohort, place: float, damage: str) -> None:
    ours = checkpoints(tmp_path)
    ours.save(replace(saved, engine="older"))
    ours.save(saved)
    newest = tmp_path / Storage(str(tmp_path)).list_names()[-1]
    data = bytearray(newest.read_bytes())
    at = min(int(place * len(data)), len(data) - 1)
    if damage == "cut":
        del data[at:]
    else:
        data[at] ^= 0xFF
    newest.write_bytes(data)
    found = [each.engine for each in ours.newest_first({})]
    # A byte between two parts may mean nothing; then what is read is what was written.
    assert found == ["older"] or (damage == "flipped" and found == ["an engine", "older"] and _same(ours, saved))


def _same(ours: Checkpoints, saved: SavedCohort) -> bool:
    read = next(ours.newest_first({})).checkpoint
    return all(read.arrays[name].tobytes() == array.tobytes() for name, array in saved.checkpoint.arrays.items())


def test_checkpoint_ahead_of_the_database_is_skipped(tmp_path: Path, saved: SavedCohort) -> None:
    ours = checkpoints(tmp_path)
    ours.save(saved)
    assert list(ours.newest_first(dict.fromkeys(saved.checkpoint.epochs, 1))) == []
    assert len(list(ours.newest_first(dict.fromkeys(saved.checkpoint.epochs, 2)))) == 1


def test_a_file_of_a_later_format_is_passed_over(
    tmp_path: Path, saved: SavedCohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.saving.checkpoints.FORMAT", 3)
    checkpoints(tmp_path).save(saved)
    monkeypatch.undo()
    assert list(checkpoints(tmp_path).newest_first({})) == []
