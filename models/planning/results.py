"""Results of a search so far, from which its next round is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.planning.paths import Value


@dataclass(frozen=True)
class TrialResult:
    """A trial of an earlier round, or of an earlier experiment."""

    round: int
    """Round that drew it, from 1; 0 for a trial of an earlier experiment."""
    model_name: str | None
    hyperparameters: Mapping[str, Value]
    is_trained: bool
    """True if it was trained to its end, pruned, or diverged. A failed or cancelled trial says nothing."""
    is_pruned: bool
    epochs: int
    """Number of epochs completed."""
    value: float | None
    """Best value of the objective; None if no epoch had a finite one."""

    @property
    def is_prior(self) -> bool:
        """True for a trial of an earlier experiment."""
        return self.round == 0


@dataclass(frozen=True)
class SearchResults:
    """Results of all rounds so far."""

    trials: Sequence[TrialResult]
    """Trials in the order of their numbers."""
    cohorts: int
    """Number of cohorts so far."""
    undrawn_trials: int
    """Number of trials that are still to be drawn."""
    prior: Sequence[TrialResult] = ()
    """Results of earlier experiments, with which the search began."""

    @property
    def round(self) -> int:
        """Number of the last round, from 1."""
        return max((trial.round for trial in self.trials), default=0)
