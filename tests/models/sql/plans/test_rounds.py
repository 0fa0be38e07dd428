"""Rounds of searches in SQL: when one is due, who stores it, and what an experiment is between two of them."""

import threading
from typing import Any

import pytest
from sqlalchemy import select, update

from fittingroom.specs.datasets import BUILT_IN_DATASETS
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import InvalidSpec
from fittingroom.views.states import ExperimentState, TrialState
from models.errors import ExperimentEndedError
from models.lifecycle import experiment_state
from models.maintenance.retention import _delete_expired
from models.planning.plan import ExperimentPlan
from models.planning.rounds import plan_round, plan_search
from models.sql import experiments, usage
from models.sql.client_requests import delete_experiment, request_cancel, request_pause, request_resume
from models.sql.database import Database, clock
from models.sql.experiment_list import Filters, list_experiments
from models.sql.histories import find_changes
from models.sql.plans import prior_results, rounds
from models.sql.plans.prior_results import find_prior
from models.sql.plans.rounds import FoundSearch
from models.sql.plans.submissions import Accepted, Submission, add_experiments
from models.sql.quick_reads import rows_of
from models.sql.tables import CohortTable, ExperimentTable, SearchRoundTable, TrialTable, WebhookTable
from models.sql.webhooks import claim_deliveries
from tests.factories import WEBHOOK_SECRET
from tests.factories import spec as spec_with
from tests.factories import store as store_experiment

pytestmark = pytest.mark.stores

SEARCH: dict[str, Any] = {
    "optimizer": {"name": "sgd", "learning_rate": {"log_uniform": [0.001, 1.0]}},
    "sampler": {"name": "gp", "trials": 30, "round": 12},
}


def end_trials(database: Database, experiment_id: str, state: TrialState = TrialState.COMPLETED) -> None:
    """End all trials and cohorts, as if they had been trained."""
    with database.writing() as session:
        session.execute(
            update(TrialTable)
            .where(TrialTable.experiment_id == experiment_id, TrialTable.state == TrialState.QUEUED)
            .values(
                state=state, finished_at=clock(), best_value=TrialTable.number, epochs_completed=2,
                best_epoch=1, started_at=clock(),
            )
        )  # fmt: skip
        session.execute(
            update(CohortTable).where(CohortTable.experiment_id == experiment_id).values(finished_at=clock())
        )


def find(database: Database, experiment_id: str) -> FoundSearch | None:
    """Take the lease on drawing, which has expired already."""
    with database.writing() as session:
        return rounds.claim_drawing(session, experiment_id, -1.0)


def spec_of(found: FoundSearch) -> ExperimentSpec:
    return ExperimentSpec.model_validate(found.document)


def plan_of(found: FoundSearch) -> ExperimentPlan:
    return plan_round(spec_of(found), found.results, None, found.datasets)


def states_of(database: Database, experiment_id: str) -> tuple[ExperimentState, dict[TrialState, int], int]:
    """Return state, counts and undrawn trials; all ways to ask for them agree."""
    with database.reading() as session:
        row = experiments.get_experiment(session, experiment_id)
        progress = experiments.get_progress(session, [row])[experiment_id]
        state = experiment_state(progress.counts)
        listed = [one for one in ExperimentState if list_experiments(session, Filters(state=one), limit=1)]
        found = find_changes(rows_of(session), experiment_id, 0, max_trials=1_000, max_epochs=1_000)
    assert listed == [state]
    assert found is not None
    assert found.counts == progress.counts
    assert (progress.finished_at is None) == (state in {ExperimentState.QUEUED, ExperimentState.RUNNING})
    return state, dict(progress.counts), progress.undrawn_trials


