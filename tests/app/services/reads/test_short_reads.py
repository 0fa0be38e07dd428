"""Reads without a thread: the bytes that the others give."""

import random

import pytest

from app.services.reads import histories
from app.services.reads.histories import (
    find_history,
    get_short_changes,
    get_short_history,
    get_trial_history,
    json_pieces,
)
from fittingroom.views.states import StopReason
from models.sql import transitions
from models.sql.database import Database
from models.sql.epochs import EpochRecord, mark_epochs
from tests.claims import LEASE, claim_one, version

PROJECT = "default"


def test_short_reads_are_encoded_as_the_long_ones(database: Database) -> None:
    claim, trials = claim_one(database, seeds=list(range(5)))
    quick, drawn = database.quick, random.Random(1)  # noqa: S311 - no secret
    done = dict.fromkeys(trials, 0)
    assert quick is not None
    for _ in range(6):
        for trial in drawn.sample(trials, 2):
            done[trial] += 1
            record = EpochRecord(trial, done[trial], 0.1, {"loss": drawn.random(), "accuracy": "NaN"})
            with database.writing() as session:
                mark_epochs(session, claim, [record], {}, LEASE)
        for after in range(version(database, claim) + 2):
            long = b"".join(json_pieces(find_history(database, PROJECT, claim.experiment_id, after)))
            short = get_short_changes(quick, PROJECT, claim.experiment_id, after)
            assert short is not None
            assert short.model_dump_json().encode() == long
        for trial in trials:
            for after in range(4):
                long_trial = get_trial_history(database, PROJECT, trial, after)
                assert get_short_history(quick, PROJECT, trial, after) == long_trial
    with database.writing() as session:
        for trial in trials:
            transitions.mark_completed(session, claim, trial, StopReason.EPOCHS)
    changes = get_short_changes(quick, PROJECT, claim.experiment_id, 0)
    assert changes is not None
    assert changes.state == "completed"


@pytest.mark.parametrize("most", [2, 3])
def test_long_reads_are_left_to_a_thread(database: Database, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(histories, "MAX_EPOCHS_AT_ONCE", most)
    claim, [trial, _] = claim_one(database)
    with database.writing() as session:
        mark_epochs(session, claim, [EpochRecord(trial, epoch, 0.1, {"loss": 0.5}) for epoch in (1, 2, 3)], {}, LEASE)
    quick = database.quick
    assert quick is not None
    assert (get_short_history(quick, PROJECT, trial, 0) is None) == (most < 3)
    assert (get_short_changes(quick, PROJECT, claim.experiment_id, 0) is None) == (most < 3)
    assert get_short_history(quick, PROJECT, trial, 1) is not None


def test_changes_among_many_trials_are_left_to_a_thread(database: Database) -> None:
    """However few they are: SQLite passes over the specification of each trial."""
    quick = database.quick
    assert quick is not None
    for count in (histories.MAX_TRIALS_AT_ONCE, histories.MAX_TRIALS_AT_ONCE + 1):
        claim, _ = claim_one(database, seeds=list(range(count)))
        found = get_short_changes(quick, PROJECT, claim.experiment_id, 10**6)
        assert (found is None) == (count > histories.MAX_TRIALS_AT_ONCE)


def test_other_projects_find_nothing(database: Database) -> None:
    claim, [trial, _] = claim_one(database)
    quick = database.quick
    assert quick is not None
    assert get_short_history(quick, "other", trial, 0) is None
    assert get_short_changes(quick, "other", claim.experiment_id, 0) is None
