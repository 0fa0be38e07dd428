"""A cohort from claim to end, with a real engine and a real database, in this process."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import update

from models.errors import DatabaseUnavailableError, UsageFault
from models.settings import Settings
from models.sql import client_requests, experiments, transitions
from models.sql.database import Database, clock
from models.sql.tables import CohortTable
from models.storage import Storage
from tests.factories import DENSE_2, layers
from tests.factories import store as store_experiment
from tests.training import list_epochs
from tests.workers.engines.trials import fused_engine, reference_engine
from workers.engines.base import (
    NO_METRICS,
    CannotTrainError,
    Checkpoint,
    Cohort,
    Engine,
    EpochDecision,
    Metrics,
    Report,
)
from workers.runner import Runner
from workers.saving.artifacts import ArtifactWriter, read_artifact

pytestmark = pytest.mark.stores

SWEEP = {
    "optimizer": {"name": "sgd", "learning_rate": {"choice": [0.1, 0.01]}},
    "fit": {"epochs": 6, "validation_split": 0.3},
}


ENGINES: dict[str, Engine] = {"fused": fused_engine(), "reference": reference_engine()}
"""Shared by all tests here: most cohorts find the program of an earlier one."""


def runner_with(engine: str, settings: Settings, database: Database) -> Runner:
    """Return a runner that trains everything with one of its engines."""
    runner = Runner(settings, database, "wrk_test", ["cpu:0"])
    runner.engines = dict.fromkeys(runner.engines, ENGINES[engine])
    return runner


@pytest.fixture
def engine() -> str:
    """Return the engine that trains; tests of what both engines do otherwise name both."""
    return "fused"


@pytest.fixture
def runner(engine: str, settings: Settings, database: Database) -> Runner:
    return runner_with(engine, settings, database)


def trials(database: Database, experiment_id: str) -> list[Any]:
    with database.reading() as session:
        cohorts = experiments.list_cohorts(session, experiment_id)
        return [trial for cohort in cohorts for trial in experiments.list_cohort_trials(session, cohort.id)]


def epochs(database: Database, experiment_id: str) -> list[tuple[int, int, dict[str, Any]]]:
    """Trial's number, epoch, metrics."""
    numbers = {trial.id: trial.number for trial in trials(database, experiment_id)}
    with database.reading() as session:
        rows = list_epochs(session, experiment_id=experiment_id)
    return sorted((numbers[row.trial_id], row.epoch, row.metrics) for row in rows)


class Interrupted:
    """An engine that does something between its reports, once, after so many of them."""

    name = "interrupted"

    def __init__(self, engine: Engine, at: int, action: Callable[[], None]) -> None:
        self._engine, self._at, self._action = engine, at, action

    def train(self, cohort: Cohort, report: Report) -> None:
        self._report = report
        self.on_phase, self.on_program, self.on_trial_end = report.on_phase, report.on_program, report.on_trial_end
        self.on_checkpoint, self.on_last_state = report.on_checkpoint, report.on_last_state
        self._engine.train(cohort, self)

    def continued(self, last: Checkpoint, trials: Mapping[str, str]) -> Checkpoint:
        return self._engine.continued(last, trials)

    def on_epoch(
        self, epoch: int, metrics: Mapping[str, Metrics], again: Mapping[str, Metrics] = NO_METRICS
    ) -> EpochDecision:
        self._at -= 1
        if self._at == 0:
            self._action()
        return self._report.on_epoch(epoch, metrics, again)


def interrupt(runner: Runner, at: int, action: Callable[[], None]) -> None:
    """Do something between the engine's reports, once, after so many of them."""
    runner.engines = {name: Interrupted(engine, at, action) for name, engine in runner.engines.items()}


@pytest.mark.backends
@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_a_cohort_is_trained_to_its_end(runner: Runner, database: Database) -> None:
    experiment_id, [message] = store_experiment(database, **SWEEP)
    runner.train_cohort(message.cohort_id)
    for trial in trials(database, experiment_id):
        assert (trial.state, trial.stop_reason, trial.epochs_completed, trial.attempt) == ("completed", "epochs", 6, 1)
        assert trial.best_metrics[trial.spec["objective"]["metric"]] == trial.best_value
        assert "Total params" in trial.model_summary
        assert trial.environment["keras"].startswith("3.")
        assert trial.environment["device"] == "cpu:0"
        assert trial.started_at <= trial.finished_at
    assert [(number, epoch) for number, epoch, _ in epochs(database, experiment_id)] == [
        (number, epoch) for number in (1, 2) for epoch in range(1, 7)
    ]
    with database.reading() as session:
        cohort = experiments.get_cohort(session, message.cohort_id)
    assert cohort.finished_at is not None
    assert cohort.lease_owner is None