def test_a_search_is_unended_until_its_last_round(database: Database) -> None:
    experiment_id, first = store_experiment(database, **SEARCH)
    assert len(first) == 1
    assert states_of(database, experiment_id) == ("queued", {"queued": 30}, 18)
    assert find(database, experiment_id) is None
    sizes = []
    while True:
        end_trials(database, experiment_id)
        found = find(database, experiment_id)
        if found is None:
            break
        assert states_of(database, experiment_id)[0] == "running"
        plan = plan_of(found)
        with database.writing() as session:
            assert rounds.list_due(session, 5) == [experiment_id]
            assert rounds.add_round(session, found, spec_of(found), plan) is not None
        sizes.append(len(plan.trials))
    assert sizes == [12, 6]
    assert states_of(database, experiment_id) == ("completed", {"completed": 30}, 0)
    with database.reading() as session:
        trials = experiments.list_trials(session, experiment_id)
        stored = rounds.list_rounds(session, experiment_id)
    assert [trial.round for trial in trials] == [1] * 12 + [2] * 12 + [3] * 6
    assert [(one.number, one.trials) for one in stored] == [(1, 12), (2, 12), (3, 6)]
    assert {*stored[2].versions} == {"cmaes", "numpy", "scipy"}
    assert len({tuple(trial.hyperparameters.values()) for trial in trials}) == 30


