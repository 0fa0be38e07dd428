"""States, leases and epochs, on every kind of database."""

import itertools
import threading
import time
from collections import Counter

import pytest
from sqlalchemy import select

from fittingroom.views.states import StopReason, TrialPhase, TrialState
from models.sql import client_requests, experiments, transitions
from models.sql.database import Database, clock
from models.sql.epochs import BestEpoch, EpochGapError, EpochRecord, mark_epochs
from models.sql.leases import Claim, renew_lease
from models.sql.tables import EpochTable, TrialTable
from models.sql.turns import find_next_cohorts
from tests.claims import LEASE, SWEEP, claim_one, expire, record, states, version
from tests.factories import DENSE_2, layers
from tests.factories import store as store_experiment
from tests.training import list_epochs

pytestmark = pytest.mark.stores


def test_of_many_workers_one_claims(database: Database) -> None:
    _, [message] = store_experiment(database, **SWEEP)
    claims: list[Claim | None] = []
    barrier = threading.Barrier(12)

    def race(number: int) -> None:
        barrier.wait()
        with database.writing() as session:
            claims.append(transitions.mark_claimed(session, message.cohort_id, f"wrk_{number}", LEASE, "tensorflow"))

    threads = [threading.Thread(target=race, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [claim for claim in claims if claim is not None]
    assert len(claims) == 12
    assert [claim.attempt for claim in won] == [1]
    assert states(database, won[0]) == ["running", "running"]


def test_a_lost_race_changes_nothing(database: Database) -> None:
    claim, _ = claim_one(database)
    before = version(database, claim)
    with database.writing() as session:
        assert transitions.mark_claimed(session, claim.cohort_id, "wrk_b", LEASE, "tensorflow") is None
        assert transitions.mark_claimed(session, "coh_unknown", "wrk_b", LEASE, "tensorflow") is None
    assert version(database, claim) == before


def test_an_epoch_is_written_once(database: Database) -> None:
    claim, [trial_id, _] = claim_one(database)
    assert record(database, claim, trial_id, 1, loss=0.5)
    before = version(database, claim)
    assert record(database, claim, trial_id, 1, loss=0.7)
    assert version(database, claim) == before, "nothing has changed"
    with database.reading() as session:
        [epoch] = list_epochs(session, trial_id=trial_id)
    assert epoch.metrics == {"loss": 0.5}


def test_mark_described_leaves_ended_trials_unchanged(database: Database) -> None:
    claim, [first, second] = claim_one(database)
    with database.writing() as session:
        assert transitions.mark_described(session, claim, "a network", {"device": "cpu:0"})
        assert transitions.mark_completed(session, claim, first, StopReason.EPOCHS)
        assert transitions.mark_described(session, claim, "a network", {"device": "gpu:0"})
    with database.reading() as session:
        found = [session.get_one(TrialTable, trial_id).environment for trial_id in (first, second)]
    assert found == [{"device": "cpu:0"}, {"device": "gpu:0"}]


@pytest.mark.parametrize("epochs", [[2], [1, 3]])
def test_epochs_with_a_gap_are_refused_and_nothing_is_written(database: Database, epochs: list[int]) -> None:
    claim, [trial, _] = claim_one(database)
    records = [EpochRecord(trial, epoch, 0.1, {"loss": 0.5}) for epoch in epochs]
    with pytest.raises(EpochGapError), database.writing() as session:
        mark_epochs(session, claim, records, {}, LEASE)
    with database.reading() as session:
        assert list_epochs(session, experiment_id=claim.experiment_id) == []


def test_every_change_raises_the_version(database: Database) -> None:
    claim, [first, second] = claim_one(database)
    seen = [version(database, claim)]
    for epoch in (1, 2):
        record(database, claim, first, epoch)
        seen.append(version(database, claim))
    with database.writing() as session:
        transitions.mark_completed(session, claim, first, StopReason.EPOCHS)
    seen.append(version(database, claim))
    with database.writing() as session:
        client_requests.request_cancel(session, claim.experiment_id, second)
    seen.append(version(database, claim))
    assert all(later == earlier + 1 for earlier, later in itertools.pairwise(seen))
    with database.reading() as session:
        epochs = list_epochs(session, experiment_id=claim.experiment_id, after_version=seen[1])
    assert [epoch.epoch for epoch in epochs] == [2]


def test_phases_are_of_running_trials(database: Database) -> None:
    claim, [first, _] = claim_one(database)

    def phases() -> list[str | None]:
        with database.reading() as session:
            rows = select(TrialTable.phase).where(TrialTable.cohort_id == claim.cohort_id).order_by(TrialTable.number)
            return list(session.scalars(rows))

    assert phases() == ["loading", "loading"]
    with database.writing() as session:
        transitions.mark_phase(session, claim, TrialPhase.TRACING)
    assert phases() == ["tracing", "tracing"]
    with database.writing() as session:
        transitions.mark_completed(session, claim, first, StopReason.EPOCHS)
        transitions.mark_program(session, claim, "fused", "a reason", {})
    assert phases() == [None, "training"]
    with database.writing() as session:
        transitions.mark_released(session, claim)
    assert phases() == [None, None]


def test_the_best_epoch_is_kept_and_never_goes_back(database: Database) -> None:
    claim, [trial_id, _] = claim_one(database)
    for epoch, best in ((1, BestEpoch(1, 0.5, {"loss": 0.5})), (2, BestEpoch(1, 0.5, {"loss": 0.5}))):
        with database.writing() as session:
            records = [EpochRecord(trial_id, epoch, 0.1, {"loss": 0.5 * epoch})]
            mark_epochs(session, claim, records, {trial_id: best}, LEASE)
    record(database, claim, trial_id, 1)  # an earlier epoch once more, as a later attempt would write it
    with database.reading() as session:
        trial = experiments.get_trial(session, trial_id)
    assert (trial.epochs_completed, trial.best_epoch, trial.best_value) == (2, 1, 0.5)
    assert trial.training_seconds == pytest.approx(0.2)


def test_epochs_of_several_trials_are_written_together(database: Database) -> None:
    claim, trial_ids = claim_one(database, seeds=[0, 1, 2])
    losses = {trial_id: [0.1 + number, -0.0, 1e-7, 1e308] for number, trial_id in enumerate(trial_ids)}
    best = {trial_ids[1]: BestEpoch(2, -0.0, {"loss": -0.0, "größe": 2.5})}
    with database.writing() as session:
        records = [
            EpochRecord(trial_id, epoch, epoch / 8, {"loss": losses[trial_id][epoch - 1], "größe": 2.5, "a": "NaN"})
            for epoch in range(1, 5)
            for trial_id in trial_ids
        ]
        mark_epochs(session, claim, records, best, LEASE)
    new_version = version(database, claim)
    for trial_id in trial_ids:
        with database.reading() as session:
            trial, epochs = experiments.get_trial(session, trial_id), list_epochs(session, trial_id=trial_id)
        assert [(epoch.epoch, epoch.seconds) for epoch in epochs] == [(1, 0.125), (2, 0.25), (3, 0.375), (4, 0.5)]
        for epoch, loss in zip(epochs, losses[trial_id], strict=True):
            assert repr(epoch.metrics) == repr({"loss": loss, "größe": 2.5, "a": "NaN"})
            written = epoch.experiment_id, epoch.version, epoch.attempt
            assert written == (claim.experiment_id, new_version, claim.attempt)
        assert (trial.epochs_completed, trial.version, trial.training_seconds) == (4, new_version, 1.25)
        found = (trial.best_epoch, trial.best_value, trial.best_metrics)
        expected = best.get(trial_id)
        assert found == ((None,) * 3 if expected is None else (expected.epoch, expected.value, expected.metrics))


def test_numbers_that_json_lacks_are_stored(database: Database) -> None:
    claim, [trial_id, _] = claim_one(database)
    with database.writing() as session:
        records = [EpochRecord(trial_id, 1, 0.1, {"loss": "NaN", "val_loss": "Infinity"})]
        mark_epochs(session, claim, records, {}, LEASE)
    with database.reading() as session:
        [epoch] = list_epochs(session, trial_id=trial_id)
    assert epoch.metrics == {"loss": "NaN", "val_loss": "Infinity"}


def test_a_stale_worker_writes_nothing(database: Database) -> None:
    stale, trial_ids = claim_one(database)
    expire(database, stale)
    with database.writing() as session:
        assert transitions.mark_leases_lost(session, max_faults=3) == [stale.cohort_id]
    with database.writing() as session:
        fresh = transitions.mark_claimed(session, stale.cohort_id, "wrk_b", LEASE, "tensorflow")
    assert fresh is not None
    assert fresh.attempt == 2
    before = version(database, stale)
    assert not record(database, stale, trial_ids[0], 1)
    with database.writing() as session:
        assert not renew_lease(session, stale, LEASE)
        assert not transitions.mark_completed(session, stale, trial_ids[0], StopReason.EPOCHS)
        assert not transitions.mark_failed(session, stale, {"kind": "fatal", "message": "late"})
        assert not transitions.mark_released(session, stale)
        assert not transitions.record_worker_fault(session, stale, 3, "late")
        assert not transitions.mark_described(session, stale, "late", {})
        assert session.scalars(select(EpochTable)).all() == []
    assert version(database, stale) == before
    assert states(database, stale) == ["running", "running"]


def test_a_renewed_lease_is_not_lost(database: Database) -> None:
    claim, _ = claim_one(database)
    expire(database, claim)
    with database.writing() as session:
        assert renew_lease(session, claim, LEASE)
    with database.writing() as session:
        assert transitions.mark_leases_lost(session, max_faults=3) == []


def test_too_many_faults_fail_the_trials_with_the_last_fault(database: Database) -> None:
    claim, _ = claim_one(database)
    for owner in ("wrk_b", None):
        expire(database, claim)
        with database.writing() as session:
            transitions.mark_leases_lost(session, max_faults=2)
        if owner is not None:
            with database.writing() as session:
                assert transitions.mark_claimed(session, claim.cohort_id, owner, LEASE, "tensorflow") is not None
    assert states(database, claim) == ["failed", "failed"]
    with database.reading() as session:
        [trial, _] = experiments.list_trials(session, claim.experiment_id)
        cohort = experiments.get_cohort(session, claim.cohort_id)
    assert trial.fault is not None
    assert "wrk_b" in trial.fault["message"]
    assert cohort.finished_at is not None


def test_a_polite_release_is_no_fault(database: Database) -> None:
    claim, _ = claim_one(database)
    with database.writing() as session:
        assert transitions.mark_released(session, claim)
    assert states(database, claim) == ["queued", "queued"]
    with database.reading() as session:
        assert experiments.get_cohort(session, claim.cohort_id).faults == 0
        assert find_next_cohorts(session, ["any.tensorflow"]) == [claim.cohort_id]


def test_cancel_ends_queued_trials_and_flags_running_ones(database: Database) -> None:
    claim, _ = claim_one(database)
    queued, [message] = store_experiment(database)
    with database.writing() as session:
        assert client_requests.request_cancel(session, claim.experiment_id) == 2
        assert client_requests.request_cancel(session, queued) == 1
    assert states(database, claim) == ["running", "running"]
    with database.reading() as session:
        assert [trial.state for trial in experiments.list_trials(session, queued)] == ["cancelled"]
        assert len(transitions.list_cancel_requests(session, claim)) == 2
    with database.writing() as session:
        assert transitions.mark_claimed(session, message.cohort_id, "wrk_a", LEASE, "tensorflow") is None
        assert client_requests.request_cancel(session, claim.experiment_id) == 0


def test_flagged_trial_is_cancelled_instead_of_requeued(database: Database) -> None:
    claim, [first, _] = claim_one(database)
    with database.writing() as session:
        client_requests.request_cancel(session, claim.experiment_id, first)
    with database.writing() as session:
        transitions.mark_released(session, claim)
    assert states(database, claim) == ["cancelled", "queued"]


def test_terminal_rows_do_not_change(database: Database) -> None:
    claim, trial_ids = claim_one(database)
    with database.writing() as session:
        transitions.mark_completed(session, claim, trial_ids[0], StopReason.EARLY_STOPPING)
    with database.writing() as session:
        transitions.mark_failed(session, claim, {"kind": "usage", "message": "no"})
    assert states(database, claim) == ["completed", "failed"]
    with database.writing() as session:
        assert client_requests.request_cancel(session, claim.experiment_id) == 0
    with database.reading() as session:
        trial = experiments.get_trial(session, trial_ids[0])
    assert (trial.stop_reason, trial.fault, trial.cancel_requested_at) == ("early_stopping", None, None)


def test_cancel_racing_with_the_claim_leaves_no_trial_behind(database: Database) -> None:
    for _ in range(8):
        experiment_id, [message] = store_experiment(database, **SWEEP)
        barrier = threading.Barrier(2)

        def claim(cohort_id: str = message.cohort_id, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            with database.writing() as session:
                transitions.mark_claimed(session, cohort_id, "wrk_a", LEASE, "tensorflow")

        thread = threading.Thread(target=claim)
        thread.start()
        barrier.wait()
        with database.writing() as session:
            client_requests.request_cancel(session, experiment_id)
        thread.join()
        with database.reading() as session:
            trials = experiments.list_trials(session, experiment_id)
        # Either cancelled at once, or running and asked to stop.
        assert Counter(trial.state for trial in trials) in (Counter(cancelled=2), Counter(running=2))
        assert all(trial.cancel_requested_at is not None for trial in trials)


def test_the_clock_is_the_databases(database: Database) -> None:
    with database.reading() as session:
        first = session.scalars(select(clock())).one()
        time.sleep(0.02)
        second = session.scalars(select(clock())).one()
        later = session.scalars(select(clock(3600.0))).one()
    assert first.tzinfo is not None
    assert first < second < later
    assert 3599 < (later - second).total_seconds() < 3601


def test_a_state_is_only_ever_written_by_the_law(database: Database) -> None:
    _, trial_ids = claim_one(database)
    with database.reading() as session:
        trial = session.scalars(select(TrialTable).where(TrialTable.id == trial_ids[0])).one()
    assert TrialState(trial.state) is TrialState.RUNNING


TWO_NETWORKS = {
    "model": None,
    "models": {"small": layers(DENSE_2), "wide": layers({"type": "dense", "units": 50}, DENSE_2)},
}


def queues(database: Database, experiment_id: str) -> set[str]:
    with database.reading() as session:
        return {cohort.queue for cohort in experiments.list_cohorts(session, experiment_id)}


def test_the_first_claim_decides_the_backend_of_the_whole_experiment(database: Database) -> None:
    experiment_id, [first, second] = store_experiment(database, **TWO_NETWORKS)
    assert queues(database, experiment_id) == {"any"}
    with database.writing() as session:
        claim = transitions.mark_claimed(session, first.cohort_id, "wrk_jax", LEASE, "jax")
    assert claim is not None
    assert queues(database, experiment_id) == {"any.jax"}
    with database.writing() as session:
        assert transitions.mark_claimed(session, second.cohort_id, "wrk_tf", LEASE, "tensorflow") is None
        assert find_next_cohorts(session, ["any", "any.tensorflow"]) == []
        assert find_next_cohorts(session, ["any", "any.jax"]) == [second.cohort_id], "the first is held"
        transitions.mark_released(session, claim)
    with database.writing() as session:
        assert transitions.mark_claimed(session, first.cohort_id, "wrk_tf", LEASE, "tensorflow") is None
        assert transitions.mark_claimed(session, first.cohort_id, "wrk_jax_2", LEASE, "jax") is not None
        assert transitions.mark_claimed(session, second.cohort_id, "wrk_jax", LEASE, "jax") is not None


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_spec_decides_the_backend_itself(backend: str, database: Database) -> None:
    experiment_id, [message] = store_experiment(database, backend=backend, device="cpu")
    assert message.queue == f"cpu.{backend}"
    other = {"tensorflow": "jax", "jax": "tensorflow"}[backend]
    with database.writing() as session:
        assert transitions.mark_claimed(session, message.cohort_id, "wrk_a", LEASE, other) is None
        assert transitions.mark_claimed(session, message.cohort_id, "wrk_b", LEASE, backend) is not None
    assert queues(database, experiment_id) == {f"cpu.{backend}"}
