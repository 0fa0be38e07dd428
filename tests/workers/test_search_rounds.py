"""Searches trained round by round: to their end, the same whatever dies."""

import math
from collections.abc import Callable
from contextlib import suppress
from statistics import fmean, median
from typing import Any

import keras
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

import workers.search_rounds
from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.fit import Objective
from fittingroom.views.states import ExperimentState, TrialState
from models.errors import DatabaseUnavailableError
from models.lifecycle import experiment_state
from models.messaging.queues import queues_of
from models.settings import Settings
from models.sql import experiments, transitions
from models.sql.database import Database
from models.sql.plans import rounds
from models.sql.rungs import objectives_at
from models.sql.tables import EpochTable, ExperimentTable, TrialTable
from tests.e2e.service import until
from tests.factories import layers
from tests.factories import store as store_experiment
from tests.workers.engines.trials import fused_engine
from workers import earlier_rounds
from workers.engines.base import Engine
from workers.engines.reference import ReferenceEngine
from workers.reporting.reporter import Reporter
from workers.runner import Runner
from workers.search_rounds import draw_due_rounds

pytestmark = pytest.mark.stores

ENGINE = fused_engine()
QUEUES = queues_of(["any"], keras.backend.backend())
SEARCH: dict[str, Any] = {
    "optimizer": {"name": "sgd", "learning_rate": {"log_uniform": [0.001, 1.0]}},
    "fit": {"epochs": 2, "validation_split": 0.3},
    "sampler": {"name": "gp", "trials": 28, "round": 12},
}


def runner_on(settings: Settings, database: Database, name: str = "wrk_test") -> Runner:
    runner = Runner(settings, database, name, ["cpu:0"])
    runner.engines = dict.fromkeys(runner.engines, ENGINE)
    return runner


def found_in(database: Database, experiment_id: str) -> list[tuple[int, int, dict[str, Any], float | None]]:
    """Return round, number, values and best value of each trial."""
    with database.reading() as session:
        found = experiments.list_trials(session, experiment_id)
    return [(trial.round, trial.number, trial.hyperparameters, trial.best_value) for trial in found]


def experiment_of(database: Database, experiment_id: str) -> tuple[ExperimentState, ExperimentTable]:
    with database.reading() as session:
        row = experiments.get_experiment(session, experiment_id)
        return experiment_state(experiments.get_progress(session, [row])[experiment_id].counts), row


def give_leases_back(database: Database) -> None:
    """Let the leases on drawing expire."""
    with database.writing() as session:
        session.execute(update(ExperimentTable).values(drawing_expires_at=None))


@pytest.fixture
def undisturbed(settings: Settings, database: Database) -> list[tuple[int, int, dict[str, Any], float | None]]:
    """Return what a search finds that nothing disturbs."""
    experiment_id, _ = store_experiment(database, **SEARCH)
    announced: list[str] = []
    runner = runner_on(settings, database)
    runner.announce = lambda cohorts: announced.extend(cohort.cohort_id for cohort in cohorts)
    runner.train_waiting(QUEUES)
    with database.reading() as session:
        cohorts = experiments.list_cohorts(session, experiment_id)
    assert announced == [cohort.id for cohort in cohorts[1:]]
    assert experiment_of(database, experiment_id)[0] == ExperimentState.COMPLETED
    found = found_in(database, experiment_id)
    assert [number for number, *_ in found] == [1] * 12 + [2] * 12 + [3] * 4
    return found


def test_a_worker_that_dies_between_any_two_steps_leaves_the_same_rounds(
    settings: Settings, database: Database, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    deaths: list[tuple[Any, str]] = [
        (workers.search_rounds.rounds, "claim_drawing"),
        (workers.search_rounds, "plan_round"),
        (workers.search_rounds.rounds, "add_round"),
    ]
    for number, (module, name) in enumerate(deaths):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, die)
            with pytest.raises(KeyboardInterrupt):
                runner_on(settings, database, f"wrk_{number}").train_waiting(QUEUES)
        give_leases_back(database)
    runner_on(settings, database, "wrk_last").train_waiting(QUEUES)
    assert found_in(database, experiment_id) == undisturbed


