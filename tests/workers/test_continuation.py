"""Trials that go on from the last states of an earlier experiment, with real engines and databases."""

from collections.abc import Mapping
from typing import Any

import pytest

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.extension import Extension
from models.errors import DatabaseUnavailableError
from models.planning.leaders import plan_leaders
from models.settings import Settings
from models.sql import client_requests, experiments, usage
from models.sql.database import Database
from models.sql.plans.leader_results import find_ended, find_leaders
from models.sql.plans.submissions import Accepted, Submission, add_experiments
from models.storage import Storage
from tests.factories import DENSE_2, layers, spec
from tests.factories import store as store_experiment
from tests.workers.test_runner import epochs, interrupt, runner_with, trials
from workers import continuation
from workers.engines.base import Checkpoint, Cohort, Engine, Report
from workers.runner import Runner
from workers.saving.artifacts import read_artifact

SWEEP: dict[str, Any] = {
    "model": layers({"type": "dense", "units": 33, "activation": "tanh"}, {"type": "dropout", "rate": 0.3}, DENSE_2),
    "optimizer": {"name": "adam", "learning_rate": {"choice": [1e-6, 0.002, 0.004, 2e-6, 0.001]}},
    "early_stopping": {"patience": 50, "restore_best_weights": True},
    "reduce_lr_on_plateau": {"patience": 1, "factor": 0.5},
    "seeds": [0, 1],
}
FIT = {"validation_split": 0.3, "delete_checkpoint": False}
LEADERS = [3, 4, 5, 6]
"""Trials of the two best rates, in the middle of their cohort."""


def sweep(database: Database, count: int, **changes: Any) -> tuple[str, list[str]]:
    """Store the sweep over so many epochs; return its id and its cohorts."""
    experiment_id, messages = store_experiment(database, **SWEEP | {"fit": FIT | {"epochs": count}} | changes)
    return experiment_id, [message.cohort_id for message in messages]


def extended(database: Database, earlier: str, count: int, top: int = 2, **changes: Any) -> tuple[str, list[str]]:
    """Store the extension of an experiment to so many epochs; return its id and its cohorts."""
    with database.reading() as session:
        ended = find_ended(session, earlier, "default")
    assert ended is not None
    given = spec(**SWEEP | {"fit": FIT | {"epochs": 1}} | changes)
    document = Extension(epochs=count, top=top).document(earlier, given, ended.dataset, backend=ended.backend)
    leading = type(given).model_validate(document)
    with database.writing() as session:
        plan = plan_leaders(leading, find_leaders(session, leading, "default"), None, BUILT_IN_DATASETS)
        [accepted] = add_experiments(session, [Submission("default", leading, plan)])
    assert isinstance(accepted, Accepted)
    return accepted.experiment_id, [cohort.cohort_id for cohort in accepted.cohorts]


def train(runner: Runner, cohorts: list[str]) -> None:
    for cohort_id in cohorts:
        assert runner.train_cohort(cohort_id)


def histories(database: Database, experiment_id: str, numbers: list[int]) -> list[list[dict[str, Any]]]:
    """Return the histories of some trials, by their rates and seeds."""
    named = {trial.number: (trial.hyperparameters["optimizer.learning_rate"], trial.seed) for trial in
             trials(database, experiment_id)}  # fmt: skip
    found: dict[Any, list[dict[str, Any]]] = {named[number]: [] for number in numbers}
    for number, epoch, metrics in epochs(database, experiment_id):
        if number in numbers:
            found[named[number]].append({"epoch": epoch, **metrics})
    return [found[key] for key in sorted(found)]


class Watched:
    """An engine that notes the epoch after which each training begins."""

    name = "watched"

    def __init__(self, engine: Engine, begun: list[int]) -> None:
        self._engine, self._begun = engine, begun

    def train(self, cohort: Cohort, report: Report) -> None:
        self._begun.append(0 if cohort.checkpoint is None else cohort.checkpoint.document["epoch"])
        self._engine.train(cohort, report)

    def continued(self, last: Checkpoint, trials: Mapping[str, str]) -> Checkpoint:
        return self._engine.continued(last, trials)


def watch_begins(runner: Runner) -> list[int]:
    """Return a list that the epochs are added to after which a runner's trainings begin."""
    begun: list[int] = []
    runner.engines = {name: Watched(engine, begun) for name, engine in runner.engines.items()}
    return begun


@pytest.fixture
def runner(settings: Settings, database: Database) -> Runner:
    return runner_with("fused", settings, database)


