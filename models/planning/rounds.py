"""Rounds of a search: what is drawn next follows from the results so far, the spec and its seed alone."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fittingroom.specs.datasets import DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.limits import MAX_TRIALS
from fittingroom.specs.search.samplers import RoundSampler
from models.planning.cohorts import form_cohorts, is_structural
from models.planning.combinations import Combinations
from models.planning.confirmation import plan_stage
from models.planning.paths import Key, Values
from models.planning.plan import ExperimentPlan, TrialChecker, plan_warnings
from models.planning.prior import EarlierTrial, select_results
from models.planning.results import SearchResults, TrialResult, rank_candidates
from models.planning.sampling import (
    count_confirming_trials,
    count_trials,
    distinct_values,
    quasi_random_points,
    refuse_too_many,
)
from models.planning.spaces import in_order
from models.planning.surrogates.cube import Cube, Observations
from models.planning.surrogates.evolution import propose_by_evolution
from models.planning.surrogates.gaussian_process import propose_by_gaussian_process
from models.planning.surrogates.parzen import propose_by_parzen
from models.planning.templates import SampledTrial, Template, resolved_objective, templates_of

_PROPOSALS = {"cma_es": propose_by_evolution, "gp": propose_by_gaussian_process, "tpe": propose_by_parzen}
_STARTUP = 10
"""Number of results that a surrogate needs; with fewer, points are quasi-random."""
_TRIALS_PER_STRUCTURE, _LEAST_STRUCTURES = 3, 3
"""Combinations of a round for each set of structural values, and least number of such sets: each is a program."""
_MAX_REFUSED = 1_000
"""Number of combinations that cannot train, after which a round looks for no others."""


def plan_round(
    spec: ExperimentSpec, results: SearchResults, memory_bytes: int | None, datasets: Mapping[str, DatasetSchema]
) -> ExperimentPlan:
    """Draw the next round of a search, or the trials that confirm its best candidates.

    Combinations that cannot train are passed over: submitting checks those of the first round alone.

    Args:
        spec: what was submitted; its sampler learns from results, or it has `confirm`.
        results: what was found so far.
        memory_bytes: what a worker may use, if that is known.
        datasets: those of the experiment, by name.

    Returns:
        The plan of the round alone. It has no trial if nothing is left to do: nothing else can be trained.
    """
    checker = TrialChecker(spec, memory_bytes, datasets)
    known = Counter(name for name, _ in _known(templates_of(checker.spec), results.prior))
    confirming = count_confirming_trials(checker.spec, known)
    trials, warnings = list[SampledTrial](), list[Fault]()
    if results.undrawn_trials > confirming and isinstance(spec.sampler, RoundSampler):
        if not results.trials or any(one.is_trained for one in results.trials if one.round == results.round):
            for template in templates_of(checker.spec):
                trials += _draw(checker, template, results, len(results.trials) + len(trials) + 1)
            detail = f"the search ended after round {results.round}: no other combination can be trained"
        else:
            detail = f"the search ended after round {results.round}, of which no trial was trained to its end"
        warnings = [] if trials else [Fault(pointer="/sampler", detail=detail)]
    left = max(confirming, results.undrawn_trials - len(trials))
    is_confirming = not trials
    if is_confirming:
        stage = plan_stage(checker, results, min(confirming, results.undrawn_trials))
        trials, left = [*stage.trials], stage.undrawn_trials
        warnings += stage.warnings
    cohorts = form_cohorts(trials, spec.device, results.cohorts + 1)
    return ExperimentPlan(
        trials, cohorts, checker.parameter_counts, checker.memory_bytes, warnings, undrawn_trials=left,
        is_of_rounds=True, is_confirming=is_confirming,
    )  # fmt: skip


def plan_search(
    spec: ExperimentSpec, earlier: Sequence[Sequence[EarlierTrial]], memory_bytes: int | None,
    datasets: Mapping[str, DatasetSchema],
) -> ExperimentPlan:  # fmt: skip
    """Plan an experiment whose search begins with results of earlier ones: the first round is drawn from these.

    Args:
        spec: what was submitted.
        earlier: trained trials of each earlier experiment.
        memory_bytes: what a worker may use, if that is known.
        datasets: those there are, by name.

    Raises:
        InvalidSpec: the experiment cannot train, results of an experiment do not count, or nothing is left to train.
    """
    checked = TrialChecker(spec, memory_bytes, datasets).spec
    refuse_too_many(checked, templates_of(checked))
    prior = select_results(checked, earlier)
    known = Counter(name for name, _ in _known(templates_of(spec), prior))
    first = plan_round(spec, SearchResults([], 0, count_trials(spec, known), prior), memory_bytes, datasets)
    if not first.trials or first.is_confirming:
        detail = "the earlier experiments have trained all combinations that can be trained"
        raise InvalidSpec([Fault(pointer="/sampler/prior", detail=detail)])
    detail = f"the search begins with {known.total():,} candidates of earlier experiments"
    if len(prior) < sum(map(len, earlier)):
        detail += f"; {len(prior):,} of {sum(map(len, earlier)):,} trials that were trained there count"
    begins = Fault(pointer="/sampler/prior", detail=detail)
    return replace(first, warnings=[*plan_warnings(spec, first, datasets, known), begins], prior=prior)


def _known(templates: Sequence[Template], prior: Sequence[TrialResult]) -> set[tuple[str | None, Key]]:
    """Return the combinations of earlier experiments, each with the name of its network."""
    by_name = {template.model_name: template for template in templates}
    return {(one.model_name, by_name[one.model_name].key_of(one.hyperparameters)) for one in prior}


def _draw(checker: TrialChecker, template: Template, results: SearchResults, first_number: int) -> list[SampledTrial]:
    """Return the trials of a model's next round."""
    spec, sampler = checker.spec, checker.spec.sampler
    if not isinstance(sampler, RoundSampler):
        raise TypeError(f"expected a sampler that draws in rounds, found {sampler.name}")
    mine = [trial for trial in (*results.prior, *results.trials) if trial.model_name == template.model_name]
    drawn = {template.key_of(trial.hyperparameters) for trial in mine}
    own = len(
        {template.key_of(trial.hyperparameters) for trial in results.trials if trial.model_name == template.model_name}
    )
    wanted = int(min(sampler.round, sampler.trials - own, template.combinations.count - len(drawn)))
    trials: list[SampledTrial] = []
    refused = 0
    for values in propose_values(spec, sampler, template, mine, results.round + 1):
        if len(trials) >= wanted * len(spec.repeats) or refused > _MAX_REFUSED:
            break
        key = template.combinations.key(values)
        if key in drawn:
            continue
        drawn.add(key)
        numbers = itertools.count(first_number + len(trials))
        try:
            of_seeds = [
                template.trial(next(numbers), values, repeat, is_repeated=len(spec.seeds) > 1)
                for repeat in spec.repeats
            ]
            for trial in of_seeds:
                checker.check(trial)
        except InvalidSpec:
            refused += 1
        else:
            trials += of_seeds
    return trials


