"""Significance tests for paired results (Student's t), vectorised over samples.

Student, "The probable error of a mean", Biometrika 6, 1908. Folds share most of their training rows, so their results
are not independent: the variance of a mean over them is larger by a term that more trials do not make smaller (Nadeau &
Bengio, "Inference for the generalization error", Machine Learning 52, 2003, section 4). All seeds have the same folds:
a sample then is the mean over seeds of each fold.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fittingroom.specs.choices import Direction

CONFIDENCE = 0.95
POWER = 0.8
"""Statistical power of the advised number of pairs."""
MAX_PAIRS = 10_000

Values = NDArray[np.float64]
Repeat = tuple[int, int | None]
"""Seed and fold of a trial; no fold without cross-validation."""


@dataclass(frozen=True)
class Estimate:
    """Inference on the mean of a sample."""

    low: float
    """Lower bound of the confidence interval at level CONFIDENCE."""
    high: float
    p_value: float
    """Two-sided p-value against a mean of 0."""
    probability: float
    """Probability that the mean is above 0 under a flat prior: the t distribution's mass there."""


def paired(
    mine: Mapping[Repeat, float], theirs: Mapping[Repeat, float], direction: Direction
) -> list[tuple[int | None, float]]:
    """Return by how much mine is better, with the fold, for each seed and fold that both have."""
    sign = -1 if direction == "minimize" else 1
    return [(repeat[1], sign * (value - theirs[repeat])) for repeat, value in mine.items() if repeat in theirs]


def means_of_folds(values: Sequence[tuple[int | None, float]]) -> Values:
    """Return the mean over seeds of each fold; without folds the values themselves."""
    folds: dict[int | None, list[float]] = {}
    for fold, value in values:
        folds.setdefault(fold, []).append(value)
    found = folds[None] if set(folds) == {None} else [math.fsum(some) / len(some) for some in folds.values()]
    return np.array(found, np.float64)


def level_among(candidates: int, looks: int = 1) -> float:
    """Return the significance level at which the best of some candidates is compared with another one.

    It was chosen by looking, so it is as if all were compared with all, at each look (Bonferroni).

    Args:
        candidates: number of candidates.
        looks: number of times that the results are looked at.
    """
    return (1 - CONFIDENCE) / math.comb(max(candidates, 2), 2) / looks


def is_significantly_better(advantages: Values, found: Estimate | None, level: float) -> bool:
    """Return True if advantages, of which there is an estimate, are significantly above 0."""
    return found is not None and found.p_value < level and float(advantages.mean()) > 0


def estimate(samples: Sequence[Values], folds: int = 1, looks: int = 1) -> list[Estimate | None]:
    """Return an estimate per sample; None with fewer than two values, or without spread.

    Args:
        samples: values, or differences, of trials; with folds their means over seeds, one for each fold.
        folds: number of folds; 1 without folds.
        looks: number of times that the results are looked at to decide which seeds go on; the intervals hold at each.
    """
    confidence = 1 - (1 - CONFIDENCE) / looks
    found: list[Estimate | None] = [None] * len(samples)
    for places in _of_one_length(samples):
        values = np.stack([samples[place] for place in places])
        count = values.shape[1]
        # The second term is the ratio of validation rows to training rows.
        factor = 1 / count + (1 / (folds - 1) if folds > 1 else 0)
        mean, error = values.mean(axis=1), values.std(axis=1, ddof=1) * math.sqrt(factor)
        statistic, half = mean / error, error * stats.t.ppf((1 + confidence) / 2, count - 1)
        p_value = 2 * stats.t.sf(np.abs(statistic), count - 1)
        columns = (mean - half, mean + half, p_value, stats.t.cdf(statistic, count - 1))
        for place, *numbers in zip(places, *(np.asarray(column).tolist() for column in columns), strict=True):
            found[place] = Estimate(*numbers)
    return found


def pairs_needed(samples: Sequence[Values], alpha: float) -> list[int | None]:
    """Return the sample size at which a mean like each sample's is significant with probability POWER.

    The power of the two-sided t test, by the noncentral t distribution (Cohen, "Statistical Power Analysis for the
    Behavioral Sciences", 2nd ed. 1988, ch. 2).

    Args:
        samples: differences.
        alpha: significance level.

    Returns:
        None of a sample without spread, and where more than MAX_PAIRS would be needed.
    """
    found: list[int | None] = [None] * len(samples)
    places = [place for group in _of_one_length(samples) for place in group]
    if not places:
        return found
    effects = np.array([abs(samples[place].mean()) / samples[place].std(ddof=1) for place in places])

    def shows(pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        edge = stats.t.ppf(1 - alpha / 2, pairs - 1)
        power = np.asarray(stats.nct.sf(edge, pairs - 1, effects * np.sqrt(pairs)))
        return power >= POWER

    low, high = np.ones(len(places), np.int64), np.full(len(places), MAX_PAIRS)  # so few do not; so many do
    can_be_shown = (effects > 0) & shows(high)
    while (high - low).max() > 1:
        middle = np.maximum((low + high) // 2, 2)
        enough = shows(middle)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        low = np.minimum(low, high - 1)
    for place, pairs, can in zip(places, high.tolist(), can_be_shown.tolist(), strict=True):
        found[place] = pairs if can else None
    return found


def _of_one_length(samples: Sequence[Values]) -> list[list[int]]:
    """Return the places of samples that can be judged, those of one length together."""
    groups: dict[int, list[int]] = {}
    for place, values in enumerate(samples):
        if len(values) > 1 and np.ptp(values) > 0:
            groups.setdefault(len(values), []).append(place)
    return list(groups.values())
