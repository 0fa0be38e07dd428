"""Results of a search so far, from which its next round is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from fittingroom.specs.choices import Direction
from models.planning.paths import Value

_Key = TypeVar("_Key")


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
    seed: int = 0
    fold: int | None = None
    is_confirming: bool = False
    """True of a further seed of a candidate that a search had chosen."""

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


def rank_candidates(candidates: Sequence[Sequence[TrialResult]], direction: Direction) -> list[int]:
    """Return the rank of each candidate, 0 for the best, equal for equals.

    Completed ones come first, by their mean value over seeds; then pruned ones, those of later rungs first; then those
    that diverged.
    """
    sign = 1 if direction == "minimize" else -1

    def quality(trials: Sequence[TrialResult]) -> tuple[int, int, float]:
        values = [trial.value for trial in trials if trial.value is not None]
        if len(values) < len(trials):
            return 2, 0, 0.0
        mean = sign * fmean(values)
        pruned = [trial.epochs for trial in trials if trial.is_pruned]
        return (1, -min(pruned), mean) if pruned else (0, 0, mean)

    qualities = [quality(trials) for trials in candidates]
    ranks = {found: rank for rank, found in enumerate(sorted(set(qualities)))}
    return [ranks[found] for found in qualities]


def best_candidates(candidates: Mapping[_Key, Sequence[TrialResult]], repeats: int, direction: Direction) -> list[_Key]:
    """Return the candidates that were trained to their end, the best first.

    Args:
        candidates: trained trials of each.
        repeats: number of trials that a whole candidate has, one for each seed and fold.
        direction: of the objective.
    """
    kept = {
        key: trials
        for key, trials in candidates.items()
        if all(trial.value is not None and not trial.is_pruned for trial in trials)
    }
    # The mean over some seeds or folds is not to be compared with that over all.
    kept = {key: trials for key, trials in kept.items() if len(trials) == repeats} or kept
    ranks = rank_candidates(list(kept.values()), direction)
    return [key for _, key in sorted(zip(ranks, kept, strict=True), key=lambda ranked: ranked[0])]
