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
from fittingroom.views.comparison import AgainstLeaderView, CandidateView, IntervalView, SeedValueView
from fittingroom.views.resources import ObjectiveView, TrialSummaryView
from fittingroom.views.states import TrialState
from models.lifecycle import TERMINAL
from models.planning.significance import (
    CONFIDENCE,
    Estimate,
    Repeat,
    Values,
    estimate,
    is_significantly_better,
    level_among,
    means_of_folds,
    paired,
    pairs_needed,
)

_NOT_COMPARED = frozenset({TrialState.FAILED, TrialState.CANCELLED, TrialState.PRUNED})
"""States of trials that were cut off: what they have reached is not what they would have."""


@dataclass(frozen=True)
class Comparison:
    """Result of a comparison."""

    sentence: str
    candidates: Sequence[CandidateView]


def compare(
    objective: ObjectiveView, trials: Sequence[TrialSummaryView], chosen_among: int = 0, stages: int = 1,
    undrawn_trials: int = 0,
) -> Comparison:  # fmt: skip
    """Rank the candidates by the objective at each trial's best epoch, and say what the seeds show.

    Args:
        objective: what is compared.
        trials: all trials of an experiment, whatever their state; those without a finite value only count.
        chosen_among: number of candidates among which these were chosen before by the same seeds; 0 if they were not.
        stages: number of parts that further seeds are trained in; after each one, some candidates have no more.
        undrawn_trials: number of trials that are still to come.
    """
    groups = candidates_of(trials)
    fresh = [[trial for trial in group if trial.is_confirming] for group in groups]
    further = [_values(objective, some) for some in fresh]
    # Until all have ended, who leads would depend on whose trials come first.
    has_ended = not undrawn_trials and all(trial.state in TERMINAL for some in fresh for trial in some)
    is_over = has_ended and any(further)
    values = [
        found if some and is_over else _values(objective, [trial for trial in group if not trial.is_confirming])
        for group, some, found in zip(groups, fresh, further, strict=True)
    ]
    folds = max((trial.fold or 1 for trial in trials), default=1)
    looks = stages if is_over and sum(map(bool, fresh)) > 1 else 1
    intervals = estimate([_by_fold(found) for found in values], folds, looks)
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
    for place, versus in enumerate(_against_leader(objective, compared, among, folds, looks), start=1):
        ranked[place] = ranked[place].model_copy(update={"against_leader": versus})
    return Comparison(verdict(objective, ranked, folds, have_seeds_ended=has_ended), ranked)


def _standing(
    candidate: CandidateView, trials: Sequence[TrialSummaryView], sign: int, folds: int
) -> tuple[int, bool, float, int]:
    """Return the key by which candidates are ranked: their mean, or without one the epochs up to the last rung.

    Folds are not equally hard, so a mean over some of them stands behind those over all. Whoever had further seeds in
    fewer stages was significantly worse then.
    """
    stages = -candidate.confirming_trials if candidate.is_confirmed else 0
    if candidate.mean is not None:
        lacks_folds = folds > 1 and len({found.fold for found in candidate.values}) < folds
        return stages, lacks_folds, sign * candidate.mean, 0
    return 0, True, math.inf, -max(trial.epochs_completed for trial in trials) if candidate.pruned else 0


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
    return means_of_folds([(found.fold, found.value) for found in values])


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
    objective: ObjectiveView, ranked: Sequence[CandidateView], among: int, folds: int, looks: int
) -> list[AgainstLeaderView]:
    """Return the comparison of the leader, chosen among so many, with each of the others, all of which have values."""
    if len(ranked) < 2:
        return []
    leader, *others = ranked
    level = level_among(among, looks)
    in_pairs = [paired(_by_repeat(leader), _by_repeat(other), objective.direction) for other in others]
    advantages = [means_of_folds(pairs) for pairs in in_pairs]
    needed = pairs_needed(advantages, level) if folds == 1 else [None] * len(others)
    views = []
    for other, pairs, mine, found, seeds in zip(
        others, in_pairs, advantages, estimate(advantages, folds, looks), needed, strict=True
    ):
        is_over = leader.unended == other.unended == 0
        # The leader is so by its mean: over what both have it may be behind.
        is_significant = is_over and is_significantly_better(mine, found, level)
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


def _by_repeat(candidate: CandidateView) -> dict[Repeat, float]:
    return {(found.seed, found.fold): found.value for found in candidate.values}
