"""The time that a storage takes counts for no epoch, and one that never comes back is waited for once."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pytest

from tests.serving import Clock
from tests.workers.engines.trials import cohort_of, trial_spec
from workers.engines.base import Weights
from workers.reporting import reporter as module
from workers.reporting.reporter import Reporter

WEIGHTS = {"t1": [np.zeros(3, np.float32)]}


class SlowStorage:
    """Takes a hundred seconds for each attempt to save, and refuses the first ones."""

    def __init__(self, clock: Clock, refusals: int) -> None:
        self._clock, self.left, self.attempts = clock, refusals, 0

    def save(self, epoch: int, weights: Mapping[str, Weights]) -> str:
        del weights
        self.attempts += 1
        self._clock.advance(100.0)
        if self.left:
            self.left -= 1
            raise OSError("the storage is away")
        return f"{epoch}.npz"


def reporter_with(storage: SlowStorage, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Reporter:
    monkeypatch.setattr(module, "time", clock)
    nothing: Any = None
    cohort = cohort_of([trial_spec()])
    return Reporter(cohort, ("fused", "a test"), nothing, nothing, cast(Any, storage), checkpoint_seconds=60.0)


def test_time_that_saving_takes_is_none_of_an_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    reporter = reporter_with(SlowStorage(clock, refusals=0), clock, monkeypatch)
    assert reporter._save_weights(WEIGHTS) == ("0.npz", None)  # noqa: SLF001 - what the watchdog sees is tested
    assert reporter.silent_seconds < 50
    assert not reporter.is_saving


def test_storage_that_stays_away_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ARTIFACT_PATIENCE_SECONDS", 0.5)
    clock = Clock()
    storage = SlowStorage(clock, refusals=1_000)
    reporter = reporter_with(storage, clock, monkeypatch)
    _, fault = reporter._save_weights(WEIGHTS)  # noqa: SLF001 - what the watchdog sees is tested
    assert fault is not None
    assert "the storage is away" in fault
    assert storage.attempts > 1
    before = storage.attempts
    reporter._save_weights(WEIGHTS)  # noqa: SLF001
    assert storage.attempts == before + 1