def test_a_message_that_comes_twice_trains_once(runner: Runner, database: Database) -> None:
    experiment_id, [message] = store_experiment(database)
    for _ in range(2):
        runner.train_cohort(message.cohort_id)
    runner.train_cohort("coh_unknown")
    assert [trial.attempt for trial in trials(database, experiment_id)] == [1]


@pytest.mark.backends
@pytest.mark.parametrize("engine", ["fused", pytest.param("reference", marks=pytest.mark.nightly)])
def test_a_released_cohort_gives_the_same_history_on_its_next_attempt(
    runner: Runner, engine: str, settings: Settings, database: Database
) -> None:
    undisturbed, [message] = store_experiment(database, **SWEEP)
    runner.train_cohort(message.cohort_id)
    experiment_id, [message] = store_experiment(database, **SWEEP)
    interrupt(runner, {"fused": 3, "reference": 9}[engine], runner.releasing.set)
    runner.train_cohort(message.cohort_id)
    first, second = trials(database, experiment_id)
    assert (first.state, second.state) == ("queued" if engine == "fused" else "completed", "queued")
    assert second.epochs_completed == 3
    runner_with(engine, settings, database).train_cohort(message.cohort_id)
    assert [trial.state for trial in trials(database, experiment_id)] == ["completed", "completed"]
    assert trials(database, experiment_id)[1].attempt == 2
    assert epochs(database, experiment_id) == epochs(database, undisturbed)


def test_a_worker_that_lost_its_lease_stops_and_writes_nothing_more(runner: Runner, database: Database) -> None:
    experiment_id, [message] = store_experiment(database, fit={"epochs": 5000, "validation_split": 0.3})

    def lose() -> None:
        with database.writing() as session:
            session.execute(update(CohortTable).values(lease_expires_at=clock(-1.0)))
        with database.writing() as session:
            transitions.mark_leases_lost(session, max_faults=3)

    interrupt(runner, 2, lose)
    runner.train_cohort(message.cohort_id)
    [trial] = trials(database, experiment_id)
    assert trial.state == "queued"
    assert len(epochs(database, experiment_id)) <= 2
    assert runner.claim is None


@pytest.mark.parametrize("engine", ["fused", "reference"])
def test_cancel_of_running_and_of_queued_trials_of_a_cohort(runner: Runner, engine: str, database: Database) -> None:
    experiment_id, [message] = store_experiment(database, **SWEEP | {"fit": {"epochs": 5000, "validation_split": 0.3}})

    def cancel() -> None:
        with database.writing() as session:
            client_requests.request_cancel(session, experiment_id)

    interrupt(runner, 2, cancel)
    runner.train_cohort(message.cohort_id)
    first, second = trials(database, experiment_id)
    assert (first.state, second.state) == ("cancelled", "cancelled")
    assert 1 <= first.epochs_completed < 1000
    assert second.epochs_completed == (first.epochs_completed if engine == "fused" else 0)


def test_divergence_is_completion_with_its_reason(runner: Runner, database: Database) -> None:
    experiment_id, [message] = store_experiment(
        database,
        model=layers({"type": "dense", "units": 2, "activation": "linear"}),
        loss="mse",
        dataset={"name": "titanic"},
        optimizer={"name": "sgd", "learning_rate": 1000.0},
        fit={"epochs": 50, "validation_split": 0.3},
    )
    runner.train_cohort(message.cohort_id)
    [trial] = trials(database, experiment_id)
    assert (trial.state, trial.stop_reason) == ("completed", "diverged")
    assert epochs(database, experiment_id)[-1][2]["loss"] in ("NaN", "Infinity")


def test_a_trial_ends_with_the_epoch_that_reaches_its_time_limit(runner: Runner, database: Database) -> None:
    experiment_id, [message] = store_experiment(
        database, fit={"epochs": 10_000, "validation_split": 0.3, "time_limit_seconds": 1e-6}
    )
    runner.train_cohort(message.cohort_id)
    [trial] = trials(database, experiment_id)
    assert (trial.state, trial.stop_reason, trial.epochs_completed) == ("completed", "time_limit", 1)


@pytest.mark.parametrize(
    ("error", "state", "kind"),
    [
        (UsageFault("the dataset is elsewhere"), "failed", "usage"),
        (DatabaseUnavailableError("connection cut"), "queued", None),
        (OSError(28, "no space left on device"), "queued", None),
        (RuntimeError("an inner secret"), "failed", "fatal"),
    ],
    ids=["usage", "database", "disk", "ours"],
)
def test_fault_is_classified_as_usage_transient_or_fatal(
    runner: Runner, database: Database, error: Exception, state: str, kind: str | None
) -> None:
    experiment_id, [message] = store_experiment(database)

    def fail() -> None:
        raise error

    interrupt(runner, 1, fail)
    runner.train_cohort(message.cohort_id)
    [trial] = trials(database, experiment_id)
    assert trial.state == state
    assert (trial.fault or {}).get("kind") == kind
    if kind == "usage":
        assert trial.fault["message"] == str(error)
    if kind == "fatal":
        assert "secret" not in trial.fault["message"]


