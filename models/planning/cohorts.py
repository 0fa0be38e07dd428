"""Grouping of trials into cohorts, which train together: pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fittingroom.specs.choices import Device
from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.limits import MAX_TRIALS
from fittingroom.specs.schedules import is_constant
from fittingroom.specs.search.search_space import sampled_value
from models.planning.paths import Path
from models.planning.spaces import is_ordered
from models.planning.templates import SampledTrial

MAX_COHORT_SIZE = 256
"""Maximum number of trials per cohort, so that several workers share large experiments."""


@dataclass(frozen=True)
class FormedCohort:
    """Trials that train together, before they have an id."""

    number: int
    """Number within the experiment, from 1."""
    trials: list[SampledTrial]
    engine: str
    """Engine that trains the trials."""
    engine_reason: str
    """Reason for this engine."""


def form_cohorts(trials: Sequence[SampledTrial], device: Device = "any", first_number: int = 1) -> list[FormedCohort]:
    """Put trials together that differ in nothing but seed, epochs and the optimizer's numbers."""
    size = MAX_TRIALS if device == "gpu" else MAX_COHORT_SIZE  # a thousand small networks are what fills a GPU
    alike: dict[str, list[SampledTrial]] = {}
    for trial in trials:
        together = _together(trial) if trial.continues is None else trial.continues.checkpoint
        alike.setdefault(together, []).append(trial)
    chunks = [chunk for members in alike.values() for chunk in _cut(members, size)]
    return [FormedCohort(number, chunk, *_engine(chunk)) for number, chunk in enumerate(chunks, first_number)]


def _cut(members: Sequence[SampledTrial], size: int) -> Iterator[list[SampledTrial]]:
    """Yield trials by cohort; a pruner compares candidates, so their seeds then stay together."""
    if members[0].spec.pruner is not None:
        size -= size % len({trial.spec.seed for trial in members})
    yield from (list(members[start : start + size]) for start in range(0, len(members), size))


def _engine(trials: Sequence[SampledTrial]) -> tuple[str, str]:
    """Choose an engine for trials; return its name and the reason."""
    if trials[0].continues is not None:
        return trials[0].continues.engine, "it goes on from the last state of these trials, which it has trained before"
    model = trials[0].spec.model
    if reason := model.only_fit_trains or trials[0].spec.optimizer.only_fit_trains:
        return "reference", reason
    if any(layer.convolves for layer in model.parts()):
        return (
            "fused",
            "its epochs are one compiled program; trials take turns in it, as only JAX on a GPU maps convolutions",
        )
    if len(trials) == 1:
        return "fused", "its epochs are one compiled program"
    return "fused", f"the {len(trials)} trials differ only in numbers and seeds, so they train together as one program"


def program_document(spec: TrialSpec) -> dict[str, Any]:
    """Return the parts of a spec that decide the program, apart from data shapes: equal for trials that share one."""
    document = spec.model_dump(
        mode="json", include={"model", "optimizer", "loss", "loss_weights", "metrics", "precision"}
    )
    return document | {
        "optimizer": _without_numbers(document["optimizer"]),
        "batch_size": sampled_value(spec.fit.batch_size),
    }


def is_structural(document: Mapping[str, Any], path: Path) -> bool:
    """Return True if trials with different values in the place of a search space cannot train together.

    Args:
        document: of the trials, the search space in it.
        path: of the search space.
    """
    if path[0] in {"early_stopping", "reduce_lr_on_plateau"} or path == ("fit", "epochs"):
        return False
    if path[0] != "optimizer":
        return True
    parent: Any = document
    for key in path[:-1]:
        parent = parent[key]
    name = path[-1]
    return not is_ordered(parent[name]) or (isinstance(name, str) and is_constant(parent, name))


def _together(trial: SampledTrial) -> str:
    """Return a key that is equal for trials that may train together."""
    spec = trial.spec
    document = program_document(spec) | {
        "dataset": spec.dataset.model_dump(mode="json"),
        "validation": [
            spec.fit.validation_split,
            spec.fit.test_split,
            spec.fit.split,
            spec.fit.folds,
            spec.fold,
        ],
        "class_weight": spec.fit.class_weight,
        "shuffle": sampled_value(spec.fit.shuffle),
    }
    return json.dumps(document, sort_keys=True)


def _without_numbers(document: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the document with "a number" in place of each number but 0, which to Keras often means no such term."""
    if isinstance(document, dict):
        return {
            key: value if is_constant(document, key) else _without_numbers(value) for key, value in document.items()
        }
    return "a number" if isinstance(document, float | int) and not isinstance(document, bool) and document else document
