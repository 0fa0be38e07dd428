"""Candidates: the trials of an experiment that differ by their seed alone."""

import json
from collections.abc import Sequence

from fittingroom.views.resources import TrialSummaryView


def candidates_of(trials: Sequence[TrialSummaryView]) -> list[list[TrialSummaryView]]:
    """Return the trials of each candidate, one for each seed, in the order in which the candidates first appear.

    If a random sampler has drawn the same values twice, the second trial repeats the first and is left out.
    """
    groups: dict[tuple[str | None, str], dict[int, TrialSummaryView]] = {}
    for trial in trials:
        key = (trial.model, json.dumps(trial.hyperparameters, sort_keys=True))
        seeds = groups.setdefault(key, {})
        if trial.seed not in seeds or seeds[trial.seed].best_epoch is None:
            seeds[trial.seed] = trial
    return [list(seeds.values()) for seeds in groups.values()]


def candidate_label(trial: TrialSummaryView) -> str:
    """Return a trial's label without its seed."""
    if not trial.hyperparameters and trial.model is None:
        return "the only candidate"
    return trial.label.removesuffix(f"seed={trial.seed}").removesuffix(", ")
