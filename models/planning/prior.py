"""Results of earlier experiments that a search may begin with: those of trials that it could have trained itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from fittingroom.specs.experiment import ExperimentSpec, TrialSpec
from fittingroom.specs.faults import Fault, InvalidSpec, pointer
from models.planning.options import Chosen
from models.planning.paths import Key
from models.planning.results import TrialResult
from models.planning.templates import Template, templates_of

_OF_ITS_OWN = {"seed", "fold", "pruner"}
"""Parts of a trial's document that may differ: its result is of the same candidate."""


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier experiment that was completed or pruned."""

    result: TrialResult
    document: Mapping[str, Any]
    """Spec of the trial, as it was stored."""


def select_results(spec: ExperimentSpec, earlier: Sequence[Sequence[EarlierTrial]]) -> list[TrialResult]:
    """Return the results of candidates that a search could have drawn itself, of each experiment the whole ones.

    Args:
        spec: of the search, with the content hash of each dataset.
        earlier: trials of each experiment.

    Raises:
        InvalidSpec: an experiment has none; it says why.
    """
    templates = {template.model_name: template for template in templates_of(spec)}
    selected: list[TrialResult] = []
    faults: list[Fault] = []
    for number, trials in enumerate(earlier):
        candidates: dict[tuple[str | None, Key], list[TrialResult]] = {}
        reasons: Counter[str] = Counter()
        for trial in trials:
            template = templates.get(trial.result.model_name)
            reason = "its networks have other names" if template is None else _difference(template, trial)
            if template is None or reason:
                reasons[reason] += 1
                continue
            combinations = template.combinations
            key = combinations.key(combinations.of_names(trial.result.hyperparameters))
            candidates.setdefault((trial.result.model_name, key), []).append(trial.result)
        if not candidates:
            reason = reasons.most_common(1)[0][0] if reasons else "none of its trials was completed or pruned"
            detail = f"no result of this experiment counts for the search: {reason}"
            faults.append(Fault(pointer=pointer(("sampler", "prior", number)), detail=detail))
            continue
        # The mean over some seeds or folds is not to be compared with that over all.
        whole = max(map(len, candidates.values()))
        selected += [replace(result, round=0) for some in candidates.values() if len(some) == whole for result in some]
    if faults:
        raise InvalidSpec(faults)
    return selected


def _difference(template: Template, trial: EarlierTrial) -> str:
    """Say why a search could not have drawn a trial; empty if it could."""
    if not template.combinations.holds(trial.result.hyperparameters):
        return "its hyperparameters are others, or outside the search spaces"
    values = template.combinations.of_names(trial.result.hyperparameters)
    wanted = Chosen(template.document, template.spaces, values, template.model_name).document
    differing = _differing(wanted, trial.document)
    if differing:  # a document of before may lack what has come since
        try:
            differing = _differing(wanted, TrialSpec.model_validate(trial.document).model_dump(mode="json"))
        except ValidationError:
            return "it was stored by a version whose trials are no longer valid"
    return f"it has another {', '.join(differing)}" if differing else ""


def _differing(wanted: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    return [
        key
        for key, value in wanted.items()
        if key not in _OF_ITS_OWN and _compared(key, document.get(key)) != _compared(key, value)
    ]


def _compared(key: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a part of a document without what makes no difference: of `fit`, whether checkpoints are kept."""
    return {**value, "delete_checkpoint": None} if key == "fit" and value is not None else value
