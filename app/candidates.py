"""Candidates: the trials of an experiment that differ by their seed alone.

May import: the views. Knows neither SQL nor HTTP nor statistics.
"""

import json
from collections.abc import Sequence

from app.schemas import TrialSummaryView


def candidates_of(trials: Sequence[TrialSummaryView]) -> list[list[TrialSummaryView]]:
    """The trials of each candidate, in the order in which the candidates first appear."""
    groups: dict[tuple[str | None, str], list[TrialSummaryView]] = {}
    for trial in trials:
        groups.setdefault((trial.model, json.dumps(trial.hyperparameters, sort_keys=True)), []).append(trial)
    return list(groups.values())


def candidate_label(trial: TrialSummaryView) -> str:
    """A trial's label without its seed."""
    return trial.label.removesuffix(f"seed={trial.seed}").removesuffix(", ") or "the only candidate"