def test_a_round_changes_the_version(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    end_trials(database, experiment_id)
    found = find(database, experiment_id)
    assert found is not None
    with database.writing() as session:
        before = experiments.get_experiment(session, experiment_id).version
        rounds.add_round(session, found, spec_of(found), plan_of(found))
    with database.reading() as session:
        after = experiments.get_experiment(session, experiment_id).version
        changed = find_changes(rows_of(session), experiment_id, before, max_trials=100, max_epochs=100)
    assert after == before + 1
    assert changed is not None
    assert [position.number for position, _ in changed.trials] == list(range(13, 25))


def test_two_planners_store_one_round(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    end_trials(database, experiment_id)
    found = find(database, experiment_id)
    assert found is not None
    plan, barrier, stored = plan_of(found), threading.Barrier(4), []

    def draw() -> None:
        barrier.wait()
        stored.append(database.write(lambda session: rounds.add_round(session, found, spec_of(found), plan), 10))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result is not None for result in stored) == 1
    with database.reading() as session:
        assert len(experiments.list_trials(session, experiment_id)) == 24
        assert len(rounds.list_rounds(session, experiment_id)) == 2


def test_one_worker_draws_while_its_lease_lasts(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    end_trials(database, experiment_id)
    with database.writing() as session:
        assert rounds.list_due(session, 5) == [experiment_id]
        found = rounds.claim_drawing(session, experiment_id, 60)
    assert found is not None
    assert find(database, experiment_id) is None
    with database.writing() as session:
        assert rounds.list_due(session, 5) == []
        assert rounds.add_round(session, found, spec_of(found), plan_of(found)) is not None
    end_trials(database, experiment_id)
    assert find(database, experiment_id) is not None, "a lease ends with its round"


def test_a_search_ends_after_so_many_attempts_to_draw(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    end_trials(database, experiment_id)
    attempts = rounds.MAX_ATTEMPTS
    assert [find(database, experiment_id) is None for _ in range(attempts + 2)] == [False] * attempts + [True] * 2
    assert states_of(database, experiment_id) == ("completed", {"completed": 12}, 0)
    with database.reading() as session:
        [warning] = experiments.get_experiment(session, experiment_id).warnings or []
    assert "could not be drawn in 10 attempts" in warning["detail"]


def test_search_that_has_changed_since_is_not_ended(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    end_trials(database, experiment_id)
    found = find(database, experiment_id)
    assert found is not None
    with database.writing() as session:
        rounds.add_round(session, found, spec_of(found), plan_of(found))
        assert not rounds.end_search(session, found, "a reason")
    assert states_of(database, experiment_id) == ("running", {"completed": 12, "queued": 18}, 6)


def test_search_cancelled_after_a_long_pause_is_kept_as_long_as_others(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    end_trials(database, experiment_id)
    with database.writing() as session:
        long_ago = clock(-40 * 86_400)
        session.execute(update(TrialTable).values(finished_at=long_ago, started_at=long_ago))
        request_cancel(session, experiment_id)
    _delete_expired(database, 30 * 86_400)
    with database.reading() as session:
        row = experiments.get_experiment(session, experiment_id)
        finished_at = experiments.get_progress(session, [row])[experiment_id].finished_at
    assert finished_at == row.cancel_requested_at


def test_search_that_ends_after_a_long_pause_is_kept_as_long_as_others(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    end_trials(database, experiment_id)
    found = find(database, experiment_id)
    assert found is not None
    with database.writing() as session:
        session.execute(update(TrialTable).values(finished_at=clock(-40 * 86_400)))
    with database.writing() as session:
        assert rounds.end_search(session, found, "a reason")
    _delete_expired(database, 30 * 86_400)
    with database.reading() as session:
        row = experiments.get_experiment(session, experiment_id)
        assert experiments.get_progress(session, [row])[experiment_id].finished_at == row.search_ended_at


def test_a_plan_without_trials_ends_the_search_and_says_why(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    end_trials(database, experiment_id, TrialState.FAILED)
    found = find(database, experiment_id)
    assert found is not None
    with database.writing() as session:
        assert rounds.add_round(session, found, spec_of(found), plan_of(found)) == []
    assert states_of(database, experiment_id) == ("failed", {"failed": 12}, 0)
    with database.reading() as session:
        [warning] = experiments.get_experiment(session, experiment_id).warnings or []
    assert warning["pointer"] == "/sampler"
    assert "no trial was trained" in warning["detail"]


def test_cancel_between_rounds_ends_the_search(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    end_trials(database, experiment_id)
    found = find(database, experiment_id)
    assert found is not None
    with database.writing() as session:
        assert request_cancel(session, experiment_id) == 18
    with database.writing() as session:
        assert request_cancel(session, experiment_id) == 0
    assert states_of(database, experiment_id) == ("cancelled", {"completed": 12, "cancelled": 18}, 0)
    with database.writing() as session:
        assert rounds.list_due(session, 5) == []
        assert rounds.add_round(session, found, spec_of(found), plan_of(found)) is None
        assert not rounds.end_search(session, found, "a reason")
    with database.writing() as session, pytest.raises(ExperimentEndedError):
        request_pause(session, experiment_id)


def test_cancel_in_a_round_counts_undrawn_trials(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    with database.writing() as session:
        assert request_cancel(session, experiment_id) == 30
    assert states_of(database, experiment_id) == ("cancelled", {"cancelled": 30}, 0)


def test_pause_between_rounds_draws_nothing_until_resumed(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    end_trials(database, experiment_id)
    found = find(database, experiment_id)
    assert found is not None
    with database.writing() as session:
        request_pause(session, experiment_id)
    with database.writing() as session:
        assert rounds.list_due(session, 5) == []
        assert rounds.add_round(session, found, spec_of(found), plan_of(found)) is None
    for _ in range(rounds.MAX_ATTEMPTS + 1):
        with database.writing() as session:
            request_resume(session, experiment_id)
        found = find(database, experiment_id)
        assert found is not None, "a pause costs no attempt"
        with database.writing() as session:
            request_pause(session, experiment_id)
            assert rounds.add_round(session, found, spec_of(found), plan_of(found)) is None


def test_deleted_search_is_drawn_no_more(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    end_trials(database, experiment_id)
    found = find(database, experiment_id)
    assert found is not None
    with database.writing() as session:
        delete_experiment(session, experiment_id)
    with database.writing() as session:
        assert rounds.add_round(session, found, spec_of(found), plan_of(found)) is None
        assert session.scalars(select(SearchRoundTable)).all() == []


def test_undrawn_trials_count_towards_the_quota(database: Database) -> None:
    experiment_id, _ = store_experiment(database, **SEARCH)
    with database.reading() as session:
        assert usage.count_unended_trials(session, "default") == 30
    with database.writing() as session:
        request_cancel(session, experiment_id)
    with database.reading() as session:
        assert usage.count_unended_trials(session, "default") == 0


def test_webhook_waits_for_the_last_round(database: Database) -> None:
    webhook = {"url": "https://example.com/hook", "secret": WEBHOOK_SECRET}
    experiment_id, _ = store_experiment(database, **SEARCH, webhook=webhook)
    end_trials(database, experiment_id)

    def claimed() -> list[str]:
        with database.writing() as session:
            return [one.experiment_id for one in claim_deliveries(session, lambda *_: True)]

    assert claimed() == []
    found = find(database, experiment_id)
    assert found is not None
    with database.writing() as session:
        assert rounds.end_search(session, found, "a reason")
    with database.writing() as session:
        session.execute(update(WebhookTable).values(next_attempt_at=clock()))
    assert claimed() == [experiment_id]


def test_experiments_without_rounds_have_none(database: Database) -> None:
    experiment_id, _ = store_experiment(database)
    end_trials(database, experiment_id)
    with database.reading() as session:
        assert rounds.list_due(session, 5) == []
        assert rounds.list_rounds(session, experiment_id) == []
        row: Any = session.get(ExperimentTable, experiment_id)
        assert row.undrawn_trials == 0


def test_search_keeps_its_prior_results(database: Database) -> None:
    """They are copied at submit: later changes and the end of the earlier experiment make no difference."""
    earlier, _ = store_experiment(database, **SEARCH)
    spec = spec_with(**SEARCH | {"sampler": SEARCH["sampler"] | {"prior": [earlier]}})
    with database.reading() as session:
        assert find_prior(session, spec, "default") == [[]], "nothing was trained yet"
    end_trials(database, earlier)
    with database.reading() as session:
        [found] = find_prior(session, spec, "default")
    assert [one.result.value for one in found] == [float(number) for number in range(1, 13)]
    plan = plan_search(spec, [found], None, BUILT_IN_DATASETS)
    with database.writing() as session:
        [accepted] = add_experiments(session, [Submission("default", spec, plan)])
    assert isinstance(accepted, Accepted)
    with database.writing() as session:
        delete_experiment(session, earlier)
    end_trials(database, accepted.experiment_id)
    search = find(database, accepted.experiment_id)
    assert search is not None
    assert list(search.results.prior) == list(plan.prior)
    assert len(search.results.prior) == len(search.results.trials) == 12
    again = plan_of(search)
    assert [trial.number for trial in again.trials] == list(range(13, 25))
    known = {one.hyperparameters["optimizer.learning_rate"] for one in (*plan.prior, *search.results.trials)}
    assert not known & {trial.hyperparameters["optimizer.learning_rate"] for trial in again.trials}


def test_prior_leaves_confirming_trials_out_and_has_a_limit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, _ = store_experiment(database, **SEARCH)
    end_trials(database, earlier)
    with database.writing() as session:
        session.execute(update(TrialTable).where(TrialTable.number > 7).values(is_confirming=True))
    spec = spec_with(**SEARCH | {"sampler": SEARCH["sampler"] | {"prior": [earlier]}})
    with database.reading() as session:
        [found] = find_prior(session, spec, "default")
    assert len(found) == 7
    monkeypatch.setattr(prior_results, "_MAX_TRIALS", 6)
    with database.reading() as session, pytest.raises(InvalidSpec, match="more than 6 trials"):
        find_prior(session, spec, "default")


def test_prior_of_another_project_is_not_there(database: Database) -> None:
    earlier, _ = store_experiment(database, **SEARCH)
    spec = spec_with(**SEARCH | {"sampler": SEARCH["sampler"] | {"prior": [earlier, "exp_" + "0" * 32]}})
    for project, expected in (("default", ["/sampler/prior/1"]), ("another", ["/sampler/prior/0", "/sampler/prior/1"])):
        with database.reading() as session, pytest.raises(InvalidSpec, match="no such experiment") as caught:
            find_prior(session, spec, project)
        assert [fault.pointer for fault in caught.value.faults] == expected