def test_a_database_out_of_reach_while_drawing_costs_no_round(
    settings: Settings, database: Database, undisturbed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    add_round: Callable[..., Any] = rounds.add_round

    def fail_after_writing(*given: Any) -> None:
        add_round(*given)
        raise DatabaseUnavailableError("connection cut")

    with monkeypatch.context() as patched:
        patched.setattr(rounds, "add_round", fail_after_writing)
        runner_on(settings, database).train_waiting(QUEUES)
    state, row = experiment_of(database, experiment_id)
    assert (state, row.undrawn_trials, row.warnings) == (ExperimentState.RUNNING, 16, None)
    give_leases_back(database)
    runner_on(settings, database).train_waiting(QUEUES)
    assert found_in(database, experiment_id) == undisturbed


def test_a_search_that_cannot_be_drawn_ends_and_says_why(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    other_id, _ = store_experiment(database)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("an inner secret")

    monkeypatch.setattr(workers.search_rounds, "plan_round", fail)
    short = settings.model_copy(update={"lease_seconds": 0.001})
    runner_on(settings, database).train_waiting(QUEUES)
    assert experiment_of(database, other_id)[0] == ExperimentState.COMPLETED
    assert experiment_of(database, experiment_id)[0] == ExperimentState.RUNNING
    give_leases_back(database)
    until(lambda: draw_due_rounds(database, short) or experiment_of(database, experiment_id)[0] != "running")
    state, row = experiment_of(database, experiment_id)
    assert state == ExperimentState.COMPLETED
    [warning] = row.warnings or []
    assert (warning["pointer"], "secret" in warning["detail"]) == ("/sampler", False)
    assert "the next round could not be drawn in 10 attempts" in warning["detail"]
    assert draw_due_rounds(database, short) == []


def test_a_search_without_its_dataset_ends_with_a_warning(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)

    def refuse(*_: object) -> None:
        raise InvalidSpec([Fault(pointer="/dataset", detail="no dataset is called so")])

    monkeypatch.setattr(workers.search_rounds, "plan_round", refuse)
    runner_on(settings, database).train_waiting(QUEUES)
    state, row = experiment_of(database, experiment_id)
    assert state == ExperimentState.COMPLETED
    [warning] = row.warnings or []
    assert warning["detail"] == "no further round can be drawn: no dataset is called so"


def test_the_best_candidates_are_confirmed_with_further_seeds(settings: Settings, database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH, confirm={"top": 2, "seeds": 3})
    runner_on(settings, database).train_waiting(QUEUES)
    state, row = experiment_of(database, experiment_id)
    assert (state, row.undrawn_trials) == (ExperimentState.COMPLETED, 0)
    with database.reading() as session:
        trials = experiments.list_trials(session, experiment_id)
    searched, confirming = [[one for one in trials if one.is_confirming == wanted] for wanted in (False, True)]
    assert (len(searched), [one.seed for one in confirming]) == (28, [1, 2, 3] * 2)
    best = sorted(searched, key=lambda one: one.best_value or 0.0)[:2]
    assert [one.hyperparameters for one in confirming[::3]] == [one.hyperparameters for one in best]


def reached_by(database: Database, trials: list[TrialTable], epoch: int) -> dict[int, float]:
    """Return the best objective so far at an epoch, the mean over seeds, of each candidate that trained in it."""
    by_candidate: dict[str, list[TrialTable]] = {}
    for trial in trials:
        by_candidate.setdefault(str(trial.hyperparameters), []).append(trial)
    found = {}
    with database.reading() as session:
        for some in by_candidate.values():
            query = select(EpochTable).where(EpochTable.epoch <= epoch).order_by(EpochTable.epoch)
            rows = [session.scalars(query.where(EpochTable.trial_id == trial.id)).all() for trial in some]
            histories = [[row.metrics["val_loss"] for row in of_trial] for of_trial in rows]
            if max(map(len, histories)) == epoch:
                found[some[0].number] = fmean(min(values) for values in histories)
    return found


def searched(settings: Settings, database: Database, pruner: dict[str, Any]) -> list[TrialTable]:
    """Return the trials of a search with two seeds and a pruner, which has ended."""
    fit = {"epochs": 8, "validation_split": 0.3}
    experiment_id, _ = store_experiment(database, **(SEARCH | {"fit": fit}), pruner=pruner, seeds=[3, 4])
    runner_on(settings, database).train_waiting(QUEUES)
    assert experiment_of(database, experiment_id)[0] == ExperimentState.COMPLETED
    with database.reading() as session:
        return list(experiments.list_trials(session, experiment_id))


def test_candidates_are_compared_with_those_of_earlier_rounds(settings: Settings, database: Database) -> None:
    pruner = {"name": "successive_halving", "min_epochs": 2, "reduction_factor": 3}
    trials = searched(settings, database, pruner)
    pruned = 0
    for number in (2, 3):
        mine = [trial for trial in trials if trial.round == number]
        before = [trial for trial in trials if trial.round < number]
        for epoch in (2, 6):
            earlier, own = reached_by(database, before, epoch), reached_by(database, mine, epoch)
            going = sorted([*earlier.values(), *own.values()])[: math.ceil((len(earlier) + len(own)) / 3)]
            stopped = {trial.number for trial in mine if trial.state == "pruned" and trial.epochs_completed == epoch}
            assert stopped & own.keys() == {one for one, value in own.items() if value not in going}
            pruned += len(stopped)
    assert pruned >= 20, "of 32 trials in the second and the third round"
    others = [trial for trial in trials if trial.round > 1 and trial.state == "completed"]
    assert all(trial.epochs_completed == 8 for trial in others)


def test_median_compares_with_earlier_rounds_alone(settings: Settings, database: Database) -> None:
    pruner = {"name": "median", "min_epochs": 2, "interval": 3}
    trials = searched(settings, database, pruner)
    pruned = []
    for number in (1, 2, 3):
        mine = [trial for trial in trials if trial.round == number]
        before = [trial for trial in trials if trial.round < number]
        for epoch in (2, 5):
            earlier, own = reached_by(database, before, epoch), reached_by(database, mine, epoch)
            stopped = {trial.number for trial in mine if trial.state == "pruned" and trial.epochs_completed == epoch}
            worse = {one for one, value in own.items() if earlier and value > median(earlier.values())}
            assert stopped & own.keys() == worse
            pruned.append(len(worse))
    assert pruned[:2] == [0, 0], "the first round goes on"
    assert sum(pruned) >= 1
    assert {trial.state for trial in trials if trial.epochs_completed == 8} == {"completed"}


def everything_of(database: Database, experiment_id: str) -> list[tuple[Any, ...]]:
    """Return how each trial ended, and its history."""
    with database.reading() as session:
        found = []
        for trial in experiments.list_trials(session, experiment_id):
            query = select(EpochTable).where(EpochTable.trial_id == trial.id).order_by(EpochTable.epoch)
            history = [row.metrics for row in session.scalars(query)]
            found.append((trial.number, trial.hyperparameters, trial.state, trial.best_value, history))
        return found


@pytest.mark.parametrize(
    ("engine", "checkpoint_seconds"),
    [(ENGINE, 0.0), (ENGINE, 1e9), (ReferenceEngine(), 0.0)],
    ids=["fused, from checkpoints", "fused, from the first epoch", "reference, from checkpoints"],
)
def test_workers_that_die_prune_the_same_trials_of_every_round(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, engine: Engine, checkpoint_seconds: float
) -> None:
    settings = settings.model_copy(update={"checkpoint_seconds": checkpoint_seconds})
    changes = SEARCH | {
        "optimizer": {"name": "sgd", "learning_rate": {"choice": [10 ** (n / 2 - 3) for n in range(12)]}},
        "fit": {"epochs": 3, "validation_split": 0.3}, "sampler": {"name": "tpe", "trials": 12, "round": 6},
        "seeds": [1, 2], "pruner": {"name": "top_k", "k": 2},
    }  # fmt: skip

    def train(name: str) -> None:
        runner = runner_on(settings, database, name)
        runner.engines = dict.fromkeys(runner.engines, engine)
        runner.train_waiting(QUEUES)

    undisturbed, _ = store_experiment(database, **changes)
    train("wrk_undisturbed")
    expected = everything_of(database, undisturbed)
    assert {state for _, _, state, _, _ in expected} == {"completed", "pruned"}
    disturbed, _ = store_experiment(database, **changes)
    on_epoch = Reporter.on_epoch
    for number, left in enumerate((1, 2, 3, 8, 17)):

        def die(self: Reporter, *given: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return on_epoch(self, *given, **named)

        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(Reporter, "on_epoch", die)
            train(f"wrk_{number}")
        with database.writing() as session:
            transitions.mark_worker_lost(session, f"wrk_{number}", 1_000, "it died")
        give_leases_back(database)
    train("wrk_last")
    assert everything_of(database, disturbed) == expected


def test_each_round_is_read_once(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    read = earlier_rounds.objectives_at

    def counted(session: Session, experiment_id: str, name: str | None, rounds_: tuple[int, int], *given: Any) -> Any:
        asked.append(rounds_)
        return read(session, experiment_id, name, rounds_, *given)

    monkeypatch.setattr(earlier_rounds, "objectives_at", counted)
    hidden = {"type": "dense", "units": {"choice": [2, 3]}, "activation": "relu"}
    network = layers(hidden, {"type": "dense", "units": 2, "activation": "softmax"})
    experiment_id, _ = store_experiment(database, **(SEARCH | {"model": network}), pruner={"name": "top_k", "k": 3})
    runner_on(settings, database).train_waiting(QUEUES)
    assert experiment_of(database, experiment_id)[0] == ExperimentState.COMPLETED
    assert asked == [(1, 1), (2, 2)], "by the first cohort of each round"


def test_rounds_are_read_again_for_later_rungs_alone(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[tuple[int, int], int]] = []
    read = earlier_rounds.objectives_at

    def counted(session: Session, *given: Any) -> Any:
        asked.append((given[2], len(given[3])))
        return read(session, *given)

    monkeypatch.setattr(earlier_rounds, "objectives_at", counted)
    experiment_id, _ = store_experiment(
        database, **(SEARCH | {"fit": {"epochs": 4, "validation_split": 0.3}}), pruner={"name": "median"}
    )
    runner_on(settings, database).train_waiting(QUEUES)
    with database.reading() as session:
        trials = list(experiments.list_trials(session, experiment_id))
        rows = [trial for trial in trials if trial.round == 3]
        whole = TrialSpec.model_validate(rows[0].spec)
    known, asked[:] = earlier_rounds.EarlierRounds(database), []
    found = []
    for epochs in (3, 2, 4, 2, 4):
        fit = whole.fit.model_copy(update={"epochs": epochs})
        found.append(known.at_rungs(rows, [whole.model_copy(update={"fit": fit})]))
    assert asked == [((1, 2), 2), ((1, 2), 3)]
    assert [len(one) for one in found] == [2, 1, 3, 1, 3]
    assert found[0][1] == found[1][1] == found[4][1]
    assert len(found[4][1]) == 24


def test_objectives_at_rungs_are_means_over_seeds_of_the_best_so_far(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **(SEARCH | {"fit": {"epochs": 4}}), seeds=[0, 1, 2])
    losses = {1: [3.0, 5.0, 1.0], 2: [2.0, "NaN", 0.5], 3: [4.0], 4: ["NaN", "NaN"], 5: [7.0, 6.0], 6: [1.0, 9.0]}
    with database.writing() as session:
        trials = list(experiments.list_trials(session, experiment_id))
        for trial in trials[:6]:
            trial.state = TrialState.PRUNED
            for epoch, loss in enumerate(losses[trial.number], start=1):
                session.add(
                    EpochTable(
                        trial_id=trial.id, epoch=epoch, experiment_id=experiment_id, version=1, attempt=1, seconds=1.0,
                        metrics={"loss": loss}, recorded_at=trial.created_at,
                    )
                )  # fmt: skip
    with database.reading() as session:
        objective = Objective(metric="loss", direction="minimize")
        found = objectives_at(session, experiment_id, None, (1, 2), [1, 2, 3], objective)
    assert {number: {epoch: [*values] for epoch, values in one.items()} for number, one in found.items()} == {
        1: {1: [(3.0 + 2.0 + 4.0) / 3, math.inf], 2: [(3.0 + 2.0 + 4.0) / 3, math.inf], 3: [(1.0 + 0.5 + 4.0) / 3]},
        2: {1: [], 2: [], 3: []},
    }, "whoever ended before counts with the best so far, and without a number as infinitely bad"


def test_pruned_trials_count_below_those_that_completed(settings: Settings, database: Database) -> None:
    experiment_id, _ = store_experiment(
        database, **(SEARCH | {"fit": {"epochs": 4, "validation_split": 0.3}}), pruner={"name": "top_k", "k": 3}
    )
    runner_on(settings, database).train_waiting(QUEUES)
    state, _ = experiment_of(database, experiment_id)
    assert state == ExperimentState.COMPLETED
    with database.reading() as session:
        trials = list(experiments.list_trials(session, experiment_id))

    def went_on(number: int) -> int:
        """Return how many of a round are among the best three so far after epoch 1."""
        earlier = reached_by(database, [trial for trial in trials if trial.round < number], 1)
        own = reached_by(database, [trial for trial in trials if trial.round == number], 1)
        return len([value for value in own.values() if value in sorted([*earlier.values(), *own.values()])[:3]])

    by_round = [[trial.state for trial in trials if trial.round == number] for number in (1, 2, 3)]
    assert [states.count("pruned") for states in by_round] == [9, 12 - went_on(2), 4 - went_on(3)]
    assert [states.count("completed") for states in by_round] == [3, went_on(2), went_on(3)]
