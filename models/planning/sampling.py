"""Sampling of trials from search spaces: pure, and equal on every machine for equal specs.

Of samplers that learn from results, this is the first round; `models.planning.rounds` draws the others. Trials are
validated in `fittingroom.specs.validation.trainability`.
"""

import itertools
import random
from collections.abc import Iterator, Mapping

from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec, pointer
from fittingroom.specs.limits import MAX_TRIALS
from fittingroom.specs.search.samplers import GridSampler, LeadersSampler, RoundSampler
from models.planning.combinations import Combinations
from models.planning.options import in_experiment
from models.planning.paths import Key, Values
from models.planning.spaces import count_values
from models.planning.templates import SampledTrial, Template, templates_of


def sample(spec: ExperimentSpec) -> list[SampledTrial]:
    """Expand an experiment into its trials: models, then combinations of values, then seeds, then folds.

    Raises:
        InvalidSpec: too many trials, or a space that the sampler cannot draw from.
    """
    templates = templates_of(spec)
    refuse_too_many(spec, templates)
    trials: list[SampledTrial] = []
    for template in templates:
        for values in _combinations(spec, template):
            for repeat in spec.repeats:
                trials.append(template.trial(len(trials) + 1, values, repeat, is_repeated=len(spec.seeds) > 1))
    return trials


def count_undrawn(spec: ExperimentSpec, drawn: int) -> int:
    """Return how many trials later rounds of an experiment will have, if its first one has so many."""
    if isinstance(spec.sampler, RoundSampler):
        return count_trials(spec, {}) - drawn
    return _count_confirming(spec, drawn // len(spec.repeats))


def count_trials(spec: ExperimentSpec, known: Mapping[str | None, int]) -> int:
    """Return how many trials a search in rounds has, if so many combinations of each network are known beforehand."""
    return sum(candidates_of_networks(spec, known)) * len(spec.repeats) + count_confirming_trials(spec, known)


def count_confirming_trials(spec: ExperimentSpec, known: Mapping[str | None, int]) -> int:
    """Return how many trials confirm the best candidates of an experiment, if all of those can be trained.

    Args:
        spec: the experiment.
        known: number of combinations of each network that are known beforehand, and not trained.
    """
    return _count_confirming(spec, sum(candidates_of_networks(spec, known)))


def distinct_values(combinations: Combinations, points: Iterator[list[float]], drawn: set[Key]) -> Iterator[Values]:
    """Yield the values at points that were not drawn yet; none is left where a range has hardly any numbers.

    Args:
        combinations: those there are.
        points: coordinates of each space, from 0 to below 1.
        drawn: the combinations that were drawn before; those yielded are added.
    """
    repeats = 0
    for point in points:
        values = combinations.at(point)
        key = combinations.key(values)
        repeats = repeats + 1 if key in drawn else 0
        if not repeats:
            drawn.add(key)
            yield values
        if repeats == _MAX_REPEATS:
            return


def quasi_random_points(seed: int, template: Template) -> Iterator[list[float]]:
    """Yield points of a scrambled Sobol sequence; each network has its own."""
    from scipy.stats import qmc  # noqa: PLC0415 - takes half a second to load, and few searches need it

    number = int.from_bytes(f"{seed}/{template.model_name}".encode(), "big")
    sequence = qmc.Sobol(len(template.combinations.spaces), rng=number)
    while True:
        yield from sequence.random(_POINTS_AT_ONCE).tolist()


def random_points(seed: int, template: Template) -> Iterator[list[float]]:
    """Yield points of the unit cube, each coordinate from a stream of its own.

    So a further search space changes none of the others, as long as no combination comes twice.
    """
    for draw in itertools.count():
        # `random()` alone: its numbers are the same in all versions of Python.
        yield [
            random.Random(f"{seed}/{template.model_name}/{draw}/{path}").random()  # noqa: S311
            if len(space.get("choice", ())) != 1
            else 0.0  # nothing is drawn
            for path, space in template.combinations.spaces.items()
        ]


_MAX_REPEATS = 100
"""Combinations drawn before, one after the other, after which no more is drawn: of others, half are new at least."""
_POINTS_AT_ONCE = 64
_COUNTED = 10**12


def _combinations(spec: ExperimentSpec, template: Template) -> Iterator[Values]:
    """Yield the values of each space: those of a grid, or as many as are drawn, none twice."""
    sampler, combinations = spec.sampler, template.combinations
    size = combinations.count
    listed = combinations.every_one() if size <= MAX_TRIALS * 2 else iter(())
    if isinstance(sampler, GridSampler):
        yield from listed
        return
    if isinstance(sampler, LeadersSampler):
        raise TypeError("leaders are chosen from results: see models.planning.leaders")
    wanted = min(sampler.trials, sampler.round) if isinstance(sampler, RoundSampler) else sampler.trials
    if wanted >= size:
        yield from listed
    elif 2 * wanted > size:  # drawing would often find what was drawn before
        every = list(listed)
        stream = random.Random(f"{sampler.seed}/{template.model_name}")  # noqa: S311
        keys = [stream.random() for _ in every]
        places = sorted(range(len(every)), key=keys.__getitem__)[:wanted]
        yield from (every[place] for place in places)
    else:
        points = random_points if sampler.name == "random" else quasi_random_points
        yield from itertools.islice(distinct_values(combinations, points(sampler.seed, template), set()), wanted)


def _count_drawn(spec: ExperimentSpec, template: Template, known: int = 0) -> int:
    """Return how many combinations of a template are trained in the end, beside known ones."""
    size = template.combinations.count - known
    sampler = spec.sampler
    return int(size if isinstance(sampler, GridSampler | LeadersSampler) else min(sampler.trials, size))


def candidates_of_networks(spec: ExperimentSpec, known: Mapping[str | None, int]) -> list[int]:
    """Return how many combinations of each network are trained in the end, if so many are known beforehand."""
    return [_count_drawn(spec, template, known.get(template.model_name, 0)) for template in templates_of(spec)]


def _count_confirming(spec: ExperimentSpec, candidates: int) -> int:
    if spec.confirm is None:
        return 0
    return min(spec.confirm.top, candidates) * len(spec.repeats_of(range(spec.confirm.seeds)))


def refuse_too_many(spec: ExperimentSpec, templates: list[Template]) -> None:
    """Count the trials by arithmetic, before any is made.

    Raises:
        InvalidSpec: they are too many, or a space that the sampler cannot draw from.
    """
    if isinstance(spec.sampler, GridSampler):
        for template in templates:
            _refuse_continuous(template)
    candidates = sum(_count_drawn(spec, template) for template in templates)
    total = candidates * len(spec.repeats) + _count_confirming(spec, candidates)
    if total > MAX_TRIALS:
        # Beyond that, the number alone would be thousands of digits.
        found = f"{total:,}" if total <= _COUNTED else f"more than {_COUNTED:,}"
        detail = f"this makes {found} trials; at most {MAX_TRIALS:,} fit one experiment; use fewer choices or seeds, "
        detail += 'or "sampler": {"name": "random", "trials": …}'
        raise InvalidSpec([Fault(pointer="", detail=detail)])


def _refuse_continuous(template: Template) -> None:
    """Refuse a range that a grid cannot list."""
    for path, space in template.combinations.spaces.items():
        if count_values(space) == float("inf"):
            place = in_experiment(path, template.model_name)
            detail = 'the grid sampler cannot list a continuous range; use {"choice": […]}, a "step", or '
            detail += '"sampler": {"name": "random", "trials": …}'
            raise InvalidSpec([Fault(pointer=pointer(place), detail=detail, found=str(space))])