def propose_values(
    spec: ExperimentSpec, sampler: RoundSampler, template: Template, trials: Sequence[TrialResult], number: int
) -> Iterator[Values]:
    """Yield combinations: those of the surrogate, then quasi-random ones, then all if there are not too many.

    Args:
        spec: the experiment.
        sampler: the experiment's.
        template: the model's.
        trials: the model's so far.
        number: of the round.
    """
    by_key: dict[Key, list[TrialResult]] = {}
    for trial in trials:
        by_key.setdefault(template.key_of(trial.hyperparameters), []).append(trial)
    trained = {key: some for key, of_key in by_key.items() if (some := [one for one in of_key if one.is_trained])}
    # The mean over some seeds or folds is not to be compared with that over all; earlier ones were selected.
    whole = {key: some for key, some in trained.items() if some[0].is_prior or len(some) == len(spec.repeats)}
    trained = whole if len(whole) >= _STARTUP else trained
    if len(trained) >= _STARTUP:
        yield from _by_surrogate(spec, sampler, template, trained, number)
    points = itertools.islice(quasi_random_points(sampler.seed, template), len(by_key), None)
    yield from distinct_values(template.combinations, points, set(by_key))
    if template.combinations.count <= 2 * MAX_TRIALS:
        yield from template.combinations.every_one()


def _by_surrogate(
    spec: ExperimentSpec,
    sampler: RoundSampler,
    template: Template,
    trained: Mapping[Key, Sequence[TrialResult]],
    number: int,
) -> Iterator[Values]:
    given = template.combinations
    combinations = Combinations({path: in_order(space) for path, space in given.spaces.items()}, given.conditions)
    cube = Cube.of(combinations, [is_structural(template.document, path) for path in combinations.spaces])
    observations = Observations(
        cube,
        cube.snapped(np.array([combinations.point(key) for key in trained])),
        np.array(rank_candidates(list(trained.values()), resolved_objective(spec).direction or "minimize"), np.float64),
        max(_LEAST_STRUCTURES, math.ceil(sampler.round / _TRIALS_PER_STRUCTURE)),
        np.random.default_rng(int.from_bytes(f"{sampler.seed}/{template.model_name}/{number}".encode(), "big")),
        sampler.round,
        sum(some[0].is_prior or some[0].round == 1 for some in trained.values()),
    )
    for point in _PROPOSALS[sampler.name](observations):
        yield combinations.at(point.tolist())
