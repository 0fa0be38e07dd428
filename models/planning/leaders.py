"""The best candidates of an earlier experiment, as trials of a new one: for more epochs, or on other data."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from fittingroom.specs.choices import Direction
from fittingroom.specs.datasets import DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec, TrialSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.limits import MAX_TRIALS
from fittingroom.specs.search.samplers import LeadersSampler
from fittingroom.specs.search.search_space import sampled_value
from models.planning.paths import Value, Values
from models.planning.plan import ExperimentPlan, TrialChecker, plan_at_once
from models.planning.results import TrialResult, best_candidates
from models.planning.templates import Continued, SampledTrial, Template, templates_of

_OF_THE_CHOICE = "/sampler/experiment"
_Candidate = tuple[str | None, tuple[tuple[str, Value], ...]]


@dataclass(frozen=True)
class EndedTrial:
    """A trial of an earlier experiment."""

    id: str
    result: TrialResult
    last_state: Continued | None = None
    """State at its last epoch, if that is kept."""
    document: Mapping[str, Any] | None = None
    """Spec of the trial, as it was stored; None unless its state is kept."""


@dataclass(frozen=True)
class Leader:
    """A candidate to train again."""

    template: Template
    values: Values
    trials: Sequence[EndedTrial]
    """The earlier trials of it."""


@dataclass(frozen=True)
class Leaders:
    """Candidates to train again, the best first."""

    chosen: Sequence[Leader]
    among: int
    """Number of candidates among which they were chosen by seeds that they are trained with again; 0 if by others."""


def choose_leaders(
    spec: ExperimentSpec, trials: Sequence[EndedTrial], direction: Direction, chosen_among: int = 0
) -> Leaders:
    """Return the best candidates of an earlier experiment that a new one can train, the best first.

    Args:
        spec: of the new experiment.
        trials: all of the earlier one.
        direction: of the earlier one's objective.
        chosen_among: number of candidates among which the earlier ones were chosen themselves.

    Raises:
        InvalidSpec: there is none.
    """
    if not isinstance(spec.sampler, LeadersSampler):
        raise TypeError(f"expected the sampler of leaders, found {spec.sampler.name}")
    by_candidate: dict[_Candidate, list[EndedTrial]] = {}
    for trial in trials:
        key = trial.result.model_name, tuple(sorted(trial.result.hyperparameters.items()))
        by_candidate.setdefault(key, []).append(trial)
    templates = {template.model_name: template for template in templates_of(spec)}
    leaders: dict[tuple[str | None, Any], Leader] = {}
    ordered = _ordered(by_candidate, direction)
    for model_name, hyperparameters in ordered:
        template = templates.get(model_name)
        values = None if template is None else template.combinations.find(dict(hyperparameters))
        if template is not None and values is not None:
            found = Leader(template, values, by_candidate[model_name, hyperparameters])
            leaders.setdefault((model_name, template.combinations.key(values)), found)
    if not leaders:
        detail = "none of its trials was trained to its end without diverging"
        if ordered:
            detail = "its networks have other names, or their hyperparameters are not within the search spaces here"
        detail = f"no candidate of this experiment can be trained: {detail}"
        raise InvalidSpec([Fault(pointer=_OF_THE_CHOICE, detail=detail, found=spec.sampler.experiment)])
    trained = [[one for one in trials if one.result.is_trained] for trials in by_candidate.values()]
    again = [trials for trials in trained if any(one.result.seed in spec.seeds for one in trials)]
    return Leaders(list(leaders.values())[: spec.sampler.top], max(len(again), chosen_among) if again else 0)


def _ordered(candidates: Mapping[_Candidate, Sequence[EndedTrial]], direction: Direction) -> list[_Candidate]:
    """Return candidates, the best first: the confirmed ones by their further seeds, then the others.

    Whoever had further seeds in fewer stages was significantly worse then, and comes after those that went on.
    """
    further, searched = [
        {
            key: [trial.result for trial in trials if trial.result.is_confirming == is_confirming]
            for key, trials in candidates.items()
        }
        for is_confirming in (True, False)
    ]
    ordered: list[_Candidate] = []
    for drawn in sorted({len(of_key) for of_key in further.values() if of_key}, reverse=True):
        alike = _trained({key: of_key for key, of_key in further.items() if len(of_key) == drawn})
        whole = {key: of_key for key, of_key in alike.items() if len(of_key) == drawn}
        partial = {key: of_key for key, of_key in alike.items() if key not in whole}
        ordered += best_candidates(whole, drawn, direction) + best_candidates(partial, drawn, direction)
    rest = _trained({key: of_key for key, of_key in searched.items() if key not in ordered})
    return ordered + best_candidates(rest, max(map(len, rest.values()), default=0), direction)


def _trained(candidates: Mapping[_Candidate, Sequence[TrialResult]]) -> dict[_Candidate, list[TrialResult]]:
    """Return the trained trials of each candidate that has some."""
    trained = {key: [one for one in results if one.is_trained] for key, results in candidates.items()}
    return {key: results for key, results in trained.items() if results}


def plan_leaders(
    spec: ExperimentSpec, leaders: Leaders, memory_bytes: int | None, datasets: Mapping[str, DatasetSchema]
) -> ExperimentPlan:
    """Plan an experiment that trains the best candidates of an earlier one.

    Args:
        spec: what was submitted.
        leaders: the candidates to train.
        memory_bytes: what a worker may use, if that is known.
        datasets: those there are, by name.

    Raises:
        InvalidSpec: something cannot train.
    """
    if spec.confirm is not None:
        detail = "leaders were chosen before; in place of confirm, give other seeds than those they were chosen by"
        raise InvalidSpec([Fault(pointer="/confirm", detail=detail)])
    checker = TrialChecker(spec, memory_bytes, datasets)
    count = len(leaders.chosen) * len(spec.repeats)
    if count > MAX_TRIALS:
        detail = f"{len(leaders.chosen)} candidates make {count:,} trials; at most {MAX_TRIALS:,} fit one experiment"
        raise InvalidSpec([Fault(pointer="/sampler/top", detail=detail)])
    templates = {template.model_name: template for template in templates_of(checker.spec)}
    trials: list[SampledTrial] = []
    for leader in leaders.chosen:
        template = templates[leader.template.model_name]
        for repeat in spec.repeats:
            trial = template.trial(len(trials) + 1, leader.values, repeat, is_repeated=len(spec.seeds) > 1)
            trials.append(replace(trial, continues=_continued(trial, leader.trials)))
    plan = plan_at_once(checker, trials, datasets)
    warnings = [*plan.warnings, *_fewer_leaders(spec, leaders.chosen)]
    return replace(plan, warnings=warnings, chosen_among=leaders.among)


def _continued(trial: SampledTrial, earlier: Sequence[EndedTrial]) -> Continued | None:
    """Return the state that a trial goes on from: of an earlier trial that was the same, for fewer epochs."""
    if trial.spec.pruner is not None:  # rungs may be among the epochs that would not be judged again
        return None
    document = trial.spec.model_dump(mode="json")
    for one in earlier:
        if one.document is None or (one.result.seed, one.result.fold) != (trial.spec.seed, trial.spec.fold):
            continue
        with suppress(ValidationError):  # it was stored by a version whose trials are no longer valid
            before = TrialSpec.model_validate(one.document)
            trained, wanted = (sampled_value(spec.fit.epochs) for spec in (before, trial.spec))
            is_same = _without_length(before.model_dump(mode="json")) == _without_length(document)
            if is_same and one.result.epochs == trained < wanted:
                return one.last_state
    return None


def _without_length(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial's spec without what says when it ends, and what is kept of it then."""
    fit = {key: value for key, value in document["fit"].items() if key not in {"epochs", "delete_checkpoint"}}
    return {**document, "fit": fit, "pruner": None}


def _fewer_leaders(spec: ExperimentSpec, leaders: Sequence[Leader]) -> list[Fault]:
    """Warn of fewer candidates than were asked for."""
    if not isinstance(spec.sampler, LeadersSampler) or len(leaders) == spec.sampler.top:
        return []
    found = f"{len(leaders)} candidate{'' if len(leaders) == 1 else 's'}"
    detail = f"the experiment has {found} that can be trained here, in place of {spec.sampler.top}"
    return [Fault(pointer="/sampler/top", detail=detail)]
