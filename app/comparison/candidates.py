"""Candidates: the trials of an experiment that differ by their seed and fold alone."""

import json
from collections.abc import Sequence

from fittingroom.views.resources import TrialSummaryView


def candidates_of(trials: Sequence[TrialSummaryView]) -> list[list[TrialSummaryView]]:
    """Return the trials of each candidate, one for each seed and fold, in the order in which candidates first appear.

    If a random sampler has drawn the same values twice, the second trial repeats the first and is left out.
    """
    groups: dict[tuple[str | None, str], dict[tuple[int, int | None], TrialSummaryView]] = {}
    for trial in trials:
        key = (trial.model, json.dumps(trial.hyperparameters, sort_keys=True))
        repeats, repeat = groups.setdefault(key, {}), (trial.seed, trial.fold)
        if repeat not in repeats or repeats[repeat].best_epoch is None:
            repeats[repeat] = trial
    return [list(repeats.values()) for repeats in groups.values()]


def candidate_label(trial: TrialSummaryView) -> str:
    """Return a trial's label without its seed and fold."""
    if not trial.hyperparameters and trial.model is None:
        return "the only candidate"
    label = trial.label
    for repeat in (f"fold={trial.fold}", f"seed={trial.seed}"):
        label = label.removesuffix(repeat).removesuffix(", ")
    return label
