"""Ranking of candidates, and paired comparison of the leader with each other candidate.

Importing SciPy takes half a second, so this module is imported on the first comparison.

Intervals are Student's: a percentile or BCa bootstrap of three to twenty seeds covers the true mean in 70 to 92 % of
cases instead of 95 %; `tests/app/comparison/test_ranking.py` simulates the coverage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.comparison.candidates import candidate_label, candidates_of
from app.comparison.sentences import pair_sentence, verdict
from app.comparison.significance import CONFIDENCE, Estimate, Values, estimate, pairs_needed
from fittingroom.views.comparison import AgainstLeaderView, CandidateView, IntervalView, SeedValueView
from fittingroom.views.resources import ObjectiveView, TrialSummaryView
from fittingroom.views.states import TrialState
from models.lifecycle import TERMINAL

_NOT_COMPARED = frozenset({TrialState.FAILED, TrialState.CANCELLED, TrialState.PRUNED})
"""States of trials that were cut off: what they have reached is not what they would have."""


@dataclass(frozen=True)
class Comparison:
    """Result of a comparison."""

    sentence: str
    candidates: Sequence[CandidateView]


def compare(objective: ObjectiveView, trials: Sequence[TrialSummaryView], chosen_among: int = 0) -> Comparison:
    """Rank the candidates by the objective at each trial's best epoch, and say what the seeds show.

    Args:
        objective: what is compared.
        trials: all trials of an experiment, whatever their state; those without a finite value only count.
        chosen_among: number of candidates among which these were chosen before by the same seeds; 0 if they were not.
    """
    groups = candidates_of(trials)
    fresh = [[trial for trial in group if trial.is_confirming] for group in groups]
    further = [_values(objective, some) for some in fresh]
    # Until all have ended, who leads would depend on whose trials come first.
    is_over = all(trial.state in TERMINAL for some in fresh for trial in some) and any(further)
    values = [
        found if some and is_over else _values(objective, [trial for trial in group if not trial.is_confirming])
        for group, some, found in zip(groups, fresh, further, strict=True)
    ]
    folds = max((trial.fold or 1 for trial in trials), default=1)
    intervals = estimate([_by_fold(found) for found in values], folds)
    candidates = [
        _candidate(objective, group, reached, _interval(spread)).model_copy(
            update={"is_confirmed": bool(some) and is_over, "confirming_trials": len(some)}
        )
        for group, some, reached, spread in zip(groups, fresh, values, intervals, strict=True)
    ]
    sign = 1 if objective.direction == "minimize" else -1
    order = sorted(range(len(groups)), key=lambda number: _standing(candidates[number], groups[number], sign, folds))
    ranked = [candidates[number].model_copy(update={"rank": rank}) for rank, number in enumerate(order, start=1)]
    compared = [one for one in ranked if one.values and (one.is_confirmed or not is_over)]  # these come first
    among = sum(one.is_confirmed for one in ranked) if is_over else max(len(compared), chosen_among)
    for place, versus in enumerate(_against_leader(objective, compared, among, folds), start=1):
        ranked[place] = ranked[place].model_copy(update={"against_leader": versus})
    return Comparison(verdict(objective, ranked, folds), ranked)


def _standing(
    candidate: CandidateView, trials: Sequence[TrialSummaryView], sign: int, folds: int
) -> tuple[bool, bool, float, int]:
    """Return the key by which candidates are ranked: their mean, or without one the epochs up to the last rung.

    Folds are not equally hard, so a mean over some of them stands behind those over all.
    """
    if candidate.mean is not None:
        lacks_folds = folds > 1 and len({found.fold for found in candidate.values}) < folds
        return not candidate.is_confirmed, lacks_folds, sign * candidate.mean, 0
    return True, True, math.inf, -max(trial.epochs_completed for trial in trials) if candidate.pruned else 0


def _values(objective: ObjectiveView, trials: Sequence[TrialSummaryView]) -> list[SeedValueView]:
    found = []
    for trial in trials:
        best = trial.best_epoch
        if best is None or trial.state in _NOT_COMPARED:
            continue
        value = float(best.metrics[objective.metric])
        if math.isfinite(value):
            repeat = {"seed": trial.seed, "fold": trial.fold}
            found.append(SeedValueView(trial_id=trial.id, **repeat, epoch=best.epoch, value=value))
    return found


def _by_fold(values: Sequence[SeedValueView]) -> Values:
    """Return the values, or with folds the mean over seeds of each fold."""
    return _means_of_folds([(found.fold, found.value) for found in values])


def _means_of_folds(values: Sequence[tuple[int | None, float]]) -> Values:
    folds: dict[int | None, list[float]] = {}
    for fold, value in values:
        folds.setdefault(fold, []).append(value)
    found = folds[None] if set(folds) == {None} else [math.fsum(some) / len(some) for some in folds.values()]
    return np.array(found, np.float64)


def _interval(found: Estimate | None) -> IntervalView | None:
    return None if found is None else IntervalView(low=found.low, high=found.high, confidence=CONFIDENCE)


def _candidate(
    objective: ObjectiveView, trials: Sequence[TrialSummaryView], values: Sequence[SeedValueView],
    interval: IntervalView | None,
) -> CandidateView:  # fmt: skip
    first, numbers = trials[0], np.array([found.value for found in values], np.float64)
    compared = {found.trial_id for found in values}
    gaps = [gap for trial in trials if trial.id in compared and (gap := _gap(objective, trial)) is not None]
    return CandidateView(
        rank=1,
        label=candidate_label(first),
        model=first.model,
        hyperparameters=first.hyperparameters,
        parameter_count=first.parameter_count,
        trials=len(trials),
        unended=sum(trial.state not in TERMINAL for trial in trials),
        pruned=sum(trial.state == TrialState.PRUNED for trial in trials),
        values=list(values),
        mean=float(_by_fold(values).mean()) if values else None,
        standard_deviation=float(numbers.std(ddof=1)) if len(values) > 1 else None,
        interval=interval,
        generalization_gap=float(np.mean(gaps)) if gaps and np.isfinite(gaps).all() else None,
        epochs_to_best=float(np.mean([found.epoch for found in values])) if values else None,
        training_seconds=float(np.mean([trial.training_seconds for trial in trials])),
        against_leader=None,
    )


def _gap(objective: ObjectiveView, trial: TrialSummaryView) -> float | None:
    """Return the generalization gap at the best epoch: positive if validation is worse than training."""
    base = objective.metric.removeprefix("val_")
    metrics = {} if trial.best_epoch is None else trial.best_epoch.metrics
    if base not in metrics or f"val_{base}" not in metrics:
        return None
    gap = float(metrics[f"val_{base}"]) - float(metrics[base])
    return gap if objective.direction == "minimize" else -gap


def _against_leader(
    objective: ObjectiveView, ranked: Sequence[CandidateView], among: int, folds: int
) -> list[AgainstLeaderView]:
    """Return the comparison of the leader, chosen among so many, with each of the others, all of which have values."""
    if len(ranked) < 2:
        return []
    leader, *others = ranked
    # The leader was chosen by looking, so it is as if all were compared with all (Bonferroni).
    alpha = (1 - CONFIDENCE) / math.comb(among, 2)
    paired = [_advantages(objective, leader, other) for other in others]
    advantages = [_means_of_folds(pairs) if pairs else np.array([]) for pairs in paired]
    needed = pairs_needed(advantages, alpha) if folds == 1 else [None] * len(others)
    views = []
    for other, pairs, mine, found, seeds in zip(
        others, paired, advantages, estimate(advantages, folds), needed, strict=True
    ):
        is_over = leader.unended == other.unended == 0
        # The leader is so by its mean: over what both have it may be behind.
        is_significant = found is not None and is_over and found.p_value < alpha and float(mine.mean()) > 0
        view = AgainstLeaderView(
            pairs=len(pairs),
            wins=sum(value > 0 for _, value in pairs),
            ties=sum(value == 0 for _, value in pairs),
            advantage=float(mine.mean()) if len(mine) else None,
            interval=_interval(found),
            probability=None if found is None else found.probability,
            is_significant=is_significant,
            seeds_needed=None if is_significant else seeds,
            sentence="",
        )
        views.append(view.model_copy(update={"sentence": pair_sentence(objective, leader, other, view, among)}))
    return views


def _advantages(
    objective: ObjectiveView, leader: CandidateView, other: CandidateView
) -> list[tuple[int | None, float]]:
    """Return the leader's advantage for each seed and fold that both have, with the fold."""
    theirs = {(found.seed, found.fold): found.value for found in other.values}
    sign = -1 if objective.direction == "minimize" else 1
    return [
        (found.fold, sign * (found.value - theirs[found.seed, found.fold]))
        for found in leader.values
        if (found.seed, found.fold) in theirs
    ]
