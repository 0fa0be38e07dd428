"""Which trials of an experiment train together: pure.

May import: the specs and the sampled trials. Knows neither SQL nor an engine, only an engine's name.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.sampling import SampledTrial

MAX_COHORT_SIZE = 256

# What may differ between the trials of one compiled program, or is looked at outside of it.
_FREE = ("seed", "early_stopping", "objective")


@dataclass(frozen=True)
class FormedCohort:
    """Trials that train together, before they have an id."""

    number: int
    """From 1, within the experiment."""
    trials: list[SampledTrial]
    engine: str
    """Which engine is to train them."""
    engine_reason: str
    """Why this engine."""


def form_cohorts(trials: Sequence[SampledTrial]) -> list[FormedCohort]:
    """Put trials together that differ in nothing but seed, epochs and the optimizer's numbers."""
    alike: dict[str, list[SampledTrial]] = {}
    for trial in trials:
        alike.setdefault(_program(trial), []).append(trial)
    chunks = [
        members[start : start + MAX_COHORT_SIZE]
        for members in alike.values()
        for start in range(0, len(members), MAX_COHORT_SIZE)
    ]
    reason = "keras.Model.fit, one trial after the other: it is the only engine of this version"
    return [FormedCohort(number, chunk, "reference", reason) for number, chunk in enumerate(chunks, start=1)]


def _program(trial: SampledTrial) -> str:
    """What trials must have in common to be one compiled program, as a key."""
    document = trial.spec.model_dump(mode="json", exclude=set(_FREE))
    document["fit"].pop("epochs")
    return json.dumps(document | {"optimizer": _without_numbers(document["optimizer"])}, sort_keys=True)


def _without_numbers(document: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(document, dict):
        return {key: _without_numbers(value) for key, value in document.items()}
    return "a number" if isinstance(document, float | int) and not isinstance(document, bool) else document
