"""Which candidate fits best, and what of that is luck: statistics over seeds, paired by seed.

May import: scipy, the views. Knows neither SQL nor HTTP. Takes half a second to import, so only who compares does.

Intervals and probabilities are Student's (Student, "The probable error of a mean", Biometrika 6, 1908), as scipy has
them. A percentile or BCa bootstrap of three to twenty seeds holds the truth in 70 to 92 of 100 cases instead of 95;
`tests/app/test_comparison.py` simulates what is promised here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from app.candidates import candidate_label, candidates_of
from app.comparison_schemas import AgainstLeaderView, CandidateView, IntervalView, SeedValueView
from app.schemas import ObjectiveView, TrialSummaryView

CONFIDENCE = 0.95
POWER = 0.8
"""How surely the number of seeds that is advised would show a difference as large as the one seen."""
MAX_SEEDS = 10_000
_SHOWN_NAMES = 3

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """What came of it."""

    sentence: str
    candidates: Sequence[CandidateView]


def compare(objective: ObjectiveView, trials: Sequence[TrialSummaryView]) -> Comparison:
    """Rank the candidates by the objective at each trial's best epoch, and say what the seeds show.

    Args:
        objective: what is compared.
        trials: all trials of an experiment, whatever their state; those without a finite value only count.
    """
    candidates = [_candidate(objective, group) for group in candidates_of(trials)]
    sign = 1 if objective.direction == "minimize" else -1
    candidates.sort(key=lambda found: math.inf if found.mean is None else sign * found.mean)
    with_values = [candidate for candidate in candidates if candidate.values]
    ranked = []
    for rank, candidate in enumerate(candidates, start=1):
        versus = None
        if rank > 1 and candidate.values:
            versus = _against_leader(objective, with_values[0], candidate, compared=len(with_values) - 1)
        ranked.append(candidate.model_copy(update={"rank": rank, "against_leader": versus}))
    return Comparison(_verdict(objective, ranked), ranked)


def _candidate(objective: ObjectiveView, trials: Sequence[TrialSummaryView]) -> CandidateView:
    first, metric = trials[0], objective.metric
    values, gaps = [], []
    for trial in trials:
        best = trial.best_epoch
        if best is None or not math.isfinite(float(best.metrics[metric])):
            continue
        value = float(best.metrics[metric])
        values.append(SeedValueView(trial_id=trial.id, seed=trial.seed, epoch=best.epoch, value=value))
        base = metric.removeprefix("val_")
        if f"val_{base}" in best.metrics and base in best.metrics:
            sign = 1 if objective.direction == "minimize" else -1
            gaps.append(sign * (float(best.metrics[f"val_{base}"]) - float(best.metrics[base])))
    numbers = np.array([found.value for found in values])
    return CandidateView(
        rank=1,
        label=candidate_label(first),
        model=first.model,
        hyperparameters=first.hyperparameters,
        parameter_count=first.parameter_count,
        trials=len(trials),
        values=values,
        mean=float(numbers.mean()) if values else None,
        standard_deviation=float(numbers.std(ddof=1)) if len(values) > 1 else None,
        interval=interval_of(numbers),
        generalization_gap=float(np.mean(gaps)) if gaps and np.isfinite(gaps).all() else None,
        epochs_to_best=float(np.mean([found.epoch for found in values])) if values else None,
        training_seconds=float(np.mean([trial.training_seconds for trial in trials])),
        against_leader=None,
    )


def interval_of(values: Values) -> IntervalView | None:
    """The interval of a mean; None for fewer than two values, or values without spread."""
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    found = stats.ttest_1samp(values, 0.0).confidence_interval(CONFIDENCE)
    return IntervalView(low=float(found.low), high=float(found.high), confidence=CONFIDENCE)


def seeds_needed(advantages: Values) -> int | None:
    """How many pairs would show a mean difference as large as theirs, in POWER of all experiments.

    The power of the two-sided t test, by the noncentral t distribution (Cohen, "Statistical Power Analysis for the
    Behavioral Sciences", 2nd ed. 1988, ch. 2). None if more than MAX_SEEDS would be.
    """
    effect = abs(float(advantages.mean())) / float(advantages.std(ddof=1))

    def power(pairs: int) -> float:
        edge = stats.t.ppf((1 + CONFIDENCE) / 2, pairs - 1)
        return float(stats.nct.sf(edge, pairs - 1, effect * math.sqrt(pairs)))

    if effect == 0 or power(MAX_SEEDS) < POWER:
        return None
    low, high = 1, MAX_SEEDS  # so many do not do; so many do
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


def _against_leader(
    objective: ObjectiveView, leader: CandidateView, other: CandidateView, *, compared: int
) -> AgainstLeaderView:
    theirs = {found.seed: found.value for found in other.values}
    pairs = [(found.value, theirs[found.seed]) for found in leader.values if found.seed in theirs]
    sign = -1 if objective.direction == "minimize" else 1
    advantages = np.array([sign * (mine - its) for mine, its in pairs])
    wins, ties = int((advantages > 0).sum()), int((advantages == 0).sum())
    interval = interval_of(advantages)
    probability, needed, is_shown = None, None, False
    if interval is not None:
        probability = 1 - float(stats.ttest_1samp(advantages, 0.0, alternative="greater").pvalue)
        is_shown = float(stats.ttest_1samp(advantages, 0.0).pvalue) * compared < 1 - CONFIDENCE
        needed = None if is_shown else seeds_needed(advantages)
    view = AgainstLeaderView(
        pairs=len(pairs), wins=wins, ties=ties,
        advantage=float(advantages.mean()) if pairs else None,
        interval=interval, probability=probability, is_shown=is_shown, seeds_needed=needed, sentence="",
    )  # fmt: skip
    return view.model_copy(update={"sentence": _pair_sentence(objective, leader, other, view)})


def _pair_sentence(
    objective: ObjectiveView, leader: CandidateView, other: CandidateView, versus: AgainstLeaderView
) -> str:
    if versus.advantage is None:
        return f"{leader.label} and {other.label} have no seed in common, so they cannot be compared seed by seed."
    better = "lower" if objective.direction == "minimize" else "higher"
    amount = f"{objective.metric} {better} by {versus.advantage:.3g}"
    if versus.interval is None:
        if versus.pairs == 1:
            return (
                f"{leader.label} leads {other.label}: {amount}, by one seed. Whether that is luck, more seeds tell: "
                '"seeds": [0, 1, 2, 3, 4].'
            )
        if versus.ties == versus.pairs:
            return f"{leader.label} and {other.label} are equal in each of {versus.pairs} seeds."
        return (
            f"{leader.label} leads {other.label}: {amount} in each of {versus.pairs} seeds, by the very same amount; "
            "differences without spread tell nothing of luck, more seeds would."
        )
    span = f"95 % interval {versus.interval.low:.3g} to {versus.interval.high:.3g}"
    if versus.is_shown:
        return f"{leader.label} beats {other.label} in {versus.wins} of {versus.pairs} seeds; {amount} ({span})."
    needed = f"about {versus.seeds_needed:,}" if versus.seeds_needed else f"more than {MAX_SEEDS:,}"
    if versus.seeds_needed is not None and versus.seeds_needed <= versus.pairs:
        needed = "a few more"  # they would show it alone, but not among so many candidates
    return (
        f"No difference between {leader.label} and {other.label} that {versus.pairs} seeds can show: {amount} "
        f"({span}); {needed} would be needed."
    )


def _verdict(objective: ObjectiveView, ranked: Sequence[CandidateView]) -> str:
    """The comparison in a sentence or two."""
    found = [candidate for candidate in ranked if candidate.values]
    if not found:
        return f"Nothing to compare yet: no trial has an epoch with a finite {objective.metric}."
    leader, others = found[0], found[1:]
    if not others:
        span = leader.interval
        spread = "" if span is None else f" (95 % interval {span.low:.3g} to {span.high:.3g})"
        count = len(leader.values)
        over = f" in the mean of {count} seeds" if count > 1 else ""
        return f"{leader.label}: {objective.metric} {leader.mean:.4g} at its best epoch{over}{spread}." + _lost(ranked)
    versus = [(other, other.against_leader) for other in others if other.against_leader is not None]
    runner_up = versus[0][1].sentence
    if len(versus) == 1:
        return runner_up + _lost(ranked)
    beaten = sum(against.is_shown for _, against in versus)
    if all(against.pairs < 2 for _, against in versus):
        return f"{runner_up} {len(versus)} candidates are behind it.{_lost(ranked)}"
    if beaten == len(versus):
        return f"{leader.label} beats all {beaten} others. The next: {runner_up}{_lost(ranked)}"
    open_ = [other.label for other, against in versus if not against.is_shown]
    names = "; ".join(open_[:_SHOWN_NAMES]) + (f"; and {len(open_) - _SHOWN_NAMES} more" if len(open_) > 3 else "")
    return (
        f"{leader.label} leads, and beats {beaten} of {len(versus)} others; not shown against: {names}. "
        f"The next: {runner_up}{_lost(ranked)}"
    )


def _lost(ranked: Sequence[CandidateView]) -> str:
    """Trials that have no value yet, or never will."""
    missing = sum(candidate.trials - len(candidate.values) for candidate in ranked)
    if missing == 0:
        return ""
    subject, are = ("trial has", "is") if missing == 1 else ("trials have", "are")
    return f" {missing} {subject} no finite value, and {are} left out."
