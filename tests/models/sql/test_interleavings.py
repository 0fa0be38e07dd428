"""State transitions under any interleaving of workers, clients and reapers."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from fittingroom.views.states import StopReason, TrialPhase, TrialState
from models.errors import ExperimentEndedError
from models.lifecycle import TERMINAL, TRANSITIONS
from models.sql import client_requests, transitions
from models.sql.database import Database, clock
from models.sql.epochs import EpochRecord, mark_epochs
from models.sql.leases import Claim
from models.sql.tables import CohortTable, EpochTable, ExperimentTable, TrialTable
from tests.factories import store

pytestmark = pytest.mark.stores

SWEEP = {"optimizer": {"name": "sgd", "learning_rate": {"choice": [0.1, 0.01]}}}
MAX_FAULTS = 3
Work = Callable[[Session], Any]


def reachable() -> dict[TrialState, set[TrialState]]:
    """Return the states reachable from each in any number of transitions."""
    found = {state: {state} for state in TrialState}
    for _ in TrialState:
        for state, targets in found.items():
            found[state] = targets | {further for target in targets for further in TRANSITIONS[target]}
    return found


REACHABLE = reachable()


class Service(RuleBasedStateMachine):
    """One cohort of two trials, and everybody who wants something of it."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.claims: list[Claim] = []
        self.before: dict[str, Any] | None = None
        self.is_alone = True
        """True if no other change can come between a look and a change."""

    @initialize()
    def begin(self) -> None:
        self.experiment_id, [message] = store(self.database, **SWEEP)
        self.cohort_id = message.cohort_id
        with self.database.reading() as session:
            trials = select(TrialTable.id).where(TrialTable.cohort_id == self.cohort_id).order_by(TrialTable.number)
            self.trial_ids = list(session.scalars(trials))

    # What can be done, each as work of one transaction.

    def claim(self, draw: Callable[[Any], Any]) -> Work:
        owner = draw(st.sampled_from(["wrk_a", "wrk_b", "wrk_c"]))

        def work(session: Session) -> None:
            held = session.scalar(select(CohortTable.lease_owner).where(CohortTable.id == self.cohort_id))
            claim = transitions.mark_claimed(session, self.cohort_id, owner, 60, "tensorflow")
            assert claim is None or held in (None, owner) or not self.is_alone
            if claim is not None:
                self.claims.append(claim)

        return work

    def write_epochs(self, draw: Callable[[Any], Any]) -> Work:
        claim, trial_id, count = self.any_claim(draw), draw(st.sampled_from(self.trial_ids)), draw(st.integers(1, 3))

        def work(session: Session) -> None:
            row = session.get(TrialTable, trial_id)
            assert row is not None
            if row.state == TrialState.RUNNING:
                # Some that are there already, as after a checkpoint, and some that are new.
                first = max(1, row.epochs_completed)
                records = [EpochRecord(trial_id, e, 0.1, {"loss": e / 8}) for e in range(first, first + count)]
                current = self.is_current(session, claim)
                assert mark_epochs(session, claim, records, {}, 60) == current or not self.is_alone

        return work

    def enter_phase(self, draw: Callable[[Any], Any]) -> Work:
        claim, phase = self.any_claim(draw), draw(st.sampled_from(TrialPhase))

        def work(session: Session) -> None:
            current = self.is_current(session, claim)
            assert transitions.mark_phase(session, claim, phase) == current or not self.is_alone

        return work

    def describe_program(self, draw: Callable[[Any], Any]) -> Work:
        claim = self.any_claim(draw)
        return lambda session: transitions.mark_program(session, claim, "fused", "a reason", {})

    def complete(self, draw: Callable[[Any], Any]) -> Work:
        claim, trial_id = self.any_claim(draw), draw(st.sampled_from(self.trial_ids))

        def work(session: Session) -> None:
            current = self.is_current(session, claim)
            won = transitions.mark_completed(session, claim, trial_id, StopReason.EPOCHS)
            assert won == current or not self.is_alone

        return work

    def release(self, draw: Callable[[Any], Any]) -> Work:
        claim = self.any_claim(draw)

        def work(session: Session) -> None:
            current = self.is_current(session, claim)
            assert transitions.mark_released(session, claim) == current or not self.is_alone

        return work

    def fault(self, draw: Callable[[Any], Any]) -> Work:
        claim = self.any_claim(draw)
        return lambda session: transitions.record_worker_fault(session, claim, MAX_FAULTS, "a fault")

    def fail(self, draw: Callable[[Any], Any]) -> Work:
        claim = self.any_claim(draw)
        return lambda session: transitions.mark_failed(session, claim, {"kind": "usage", "message": "no"})

    def stop(self, draw: Callable[[Any], Any]) -> Work:
        """Act as a worker at the end of an epoch."""
        claim = self.any_claim(draw)

        def work(session: Session) -> None:
            if self.is_current(session, claim):
                transitions.mark_cancelled(session, claim, sorted(transitions.list_cancel_requests(session, claim)))

        return work

    def cancel(self, draw: Callable[[Any], Any]) -> Work:
        which = draw(st.sampled_from([None, *self.trial_ids]))
        return lambda session: client_requests.request_cancel(session, self.experiment_id, which)

    def pause(self, draw: Callable[[Any], Any]) -> Work:
        del draw

        def work(session: Session) -> None:
            try:
                client_requests.request_pause(session, self.experiment_id)
            except ExperimentEndedError:
                assert self.states(session) <= TERMINAL or not self.is_alone

        return work

    def resume(self, draw: Callable[[Any], Any]) -> Work:
        del draw
        return lambda session: client_requests.request_resume(session, self.experiment_id)

    def expire(self, draw: Callable[[Any], Any]) -> Work:
        del draw
        leased = (CohortTable.id == self.cohort_id, CohortTable.lease_owner.is_not(None))
        return lambda session: session.execute(update(CohortTable).where(*leased).values(lease_expires_at=clock(-1.0)))

    def reap(self, draw: Callable[[Any], Any]) -> Work:
        del draw
        return lambda session: transitions.mark_leases_lost(session, MAX_FAULTS)

    OPERATIONS = (
        "claim", "claim", "enter_phase", "describe_program", "write_epochs", "write_epochs", "complete", "release",
        "fault", "fail", "stop", "cancel", "pause", "resume", "expire", "reap",
    )  # fmt: skip

    @rule(data=st.data(), name=st.sampled_from(OPERATIONS))
    def one(self, data: Any, name: str) -> None:
        self.is_alone = True
        self.run(getattr(self, name)(data.draw))

    @rule(data=st.data(), names=st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(OPERATIONS)))
    def two_at_once(self, data: Any, names: tuple[str, str]) -> None:
        self.is_alone = False
        works = [getattr(self, name)(data.draw) for name in names]
        barrier, errors = threading.Barrier(2), []

        def run(work: Work) -> None:
            barrier.wait()
            try:
                self.run(work)
            except BaseException as error:  # noqa: BLE001 - raised below
                errors.append(error)

        threads = [threading.Thread(target=run, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []

    @invariant()
    def the_law_holds(self) -> None:
        with self.database.reading() as session:
            now = self.snapshot(session)
        before, self.before = self.before, now
        states = [TrialState(trial["state"]) for trial in now["trials"]]
        ended = all(state in TERMINAL for state in states)
        assert (now["cohort"]["finished_at"] is not None) == ended
        assert (now["cohort"]["lease_owner"] is not None) == (TrialState.RUNNING in states)
        for trial in now["trials"]:
            epochs = [epoch for trial_id, epoch in now["epochs"] if trial_id == trial["id"]]
            assert epochs == list(range(1, trial["epochs_completed"] + 1))
            assert (trial["finished_at"] is not None) == (trial["state"] in TERMINAL)
            assert (trial["phase"] is not None) == (trial["state"] == TrialState.RUNNING)
        if before is None:
            return
        for old, new in zip(before["trials"], now["trials"], strict=True):
            assert TrialState(new["state"]) in REACHABLE[TrialState(old["state"])]
            if old["state"] in TERMINAL:
                assert new | {"version": old["version"]} == old  # another program of its cohort is a change
        assert now["version"] >= before["version"]
        if (now["trials"], now["epochs"], now["paused_at"]) != (
            before["trials"],
            before["epochs"],
            before["paused_at"],
        ):
            assert now["version"] > before["version"]

    def run(self, work: Work) -> None:
        with self.database.writing() as session:
            work(session)

    def any_claim(self, draw: Callable[[Any], Any]) -> Claim:
        """Return a claim that was given at some time, or one that never was."""
        never = Claim(self.cohort_id, self.experiment_id, "wrk_never", 1)
        # How many there are depends on who won a race: what is drawn must not.
        return [*self.claims[:-4:-1], never, never, never, never][draw(st.integers(0, 3))]

    def is_current(self, session: Session, claim: Claim) -> bool:
        row = session.execute(
            select(CohortTable.lease_owner, CohortTable.attempt, CohortTable.finished_at).where(
                CohortTable.id == self.cohort_id
            )
        ).one()
        return tuple(row) == (claim.owner, claim.attempt, None)

    def states(self, session: Session) -> set[TrialState]:
        rows = session.scalars(select(TrialTable.state).where(TrialTable.cohort_id == self.cohort_id))
        return {TrialState(state) for state in rows}

    def snapshot(self, session: Session) -> dict[str, Any]:
        def plain(row: Any) -> dict[str, Any]:
            return {column.key: getattr(row, column.key) for column in row.__table__.columns}

        experiment = session.get_one(ExperimentTable, self.experiment_id)
        trials = session.scalars(
            select(TrialTable).where(TrialTable.cohort_id == self.cohort_id).order_by(TrialTable.number)
        )
        epochs = session.execute(
            select(EpochTable.trial_id, EpochTable.epoch)
            .where(EpochTable.experiment_id == self.experiment_id)
            .order_by(EpochTable.trial_id, EpochTable.epoch)
        )
        return {
            "version": experiment.version,
            "paused_at": experiment.paused_at,
            "cohort": plain(session.get_one(CohortTable, self.cohort_id)),
            "trials": [plain(trial) for trial in trials],
            "epochs": [tuple(row) for row in epochs],
        }


def test_the_law_holds_whatever_happens_and_whatever_happens_at_once(database: Database) -> None:
    run_state_machine_as_test(
        lambda: Service(database), settings=hypothesis_settings(max_examples=40, stateful_step_count=25, deadline=None)
    )
