"""Retention removes ended experiments completely, and orphaned files are found."""

from pathlib import Path

import pytest
from sqlalchemy import select, update

from fittingroom.views.states import StopReason, TrialState
from models.errors import ExperimentEndedError, NotFoundError
from models.maintenance.diagnosis import examine
from models.maintenance.retention import list_deletions, tidy
from models.settings import Settings
from models.sql import client_requests, transitions, worker_registry
from models.sql.database import Database, clock
from models.sql.tables import Base, CohortTable, DeletionTable, TrialTable, WorkerTable
from models.storage import Storage
from tests.claims import LEASE, claim_one, record, states

pytestmark = pytest.mark.stores


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "storage"))


def rows(database: Database) -> dict[str, int]:
    with database.reading() as session:
        return {table.name: len(session.execute(select(table)).all()) for table in Base.metadata.sorted_tables}


def test_a_deleted_experiment_leaves_nothing_and_its_worker_writes_nothing(database: Database) -> None:
    claim, [trial_id, _] = claim_one(database)
    record(database, claim, trial_id, 1)
    with database.writing() as session:
        client_requests.delete_experiment(session, claim.experiment_id)
    assert not record(database, claim, trial_id, 2)
    with database.writing() as session:
        assert not transitions.mark_completed(session, claim, trial_id, StopReason.EPOCHS)
        assert not transitions.mark_released(session, claim)
        assert transitions.mark_claimed(session, claim.cohort_id, "wrk_b", LEASE, "tensorflow") is None
        with pytest.raises(NotFoundError):
            client_requests.request_cancel(session, claim.experiment_id)
        with pytest.raises(NotFoundError):
            client_requests.delete_experiment(session, claim.experiment_id)
    assert {name for name, count in rows(database).items() if count} == {"deletions", "project_turns"}


def test_tidy_removes_files_of_deleted_and_ended_experiments(
    database: Database, storage: Storage, settings: Settings
) -> None:
    (gone, _), (ended, ended_trials), (running, _) = (claim_one(database) for _ in range(3))
    for claim in (gone, ended, running):
        storage.write(f"{claim.experiment_id}/checkpoints/{claim.cohort_id}/000001-000001.npz", b"x")
    storage.write("exp_of_another_database/checkpoints/coh_1/a.npz", b"x")
    with database.writing() as session:
        client_requests.delete_experiment(session, gone.experiment_id)
        for trial_id in ended_trials:
            transitions.mark_completed(session, ended, trial_id, StopReason.EPOCHS)
    tidy(database, storage, settings)
    assert [name.split("/")[0] for name in storage.list_names()] == [running.experiment_id, "exp_of_another_database"]
    with database.writing() as session:
        assert list_deletions(session) == [gone.experiment_id]  # a worker may still finish a file of it
        session.execute(update(DeletionTable).values(deleted_at=clock(-1e6)))
    tidy(database, storage, settings)
    with database.reading() as session:
        assert list_deletions(session) == []


def test_retention_deletes_old_ended_experiments_alone(
    database: Database, storage: Storage, settings: Settings
) -> None:
    (old, old_trials), (fresh, fresh_trials), (running, _) = (claim_one(database) for _ in range(3))
    with database.writing() as session:
        for claim, trial_ids in ((old, old_trials), (fresh, fresh_trials)):
            for trial_id in trial_ids:
                transitions.mark_completed(session, claim, trial_id, StopReason.EPOCHS)
        session.execute(update(TrialTable).where(TrialTable.id.in_(old_trials)).values(finished_at=clock(-3 * 86_400)))
    tidy(database, storage, settings)
    assert rows(database)["experiments"] == 3
    tidy(database, storage, settings.model_copy(update={"retention_days": 2}))
    with database.reading() as session:
        assert list_deletions(session) == [old.experiment_id]
    assert states(database, fresh) == ["completed", "completed"]
    assert states(database, running) == ["running", "running"]


def test_workers_that_were_long_silent_are_forgotten(database: Database, storage: Storage, settings: Settings) -> None:
    with database.writing() as session:
        for worker_id in ("wrk_old", "wrk_new"):
            worker_registry.add_worker(session, worker_id, host="h", process_id=1, queues=[], devices=[], versions={})
        session.execute(update(WorkerTable).where(WorkerTable.id == "wrk_old").values(seen_at=clock(-8 * 86_400.0)))
    assert tidy(database, storage, settings) == ["1 workers were not heard of for a week"]
    with database.reading() as session:
        assert list(session.scalars(select(WorkerTable.id))) == ["wrk_new"]


def test_paused_experiment_is_claimed_only_after_resume(database: Database) -> None:
    claim, trial_ids = claim_one(database)
    with database.writing() as session:
        client_requests.request_pause(session, claim.experiment_id)
        assert client_requests.is_paused(session, claim.experiment_id)
        transitions.mark_released(session, claim)
    with database.writing() as session:
        assert transitions.mark_claimed(session, claim.cohort_id, "wrk_b", LEASE, "tensorflow") is None
        assert [message.cohort_id for message in client_requests.request_resume(session, claim.experiment_id)] == [
            claim.cohort_id
        ]
        assert client_requests.request_resume(session, claim.experiment_id) == []
        again = transitions.mark_claimed(session, claim.cohort_id, "wrk_b", LEASE, "tensorflow")
        assert again is not None
        for trial_id in trial_ids:
            transitions.mark_completed(session, again, trial_id, StopReason.EPOCHS)
        with pytest.raises(ExperimentEndedError):
            client_requests.request_pause(session, claim.experiment_id)


def test_doctor_finds_and_fixes(database: Database, storage: Storage, settings: Settings) -> None:
    assert examine(database, storage, settings) == []
    (stuck, _), (lost, lost_trials), (open_, open_trials) = (claim_one(database) for _ in range(3))
    record(database, lost, lost_trials[0], 1)
    storage.write("exp_unknown/checkpoints/coh_1/a.npz", b"x")
    with database.writing() as session:
        of = lambda claim: CohortTable.id == claim.cohort_id  # noqa: E731
        session.execute(update(CohortTable).where(of(stuck)).values(lease_owner=None, lease_expires_at=None))
        session.execute(update(CohortTable).where(of(lost)).values(lease_expires_at=clock(-5.0)))
        session.execute(update(TrialTable).where(TrialTable.id.in_(open_trials)).values(state=TrialState.COMPLETED))
        session.execute(update(TrialTable).where(TrialTable.id == open_trials[0]).values(epochs_completed=3))
    findings = examine(database, storage, settings)
    assert [finding.what.partition(":")[0] for finding in findings] == [
        "exp_unknown",
        "cohorts whose lease ran out, and no worker or API to put them back",
        open_.cohort_id,
        stuck.cohort_id,
        open_trials[0],
    ]
    for finding in findings:
        if finding.fix is not None:
            finding.fix()
    [left] = examine(database, storage, settings)
    assert "says 3 epochs, has 0" in left.what
    assert left.fix is None
    assert states(database, stuck) == states(database, lost) == ["queued", "queued"]
    assert storage.list_names() == []