@pytest.mark.backends
@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_extended_histories_equal_those_of_more_epochs_from_the_start(
    engine: str, settings: Settings, database: Database
) -> None:
    runner = runner_with(engine, settings, database)
    at_once, cohorts = sweep(database, 6)
    train(runner, cohorts)
    earlier, cohorts = sweep(database, 3)
    train(runner, cohorts)
    ended = trials(database, earlier)
    assert all(trial.checkpoint and trial.checkpoint_bytes > 0 for trial in ended)
    later, cohorts = extended(database, earlier, 6)
    begun = watch_begins(runner)
    train(runner, cohorts)
    assert begun == [3] * len(cohorts), "the earlier epochs were trained again"
    assert histories(database, later, [1, 2, 3, 4]) == histories(database, at_once, LEADERS)
    ordered = sorted(
        trials(database, later), key=lambda one: (one.hyperparameters["optimizer.learning_rate"], one.seed)
    )
    for mine, other in zip(ordered, trials(database, at_once)[2:6], strict=True):
        assert (mine.best_epoch, mine.best_metrics) == (other.best_epoch, other.best_metrics)
        assert (mine.epochs_completed, mine.stop_reason) == (6, "epochs")
        weights, others = (
            read_artifact(Storage(settings.storage_location), one.artifact, one.id).weights for one in (mine, other)
        )
        assert all((one == another).all() for one, another in zip(weights, others, strict=True))


def test_extended_trials_may_be_extended_again(runner: Runner, database: Database) -> None:
    at_once, cohorts = sweep(database, 6)
    train(runner, cohorts)
    earlier, cohorts = sweep(database, 2)
    train(runner, cohorts)
    for count in (4, 6):
        earlier, cohorts = extended(database, earlier, count)
        begun = watch_begins(runner)
        train(runner, cohorts)
        assert begun == [count - 2]
    assert histories(database, earlier, [1, 2, 3, 4]) == histories(database, at_once, LEADERS)


def test_trials_without_a_kept_state_train_from_their_first_epoch(
    runner: Runner, settings: Settings, database: Database
) -> None:
    at_once, cohorts = sweep(database, 6)
    train(runner, cohorts)
    deleted, cohorts = sweep(database, 3, fit={"epochs": 3, "validation_split": 0.3})
    train(runner, cohorts)
    assert {trial.checkpoint for trial in trials(database, deleted)} == {None}
    gone, cohorts = sweep(database, 3)
    train(runner, cohorts)
    for earlier in (deleted, gone):
        later, cohorts = extended(database, earlier, 6)
        assert all((trial.continues is not None) == (earlier is gone) for trial in trials(database, later))
        if earlier is gone:
            Storage(settings.storage_location).remove(f"{gone}/last_states")
        begun = watch_begins(runner)
        train(runner, cohorts)
        assert begun == [0]
        assert {trial.continues for trial in trials(database, later)} == {None}
        with database.reading() as session:
            [cohort] = experiments.list_cohorts(session, later)
        assert ("are gone" in cohort.engine_reason) == (earlier is gone)
        found = histories(database, later, [1, 2, 3, 4])
        wanted = histories(database, at_once, LEADERS)
        assert [[row["epoch"] for row in one] for one in found] == [[row["epoch"] for row in one] for one in wanted]
        for one, other in zip(found, wanted, strict=True):
            assert [row["loss"] for row in one] == pytest.approx([row["loss"] for row in other], rel=1e-5)


@pytest.mark.parametrize("copied", [0, 2], ids=["before the first epochs", "between trials"])
def test_worker_dying_while_epochs_are_copied_leaves_the_same_history(
    runner: Runner, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, copied: int
) -> None:
    at_once, cohorts = sweep(database, 6)
    train(runner, cohorts)
    earlier, cohorts = sweep(database, 3)
    train(runner, cohorts)
    later, cohorts = extended(database, earlier, 6)
    left, copy = [copied], continuation._copy_epochs  # noqa: SLF001 - the place of the fault

    def fail(*given: Any) -> None:
        if not left[0]:
            raise DatabaseUnavailableError("it went away")
        left[0] -= 1
        copy(*given)

    monkeypatch.setattr(continuation, "_copy_epochs", fail)
    train(runner, cohorts)
    assert {trial.state for trial in trials(database, later)} == {"queued"}
    assert sorted(trial.epochs_completed for trial in trials(database, later)) == [0] * (4 - copied) + [3] * copied
    monkeypatch.undo()
    runner = runner_with("fused", settings, database)
    begun = watch_begins(runner)
    train(runner, cohorts)
    assert begun == [3]
    assert histories(database, later, [1, 2, 3, 4]) == histories(database, at_once, LEADERS)


