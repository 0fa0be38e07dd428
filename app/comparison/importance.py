"""Importance of hyperparameters: by how much their values among the best candidates differ from those among all.

The Pearson divergence of the two distributions, one hyperparameter at a time (PED-ANOVA; Watanabe, Bansal & Hutter,
2023), over ranks of the values, so that neither scale nor sampler matters. What candidates drawn at random in place of
the best would show is subtracted, so that a hyperparameter without influence has about 0.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from fittingroom.views.comparison import CandidateView, ImportanceView, IntervalView
from models.planning.significance import CONFIDENCE, Values

Parts = NDArray[np.int64]
LEAST_CANDIDATES = 20
"""Least number of candidates for which importances are estimated."""
_BEST_PART, _LEAST_BEST = 0.2, 3
_HALVES = 200
_BINS = 5
"""Number of parts into which the ranks of a number are divided."""


def importances(ranked: Sequence[CandidateView]) -> list[ImportanceView]:
    """Return the importance of each hyperparameter, the greatest first; none of fewer than 20 candidates.

    Args:
        ranked: the candidates of an experiment, the best first; those without a value count if they were pruned.
    """
    compared = [candidate for candidate in ranked if candidate.mean is not None or candidate.pruned]
    if len(compared) < LEAST_CANDIDATES:
        return []
    columns = {name: _parts([values[name] for values in _given(compared)]) for name in _names(compared)}
    divergences = _divergences(list(columns.values()), len(compared))
    totals = divergences.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, divergences / np.where(totals > 0, totals, 1), 1 / len(columns))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(shares, [tail, 100 - tail], axis=0)
    mean = shares.mean(axis=0)
    found = [
        ImportanceView(
            hyperparameter=name,
            importance=float(mean[place]),
            interval=IntervalView(low=float(low[place]), high=float(high[place]), confidence=CONFIDENCE),
        )
        for place, name in enumerate(columns)
    ]
    return sorted(found, key=lambda view: -view.importance)


def _given(candidates: Sequence[CandidateView]) -> list[dict[str, Hashable]]:
    """Return the hyperparameters of each candidate, with the name of its network."""
    return [candidate.hyperparameters | {"model": candidate.model} for candidate in candidates]


def _names(candidates: Sequence[CandidateView]) -> list[str]:
    """Return the hyperparameters that all candidates have and in which some differ."""
    given = _given(candidates)
    shared = [name for name in given[0] if all(name in values for values in given)]
    return [name for name in shared if len({repr(values[name]) for values in given}) > 1]


def _parts(column: Sequence[Hashable]) -> Parts:
    """Return the part that each value falls into: of few values each its own, of many numbers a fifth of the ranks."""
    known = list(dict.fromkeys(column))
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    if is_number and len(known) > _BINS:
        ranks = np.argsort(np.argsort(np.array(column, np.float64), kind="stable"), kind="stable")
        return (ranks * _BINS // len(column)).astype(np.int64)
    places = {value: place for place, value in enumerate(known)}
    return np.array([places[value] for value in column], np.int64)


def _divergences(columns: Sequence[Parts], count: int) -> Values:
    """Return the divergences in halves of the candidates, drawn at random; shape (halves, columns).

    How much halves differ is how much new candidates would (delete-half jackknife; Shao & Wu, 1989).
    """
    rng, half = np.random.default_rng(0), count // 2
    samples = [rng.permutation(count)[:half] for _ in range(_HALVES)]
    best_count = max(_LEAST_BEST, math.ceil(_BEST_PART * half))
    rows = []
    for sample in samples:
        best = np.sort(sample)[:best_count]  # their places are their ranks
        rows.append([_divergence(column, sample, best) for column in columns])
    return np.array(rows, np.float64).reshape(len(samples), len(columns))


def _divergence(column: Parts, sample: Parts, best: Parts) -> float:
    """Return the Pearson divergence of the best from all, less what as many drawn at random have in the mean."""
    everywhere = np.bincount(column[sample], minlength=column.max() + 1)
    chosen = np.bincount(column[best], minlength=len(everywhere))
    there = everywhere > 0
    expected = everywhere[there] / len(sample)
    divergence = float(np.sum((chosen[there] / len(best) - expected) ** 2 / expected))
    by_chance = (np.count_nonzero(there) - 1) / len(best) * (len(sample) - len(best)) / (len(sample) - 1)
    return max(0.0, divergence - by_chance)