def test_a_worker_that_ends_takes_nothing_new(runner: Runner, database: Database) -> None:
    experiment_id, [message] = store_experiment(database, model=layers(DENSE_2))
    runner.releasing.set()
    runner.train_cohort(message.cohort_id)
    assert [trial.state for trial in trials(database, experiment_id)] == ["queued"]


@pytest.mark.slow
@pytest.mark.backends
def test_cohort_records_engine_and_program(settings: Settings, database: Database) -> None:
    runner = Runner(settings, database, "wrk_test", ["cpu:0"])
    programs = []
    for _ in range(2):
        _, [message] = store_experiment(database, **SWEEP)
        runner.train_cohort(message.cohort_id)
        with database.reading() as session:
            cohort = experiments.get_cohort(session, message.cohort_id)
        assert cohort.engine == "fused"
        programs.append(cohort.program)
    assert [program["known_program"] for program in programs] == [False, True]
    assert programs[0]["trials_per_program"] == 2
    assert programs[0]["compile_seconds"] > programs[1]["compile_seconds"] == 0
    assert programs[0]["compiler"] in ("xla", "graph")


def test_phases_of_a_program_that_is_not_known(settings: Settings, database: Database) -> None:
    runner = Runner(settings, database, "wrk_test", ["cpu:0"])

    def seen_in(changes: Mapping[str, Any]) -> list[str]:
        experiment_id, [message] = store_experiment(database, **changes)
        seen = []
        write = database.write

        def noting(work: Callable[..., Any], patience: float) -> Any:
            answer = write(work, patience)
            seen.extend(str(trial.phase) for trial in trials(database, experiment_id)[:1])
            return answer

        database.write = noting  # type: ignore[method-assign]
        try:
            runner.train_cohort(message.cohort_id)
        finally:
            database.write = write  # type: ignore[method-assign]
        return [phase for phase, _ in itertools.groupby(seen)]

    assert seen_in(SWEEP) == ["loading", "tracing", "compiling", "training", "None"]
    assert seen_in(SWEEP) == ["loading", "training", "None"]


def test_reference_engine_trains_networks_that_fused_cannot(settings: Settings, database: Database) -> None:
    class Unable:
        name = "fused"

        def train(self, cohort: Cohort, report: Report) -> None:  # noqa: ARG002 - the contract's
            raise CannotTrainError("this network has no program")

    runner = Runner(settings, database, "wrk_test", ["cpu:0"])
    runner.engines |= {"fused": Unable(), "reference": ENGINES["reference"]}
    experiment_id, [message] = store_experiment(database)
    runner.train_cohort(message.cohort_id)
    assert [trial.state for trial in trials(database, experiment_id)] == ["completed"]
    with database.reading() as session:
        cohort = experiments.get_cohort(session, message.cohort_id)
    assert cohort.engine == "reference"
    assert "this network has no program" in cohort.engine_reason


