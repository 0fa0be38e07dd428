"""Fair choice of the next cohort: projects take turns, and within one the oldest cohort comes first."""

import time
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.event import listen, remove

from models.planning.plan import plan_experiment
from models.sql import client_requests, transitions
from models.sql.database import Database, clock
from models.sql.leases import Claim
from models.sql.plans.submissions import Accepted, Submission, add_experiments
from models.sql.tables import CohortTable, ExperimentTable
from models.sql.turns import find_next_cohorts, list_waiting
from tests.factories import spec

pytestmark = pytest.mark.stores

QUEUES = ["any", "any.tensorflow"]


def store(database: Database, project: str, count: int = 1, **changes: object) -> list[str]:
    """Store experiments of one cohort each; return the cohorts' ids."""
    validated = spec(**changes)
    plan = plan_experiment(validated)
    found = []
    for _ in range(count):
        with database.writing() as session:
            [stored] = add_experiments(session, [Submission(project, validated, plan)])
            assert isinstance(stored, Accepted)
            found += [cohort.cohort_id for cohort in stored.cohorts]
    return found


def project_of(database: Database, cohort_id: str) -> str:
    with database.reading() as session:
        query = select(ExperimentTable.project).join(CohortTable, CohortTable.experiment_id == ExperimentTable.id)
        return session.scalars(query.where(CohortTable.id == cohort_id)).one()


def claim_next(database: Database, owner: str = "wrk_1") -> Claim | None:
    with database.reading() as session:
        offered = find_next_cohorts(session, QUEUES)
    for cohort_id in offered:
        with database.writing() as session:
            claim = transitions.mark_claimed(session, cohort_id, owner, 60, "tensorflow")
        if claim is not None:
            return claim
    return None


def end(database: Database, claim: Claim) -> None:
    with database.writing() as session:
        transitions.mark_failed(session, claim, {"kind": "usage", "message": "it has ended"})


def test_projects_take_turns_despite_a_long_queue(database: Database) -> None:
    store(database, "bulk", 30)
    store(database, "small", 3)
    store(database, "late", 2)
    served = []
    while (claim := claim_next(database)) is not None:
        served.append(project_of(database, claim.cohort_id))
        end(database, claim)
    assert len(served) == 35
    assert sorted(served[:3]) == ["bulk", "late", "small"]
    assert [served.index("small"), served.index("late")] < [3, 3]
    last = {project: len(served) - served[::-1].index(project) for project in ("small", "late")}
    assert last["late"] <= 6
    assert last["small"] <= 9


def test_project_with_fewest_cohorts_in_training_comes_first(database: Database) -> None:
    store(database, "long", 5)
    held = [claim_next(database, f"wrk_{number}") for number in range(3)]
    assert all(claim is not None for claim in held)
    store(database, "other", 5)
    owners = [claim_next(database, f"wrk_{number}") for number in range(3, 6)]
    assert [project_of(database, claim.cohort_id) for claim in owners if claim] == ["other"] * 3


def test_oldest_cohort_of_a_project_comes_first(database: Database) -> None:
    ids = store(database, "one", 3)
    with database.reading() as session:
        assert find_next_cohorts(session, QUEUES) == ids


def test_cohort_without_a_possible_claim_is_not_offered(database: Database) -> None:
    [held, paused, gpu, free] = [store(database, "one")[0] for _ in range(4)]
    with database.writing() as session:
        assert transitions.mark_claimed(session, held, "wrk_1", 60, "tensorflow") is not None
        experiment_id = session.get_one(CohortTable, paused).experiment_id
        client_requests.request_pause(session, experiment_id)
        session.execute(update(CohortTable).where(CohortTable.id == gpu).values(queue="gpu"))
    with database.reading() as session:
        assert find_next_cohorts(session, QUEUES) == [free]
        assert [cohort.cohort_id for cohort in list_waiting(session, ["gpu", *QUEUES], 9)] == [gpu, free]
        assert [cohort.cohort_id for cohort in list_waiting(session, ["gpu", *QUEUES], 1)] == [gpu]
        assert find_next_cohorts(session, ["cpu"]) == []


def test_next_cohort_is_found_soon_among_many(database: Database) -> None:
    """A worker asks before each cohort: with a batch of thousands waiting, too."""
    validated = spec()
    plan = plan_experiment(validated)
    with database.writing() as session:
        for _ in range(20):
            add_experiments(session, [Submission("bulk", validated, plan)] * 100)
    store(database, "small")
    started = time.monotonic()
    with database.reading() as session:
        offered = find_next_cohorts(session, QUEUES)
    assert time.monotonic() - started < 5
    assert {project_of(database, cohort_id) for cohort_id in offered} == {"bulk", "small"}


def test_paused_projects_are_passed_over(database: Database) -> None:
    """The choice between projects does not look at experiments; those of which all is paused are passed over."""
    for number in range(5):
        store(database, f"paused_{number}")
    with database.writing() as session:
        session.execute(update(ExperimentTable).values(paused_at=clock()))
    [waiting] = store(database, "small")
    with database.reading() as session:
        assert find_next_cohorts(session, QUEUES) == [waiting]


def test_choice_reads_one_index_and_sorts_nothing(database: Database) -> None:
    """A project may have tens of thousands of cohorts waiting, and each claim asks anew."""
    statements: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:
        statements.append(arguments[2:4])

    store(database, "one")
    store(database, "two")
    listen(database.engine, "before_cursor_execute", note)
    with database.reading() as session:
        find_next_cohorts(session, QUEUES)
    remove(database.engine, "before_cursor_execute", note)
    chosen = [(sql, values) for sql, values in statements if "cohorts.queue IN" in sql]
    assert len(chosen) == 3, "the projects, and the oldest cohorts of each"
    explain = "EXPLAIN QUERY PLAN"
    with database.engine.connect() as connection:
        if database.engine.dialect.name == "postgresql":
            explain = "EXPLAIN"
            # It would read so small a table whole.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        for sql, values in chosen:
            plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {sql}", values))
            assert "ix_cohorts_waiting" in plan, plan
            assert "ix_cohorts_finished_at" not in plan, plan
            assert "TEMP B-TREE" not in plan, plan
            assert "Sort" not in plan, plan
