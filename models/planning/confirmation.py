"""Confirmation: further seeds for the best candidates of an experiment, in stages.

A group sequential design (Jennison & Turnbull, "Group Sequential Methods", 2000, ch. 2): after each stage, candidates
that are significantly worse than the best have no more seeds. Each look has an equal part of the error rate
(Bonferroni), so the rates of the comparison hold whoever goes on.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from fittingroom.specs.choices import Direction
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.search.samplers import Confirm
from models.planning.paths import Key
from models.planning.plan import TrialChecker
from models.planning.results import SearchResults, TrialResult, best_candidates
from models.planning.significance import Repeat, estimate, is_significantly_better, level_among, means_of_folds, paired
from models.planning.templates import SampledTrial, Template, resolved_objective, templates_of

CandidateKey = tuple[str | None, Key]
"""Name of the network, and the candidate's values."""


@dataclass(frozen=True)
class Stage:
    """Trials of a stage of the confirmation."""

    trials: Sequence[SampledTrial]
    """Without any, the confirmation has ended."""
    undrawn_trials: int = 0
    """Number of trials that later stages have at most."""
    warnings: Sequence[Fault] = ()


def plan_stage(checker: TrialChecker, results: SearchResults, trials_left: int) -> Stage:
    """Plan the next stage of the confirmation.

    Args:
        checker: of the experiment.
        results: what was found so far, by the search and by earlier stages.
        trials_left: number of trials that confirm, if all candidates can be trained.
    """
    spec, confirm = checker.spec, checker.spec.confirm
    if confirm is None:
        return Stage([])
    direction = resolved_objective(spec).direction or "minimize"
    templates = {one.model_name: replace(one, document=one.document | {"pruner": None}) for one in templates_of(spec)}
    confirming = _by_candidate(templates, [one for one in results.trials if one.is_confirming])
    if not confirming:
        searched = _by_candidate(templates, [one for one in results.trials if one.is_trained])
        best = [(templates[name], key) for name, key in best_candidates(searched, len(spec.repeats), direction)]
        return _first_stage(checker, confirm, best, len(results.trials), trials_left)
    trained = max(len({one.seed for one in of_candidate}) for of_candidate in confirming.values())
    stage = 1 + sum(confirm.seeds_after(earlier) <= trained for earlier in range(1, confirm.stages + 1))
    if stage > confirm.stages:
        return Stage([])
    going = undecided(confirming, confirm.stages, spec.fit.folds or 1, direction)
    trials: list[SampledTrial] = []
    for name, key in going if len(going) > 1 else []:
        before = len(results.trials) + len(trials)
        trials += _trials(checker, templates[name], key, _repeats(spec, confirm, stage), before, was_trained=True)
    return Stage(trials, _undrawn(spec, confirm, stage, len(going)) if trials else 0)


def undecided(
    confirming: Mapping[CandidateKey, Sequence[TrialResult]], stages: int, folds: int, direction: Direction
) -> list[CandidateKey]:
    """Return the candidates that may still be the best: the one that is so far, and those not significantly worse.

    Args:
        confirming: the trials with further seeds, all of which have ended, of each candidate.
        stages: number of stages.
        folds: number of folds; 1 without folds.
        direction: of the objective.
    """
    drawn = max(map(len, confirming.values()))
    values = {
        key: {(one.seed, one.fold): one.value for one in trials if one.is_trained and one.value is not None}
        for key, trials in confirming.items()
        if len(trials) == drawn  # of those with fewer, an earlier stage has decided
    }
    values = {key: of_candidate for key, of_candidate in values.items() if of_candidate}
    if not values:
        return []
    most, sign = max(map(len, values.values())), 1 if direction == "minimize" else -1
    whole = [key for key in values if len(values[key]) == most]
    leader = min(whole, key=lambda key: sign * math.fsum(values[key].values()))
    advantages = [means_of_folds(paired(values[leader], values[key], direction)) for key in values]
    level = level_among(len(confirming), stages)
    return [
        key
        for key, mine, found in zip(values, advantages, estimate(advantages, folds), strict=True)
        if not is_significantly_better(mine, found, level)
    ]


def _by_candidate(
    templates: Mapping[str | None, Template], trials: Sequence[TrialResult]
) -> dict[CandidateKey, list[TrialResult]]:
    found: dict[CandidateKey, list[TrialResult]] = {}
    for one in trials:
        key = templates[one.model_name].key_of(one.hyperparameters)
        found.setdefault((one.model_name, key), []).append(one)
    return found


def _repeats(spec: ExperimentSpec, confirm: Confirm, stage: int) -> list[Repeat]:
    """Return seed and fold of each trial that a candidate has in a stage."""
    seeds = confirm.further_seeds(spec.seeds)
    return spec.repeats_of(seeds[confirm.seeds_after(stage - 1) : confirm.seeds_after(stage)])


def _undrawn(spec: ExperimentSpec, confirm: Confirm, stage: int, candidates: int) -> int:
    later = range(stage + 1, confirm.stages + 1)
    return candidates * sum(len(_repeats(spec, confirm, one)) for one in later)


def _first_stage(
    checker: TrialChecker, confirm: Confirm, best: Sequence[tuple[Template, Key]], before: int, trials_left: int
) -> Stage:
    """Return the trials of the best candidates, numbered after so many."""
    spec = checker.spec
    repeats, whole = _repeats(spec, confirm, 1), spec.repeats_of(confirm.further_seeds(spec.seeds))
    trials = _first_trials(checker, best, repeats, before)
    chosen = len(trials) // len(repeats)
    warnings = _missing(confirm, chosen, trials_left // len(whole))
    if chosen == 1:  # there is no other that it could be worse than
        return Stage(_first_trials(checker, best, whole, before), 0, warnings)
    return Stage(trials, _undrawn(spec, confirm, 1, chosen), warnings)


def _first_trials(
    checker: TrialChecker, best: Sequence[tuple[Template, Key]], repeats: Sequence[Repeat], before: int
) -> list[SampledTrial]:
    """Return trials of the best candidates that the worker's memory holds, numbered after so many."""
    top = 0 if checker.spec.confirm is None else checker.spec.confirm.top
    drawn: list[SampledTrial] = []
    for template, key in best:
        if len(drawn) == top * len(repeats):
            break
        with suppress(InvalidSpec):  # more memory than this worker has: the next one instead
            drawn += _trials(checker, template, key, repeats, before + len(drawn))
    return drawn


def _trials(
    checker: TrialChecker,
    template: Template,
    key: Key,
    repeats: Sequence[Repeat],
    before: int,
    *,
    was_trained: bool = False,
) -> list[SampledTrial]:
    """Return trials of a candidate, numbered after so many."""
    values, numbers = template.combinations.of_key(key), itertools.count(before + 1)
    trials = [template.trial(next(numbers), values, repeat, is_repeated=True) for repeat in repeats]
    for trial in trials:
        checker.check(trial, was_trained=was_trained)
    return trials


def _missing(confirm: Confirm, chosen: int, wanted: int) -> list[Fault]:
    """Warn of fewer candidates than there should be."""
    detail = "no candidate is confirmed, as none was trained to its end"
    if 0 < wanted <= chosen:
        return []
    if chosen:
        detail = (
            f"{chosen:,} candidates are confirmed in place of {confirm.top:,}: no other was trained to its end, "
            "or the worker's memory holds none"
        )
    return [Fault(pointer="/confirm", detail=detail)]
