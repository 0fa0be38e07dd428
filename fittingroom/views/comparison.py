"""Views of a comparison: candidates ranked by the objective, with confidence intervals and significance."""

from typing import Any

from pydantic import Field

from fittingroom.views.resources import ObjectiveView, View
from fittingroom.views.states import ExperimentState


class IntervalView(View):
    """Confidence interval of a mean (Student's t); over folds with the correction of Nadeau & Bengio (2003)."""

    low: float
    high: float
    confidence: float
    """Confidence level: 0.95."""


class SeedValueView(View):
    """Best value of one trial of a candidate."""

    trial_id: str
    seed: int
    fold: int | None = None
    """Fold whose rows were for validation; null without folds."""
    epoch: int
    """Best epoch by the objective, not the last."""
    value: float
    """Objective at that epoch."""


class AgainstLeaderView(View):
    """Paired comparison of the leader with this candidate.

    Equal seeds give equal initial weights and batches, and equal folds the same rows.
    """

    pairs: int
    """Number of seeds that both were trained with; with folds, of pairs of a seed and a fold."""
    wins: int
    """Number of pairs in which the leader is better."""
    ties: int
    advantage: float | None
    """Mean advantage of the leader over the pairs, in units of the objective; null without a pair."""
    interval: IntervalView | None
    """Confidence interval of the advantage; null with fewer than two pairs, or if all differ by the same amount."""
    probability: float | None
    """Probability that the leader is better, from these pairs alone (Student's t, flat prior)."""
    is_significant: bool
    """True if the difference is significant at the 5 % level after Bonferroni correction over all pairs of candidates.
    False until all trials of both have ended."""
    seeds_needed: int | None
    """Number of seeds needed to detect a difference of this size with 80 % power at the same level; null if it is
    significant already, if more than 10,000 would be needed, or if it is unknown. Null with folds, which more seeds do
    not make more independent."""
    sentence: str
    """The result as a sentence."""


class CandidateView(View):
    """A candidate: trials that differ by seed and fold alone."""

    rank: int
    """Rank from 1, by the mean over seeds: confirmed candidates, then others, then those without a value, the longest
    trained first."""
    label: str
    model: str | None
    hyperparameters: dict[str, Any]
    parameter_count: int
    trials: int
    """Number of trials, one per seed, or one per seed and fold."""
    is_confirmed: bool = False
    """True if it was trained with further seeds after it was among the best, and all such trials of all candidates
    have ended: `values` are of those alone."""
    confirming_trials: int = 0
    """Number of trials with further seeds."""
    unended: int
    """Number of trials queued or running."""
    pruned: int
    """Number of trials that were pruned: their values are not compared, as they would have come further."""
    values: list[SeedValueView]
    """Best value of each trial, except those that failed, were cancelled or pruned, or never had a finite value."""
    mean: float | None
    standard_deviation: float | None
    """Standard deviation over seeds and folds; null with fewer than two."""
    interval: IntervalView | None
    """Confidence interval of the mean."""
    generalization_gap: float | None
    """Mean difference between validation and training metric at the best epochs, positive if validation is worse; null
    without validation."""
    epochs_to_best: float | None
    """Mean number of the best epoch."""
    training_seconds: float
    """Mean training time per trial, in seconds."""
    against_leader: AgainstLeaderView | None
    """Comparison with the leader; null for the leader itself, and before there is anything to compare. With confirmed
    candidates, null for all others."""


class ImportanceView(View):
    """Importance of a hyperparameter: how much its values among the best candidates differ from those among all."""

    hyperparameter: str
    """Dotted path of the hyperparameter; `model` for the choice between several models."""
    importance: float
    """Share of the sum over all hyperparameters, from 0 to 1."""
    interval: IntervalView
    """Interval of the share, from halves of the candidates (delete-half jackknife)."""


class ComparisonView(View):
    """The candidates of an experiment, best first."""

    experiment_id: str
    name: str
    state: ExperimentState
    version: int
    objective: ObjectiveView
    sentence: str
    """The result as a sentence: which candidate leads, and whether the lead is significant."""
    candidates: list[CandidateView]
    importances: list[ImportanceView] = Field(default=[])
    """Importance of each hyperparameter, the greatest first; of experiments with at least 20 candidates that have a
    value or were pruned. Influence that shows only in combinations is not counted."""
