"""The views of a comparison: which candidate fits best, and what of that is luck."""

from typing import Any

from fittingroom.views.resources import ObjectiveView, View
from fittingroom.views.states import ExperimentState


class IntervalView(View):
    """An interval that holds the true mean in so many of a hundred experiments (Student's t)."""

    low: float
    high: float
    confidence: float
    """0.95: in 95 of 100 experiments."""


class SeedValueView(View):
    """What one trial of a candidate has reached."""

    trial_id: str
    seed: int
    epoch: int
    """Its best epoch by the objective, not its last."""
    value: float
    """The objective then."""


class AgainstLeaderView(View):
    """The leader beside this candidate, seed by seed: the same seed means the same initial weights and batches."""

    pairs: int
    """Seeds that both have trained with."""
    wins: int
    """In how many of these the leader is better."""
    ties: int
    advantage: float | None
    """By how much the leader's objective is better, in the mean over the pairs; null without a pair."""
    interval: IntervalView | None
    """Of the advantage; null if there are fewer than two pairs, or all differ by the very same amount."""
    probability: float | None
    """That the leader is truly better, judged from these pairs alone (Student's t, no prior opinion)."""
    is_shown: bool
    """Whether the seeds show a difference, at 95 % for all pairs of candidates together, as the leader was chosen by
    looking (Bonferroni). Never before all trials of both have ended."""
    seeds_needed: int | None
    """How many seeds would show a difference as large as this one in 80 of 100 experiments, at the same level; null if
    it is shown, or more than 10,000 would be needed, or it cannot be told."""
    sentence: str
    """The same in words."""


class CandidateView(View):
    """Trials that differ by their seed alone."""

    rank: int
    """From 1, by the mean over seeds; those without a value come last."""
    label: str
    model: str | None
    hyperparameters: dict[str, Any]
    parameter_count: int
    trials: int
    """How many there are, one for each seed, whether or not they have reached anything yet."""
    unended: int
    """How many of them still wait or train."""
    values: list[SeedValueView]
    """What they have reached; without those that failed, were cancelled, or never had a finite value."""
    mean: float | None
    standard_deviation: float | None
    """Over seeds; null if there are fewer than two."""
    interval: IntervalView | None
    """Of the mean."""
    generalization_gap: float | None
    """How much worse the objective's metric is in validation than in training at the best epochs, in the mean; null
    where nothing was validated."""
    epochs_to_best: float | None
    """In the mean."""
    training_seconds: float
    """In the mean over its trials."""
    against_leader: AgainstLeaderView | None
    """Null for the leader itself, and where there is nothing to compare yet."""


class ComparisonView(View):
    """The candidates of an experiment, best first."""

    experiment_id: str
    name: str
    state: ExperimentState
    version: int
    objective: ObjectiveView
    sentence: str
    """Which fits, and whether that is more than luck."""
    candidates: list[CandidateView]