def test_extension_goes_on_though_the_earlier_experiment_is_deleted(
    runner: Runner, settings: Settings, database: Database
) -> None:
    at_once, cohorts = sweep(database, 6)
    train(runner, cohorts)
    earlier, cohorts = sweep(database, 3)
    train(runner, cohorts)
    later, cohorts = extended(database, earlier, 6)

    def delete() -> None:
        runner.releasing.set()
        with database.writing() as session:
            client_requests.delete_experiment(session, earlier)
        Storage(settings.storage_location).remove(earlier)

    interrupt(runner, 1, delete)
    train(runner, cohorts)
    assert {trial.state for trial in trials(database, later)} == {"queued"}
    train(runner_with("fused", settings, database), cohorts)
    assert histories(database, later, [1, 2, 3, 4]) == histories(database, at_once, LEADERS)


def test_trial_cancelled_before_going_on_has_no_epochs(runner: Runner, database: Database) -> None:
    at_once, cohorts = sweep(database, 6)
    train(runner, cohorts)
    earlier, cohorts = sweep(database, 3)
    train(runner, cohorts)
    later, cohorts = extended(database, earlier, 6)
    first = trials(database, later)[0]
    with database.writing() as session:
        client_requests.request_cancel(session, later, first.id)
    train(runner, cohorts)
    assert [trial.epochs_completed for trial in trials(database, later)] == [0, 6, 6, 6]
    undisturbed = histories(database, at_once, LEADERS)
    assert all(history in undisturbed for history in histories(database, later, [2, 3, 4]))


def test_cancelled_trial_does_not_take_the_others_back(runner: Runner, settings: Settings, database: Database) -> None:
    earlier, cohorts = sweep(database, 3)
    train(runner, cohorts)
    later, cohorts = extended(database, earlier, 8)
    with database.writing() as session:
        client_requests.request_cancel(session, later, trials(database, later)[0].id)
    begun = []
    for _ in range(2):
        runner = runner_with("fused", settings, database)
        begun.append(watch_begins(runner))
        interrupt(runner, 2, runner.releasing.set)
        train(runner, cohorts)
    assert [trial.epochs_completed for trial in trials(database, later)] == [0, 7, 7, 7]
    assert begun == [[3], [5]]


def test_trial_that_would_have_stopped_with_its_last_epoch_is_not_continued(runner: Runner, database: Database) -> None:
    stopping = {"early_stopping": {"monitor": "loss", "min_delta": 1e6, "patience": 2}}
    earlier, cohorts = sweep(database, 3, **stopping)
    train(runner, cohorts)
    ended = trials(database, earlier)
    assert {(trial.stop_reason, trial.epochs_completed, trial.checkpoint) for trial in ended} == {("epochs", 3, None)}
    later, cohorts = extended(database, earlier, 6, **stopping)
    train(runner, cohorts)
    found = trials(database, later)
    assert {(trial.stop_reason, trial.epochs_completed) for trial in found} == {("early_stopping", 3)}


def test_storage_that_fails_once_does_not_cost_the_earlier_epochs(
    runner: Runner, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, cohorts = sweep(database, 3)
    train(runner, cohorts)
    later, cohorts = extended(database, earlier, 6)

    def fail(*_: Any) -> None:
        raise OSError("stale file handle")

    monkeypatch.setattr(Storage, "read", fail)
    train(runner, cohorts)
    monkeypatch.undo()
    assert {trial.state for trial in trials(database, later)} == {"queued"}
    runner = runner_with("fused", settings, database)
    begun = watch_begins(runner)
    train(runner, cohorts)
    assert begun == [3]


def test_kept_states_count_towards_the_storage_quota(runner: Runner, settings: Settings, database: Database) -> None:
    earlier, cohorts = sweep(database, 1)
    train(runner, cohorts)
    files = Storage(settings.storage_location)
    [name] = files.list_names(f"{earlier}/last_states")
    with database.reading() as session:
        stored = usage.count_stored_bytes(session, "default")
    weights = sum(4 * trial.parameter_count for trial in trials(database, earlier))
    assert stored == weights + len(files.read(name)) // 10 * 10


def test_a_state_that_finds_no_room_is_missed_and_the_trials_complete(
    runner: Runner, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("workers.saving.checkpoints.Checkpoints.keep", full)
    monkeypatch.setattr("workers.reporting.reporter.ARTIFACT_PATIENCE_SECONDS", 0.0)
    earlier, cohorts = sweep(database, 1)
    train(runner, cohorts)
    assert {(trial.state, trial.checkpoint) for trial in trials(database, earlier)} == {("completed", None)}
    assert all(trial.artifact for trial in trials(database, earlier))