def test_a_cancel_that_comes_while_another_trial_ends(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last epoch of one trial and the writing of its end: the other one still stops, and writes no more."""
    runner = runner_with("fused", settings, database)
    monkeypatch.setattr("workers.reporting.recorder.FLUSH_SECONDS", 0.0)
    sweep = {"fit": {"epochs": {"choice": [2, 40]}, "validation_split": 0.3}}
    experiment_id, [message] = store_experiment(database, **sweep)
    short, long = trials(database, experiment_id)
    save = ArtifactWriter.save

    def save_and_cancel(self: ArtifactWriter, epoch: int, weights: Mapping[str, Any]) -> str:
        with database.writing() as session:
            client_requests.request_cancel(session, experiment_id, long.id)
        return save(self, epoch, weights)

    monkeypatch.setattr(ArtifactWriter, "save", save_and_cancel)
    runner.train_cohort(message.cohort_id)
    short, long = trials(database, experiment_id)
    assert (short.state, short.artifact_epoch is not None) == ("completed", True)
    assert (long.state, long.artifact) == ("cancelled", None)
    assert long.epochs_completed == 3
    assert [epoch for number, epoch, _ in epochs(database, experiment_id) if number == long.number] == [1, 2, 3]


def test_worker_with_a_fault_leaves_queued_work_to_others(runner: Runner, database: Database) -> None:
    """A full disk of one worker would use up the attempts of one cohort after the other."""
    stored = [store_experiment(database, name=f"number {number}") for number in range(3)]

    def fail() -> None:
        raise OSError("this worker's disk is full")

    runner.engines = {name: Interrupted(engine, 1, fail) for name, engine in runner.engines.items()}
    runner.train_waiting(["any"])
    attempts = [trial.attempt for experiment_id, _ in stored for trial in trials(database, experiment_id)]
    assert sorted(attempts) == [0, 0, 1]


def test_trials_that_end_after_the_same_epoch_one_by_one_keep_their_weights(
    settings: Settings, database: Database
) -> None:
    runner = runner_with("reference", settings, database)
    experiment_id, [message] = store_experiment(database, **SWEEP)
    runner.train_cohort(message.cohort_id)
    storage = Storage(settings.storage_location)
    for trial in trials(database, experiment_id):
        assert read_artifact(storage, trial.artifact, trial.id).weights


PRUNED_SWEEP = {
    "optimizer": {"name": "sgd", "learning_rate": {"choice": [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]}},
    "fit": {"epochs": 8, "validation_split": 0.3},
}
PRUNER = {"name": "successive_halving", "min_epochs": 2, "reduction_factor": 2}


def test_pruned_trials_keep_the_history_of_an_unpruned_sweep(runner: Runner, database: Database) -> None:
    whole, [message] = store_experiment(database, **PRUNED_SWEEP)
    runner.train_cohort(message.cohort_id)
    experiment_id, [message] = store_experiment(database, **PRUNED_SWEEP, pruner=PRUNER)
    runner.train_cohort(message.cohort_id)
    ended = trials(database, experiment_id)
    assert sorted((trial.state, trial.epochs_completed) for trial in ended) == sorted(
        [("pruned", 2)] * 3 + [("pruned", 4)] * 2 + [("completed", 8)] * 2
    )
    lengths = {trial.number: trial.epochs_completed for trial in ended}
    assert epochs(database, experiment_id) == [
        (number, epoch, metrics) for number, epoch, metrics in epochs(database, whole) if epoch <= lengths[number]
    ]
    best = {trial.number: trial.best_value for trial in ended}
    assert min(best.values()) == min(trial.best_value for trial in ended if trial.state == "completed")
    for trial in ended:
        assert (trial.stop_reason is None) == (trial.artifact is None) == (trial.state == "pruned")


@pytest.mark.parametrize("at", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("has_checkpoint", [True, False], ids=["from a checkpoint", "from the first epoch"])
def test_interrupted_cohort_prunes_the_same_trials(
    settings: Settings, database: Database, at: int, *, has_checkpoint: bool
) -> None:
    runner = runner_with("fused", settings, database)
    undisturbed, [message] = store_experiment(database, **PRUNED_SWEEP, pruner=PRUNER)
    runner.train_cohort(message.cohort_id)
    experiment_id, [message] = store_experiment(database, **PRUNED_SWEEP, pruner=PRUNER)

    def fail() -> None:
        raise OSError("the disk is away for a moment")

    interrupt(runner, at, runner.releasing.set if has_checkpoint else fail)
    runner.train_cohort(message.cohort_id)
    assert {trial.state for trial in trials(database, experiment_id)} & {"queued"}
    runner_with("fused", settings, database).train_cohort(message.cohort_id)
    assert epochs(database, experiment_id) == epochs(database, undisturbed)
    found, expected = (
        [(trial.number, trial.state, trial.epochs_completed, trial.best_value) for trial in trials(database, one)]
        for one in (experiment_id, undisturbed)
    )
    assert found == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_last_fold_trains_as_the_same_rows_split_off(runner: Runner, database: Database) -> None:
    """The last of three consecutive folds of 891 rows is the last third of them."""
    of_folds, cohorts = store_experiment(database, seeds=[0, 1], fit={"epochs": 3, "folds": 3})
    split, others = store_experiment(database, seeds=[0, 1], fit={"epochs": 3, "validation_split": 1 / 3})
    for message in (*cohorts, *others):
        runner.train_cohort(message.cohort_id)
    folds = {trial.number: (trial.seed, trial.fold) for trial in trials(database, of_folds)}
    assert sorted(folds.values()) == [(seed, fold) for seed in (0, 1) for fold in (1, 2, 3)]
    found = {(*folds[number], epoch): metrics for number, epoch, metrics in epochs(database, of_folds)}
    for number, epoch, metrics in epochs(database, split):
        assert found[number - 1, 3, epoch] == metrics, "bit for bit"
        assert found[number - 1, 1, epoch] != metrics
