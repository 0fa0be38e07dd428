"""Sampling of trials from search spaces: pure, and equal on every machine for equal specs.

Trials are validated in `fittingroom.specs.validation.trainability`.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fittingroom.specs.experiment import ExperimentSpec, GridSampler, TrialSpec
from fittingroom.specs.faults import Fault, InvalidSpec, faults_in, pointer
from fittingroom.specs.fit import Objective
from fittingroom.specs.limits import MAX_TRIALS
from fittingroom.specs.metrics import better_direction
from fittingroom.specs.search_space import search_space_kind

Path = tuple[str | int, ...]
Value = float | int | str | bool

_SHARED = [name for name in TrialSpec.model_fields if name in {*ExperimentSpec.model_fields} - {"model", "objective"}]
"""Fields that a trial takes from its experiment, with sampled values in place of search spaces."""


@dataclass(frozen=True)
class SampledTrial:
    """A trial before it has an id."""

    number: int
    """Number within the experiment, from 1."""
    model_name: str | None
    """Name of the model under `models`; None with `model`."""
    hyperparameters: dict[str, Value]
    """The chosen values by dotted path, such as `optimizer.learning_rate`."""
    label: str
    """Short label that distinguishes the trial."""
    spec: TrialSpec

    @property
    def place(self) -> tuple[str, ...]:
        """Path of its network in the client's document."""
        return ("model",) if self.model_name is None else ("models", self.model_name)


@dataclass(frozen=True)
class _Template:
    """The document of a model's trials, search spaces still in it."""

    model_name: str | None
    document: dict[str, Any]
    spaces: dict[Path, dict[str, Any]]


def sample(spec: ExperimentSpec) -> list[SampledTrial]:
    """Expand an experiment into its trials: models, then combinations of values, then seeds.

    Raises:
        InvalidSpec: too many trials, or a space that the sampler cannot draw from.
    """
    templates = _templates(spec)
    _refuse_too_many(spec, templates)
    trials: list[SampledTrial] = []
    for template in templates:
        for combination in _combinations(spec, template):
            for seed in spec.seeds:
                document = _with_values(template.document, combination) if combination else template.document
                document = document | {"seed": seed}
                try:
                    trial = TrialSpec.model_validate(document)
                except ValidationError as error:
                    raise InvalidSpec(faults_in(error, document)) from None
                values = {".".join(map(str, path)): value for path, value in combination.items()}
                label = _label(template.model_name, values, seed if len(spec.seeds) > 1 else None)
                trials.append(SampledTrial(len(trials) + 1, template.model_name, values, label, trial))
    return trials


def _templates(spec: ExperimentSpec) -> list[_Template]:
    """Return the template of each model."""
    dumped = spec.model_dump(mode="json")
    shared = {key: dumped[key] for key in _SHARED} | {"objective": resolved_objective(spec).model_dump(mode="json")}
    models = dumped["models"] if dumped["models"] is not None else {None: dumped["model"]}
    templates = []
    for name, model in models.items():
        document = shared | {"model": model}
        templates.append(_Template(name, document, dict(_spaces(document))))
    return templates


def resolved_objective(spec: ExperimentSpec) -> Objective:
    """Return the objective with nothing left to guess."""
    metric = "val_loss" if spec.is_validated else "loss"
    if spec.objective is not None:
        metric = spec.objective.metric
    direction = spec.objective.direction if spec.objective is not None else None
    return Objective(metric=metric, direction=direction or better_direction(metric))


def _spaces(document: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:  # noqa: ANN401 - JSON
    """Every search space in a document, by its path."""
    if isinstance(document, dict):
        if search_space_kind(document) is not None:
            yield path, document
            return
        for key, value in document.items():
            if isinstance(value, dict | list):
                yield from _spaces(value, (*path, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            if isinstance(value, dict | list):
                yield from _spaces(value, (*path, index))


def _combinations(spec: ExperimentSpec, template: _Template) -> Iterator[dict[Path, Value]]:
    """Yield the values of each space: those of a grid, or as many as are drawn, none twice."""
    spaces, sampler = template.spaces, spec.sampler
    if isinstance(sampler, GridSampler) or sampler.trials >= _size(spaces):
        found: Iterator[tuple[Value, ...]] = itertools.product(*map(_listed, spaces.values()))
    elif 2 * sampler.trials > _size(spaces):  # drawing would often find what was drawn before
        listed = list(itertools.product(*map(_listed, spaces.values())))
        stream = random.Random(f"{sampler.seed}/{template.model_name}")  # noqa: S311
        keys = [stream.random() for _ in listed]
        found = iter([listed[place] for place in sorted(range(len(listed)), key=keys.__getitem__)[: sampler.trials]])
    else:
        found = _distinct(template, _POINTS[sampler.name](sampler.seed, template), sampler.trials)
    for values in found:
        yield dict(zip(spaces, values, strict=True))


def _distinct(template: _Template, points: Iterator[list[float]], wanted: int) -> Iterator[tuple[Value, ...]]:
    """Yield the values at points, each once; fewer than are wanted where a range has hardly any numbers."""
    drawn: set[tuple[Value, ...]] = set()
    repeats = 0
    for point in points:
        values = tuple(map(_draw, template.spaces.values(), point))
        repeats = repeats + 1 if values in drawn else 0
        if not repeats:
            drawn.add(values)
            yield values
        if len(drawn) == wanted or repeats == _MAX_REPEATS:
            return


def _random_points(seed: int, template: _Template) -> Iterator[list[float]]:
    """Yield points of the unit cube, each coordinate from a stream of its own.

    So a further search space changes none of the others, as long as no combination comes twice.
    """
    for draw in itertools.count():
        # `random()` alone: its numbers are the same in all versions of Python.
        yield [
            random.Random(f"{seed}/{template.model_name}/{draw}/{path}").random()  # noqa: S311
            if len(space.get("choice", ())) != 1
            else 0.0  # nothing is drawn
            for path, space in template.spaces.items()
        ]


def _quasi_random_points(seed: int, template: _Template) -> Iterator[list[float]]:
    """Yield points of a scrambled Sobol sequence; each network has its own."""
    from scipy.stats import qmc  # noqa: PLC0415 - takes half a second to load, and few searches need it

    number = int.from_bytes(f"{seed}/{template.model_name}".encode(), "big")
    sequence = qmc.Sobol(len(template.spaces), rng=number)
    while True:
        yield from sequence.random(_POINTS_AT_ONCE).tolist()


_MAX_REPEATS = 100
"""Combinations drawn before, one after the other, after which no more is drawn: of others, half are new at least."""
_POINTS_AT_ONCE = 64
_POINTS = {"random": _random_points, "quasi_random": _quasi_random_points}


def _size(spaces: Mapping[Path, dict[str, Any]]) -> int | float:
    """Return how many combinations there are, by arithmetic; 1 without a space."""
    if any("uniform" in space or "log_uniform" in space for space in spaces.values()):
        return math.inf
    return math.prod(
        len(space["choice"]) if "choice" in space else 1 + space["int_uniform"][1] - space["int_uniform"][0]
        for space in spaces.values()
    )


def _draw(space: dict[str, Any], part: float) -> Value:
    """Return the value of a space at a part of it, from 0 to below 1."""
    key, values = next(iter(space.items()))
    if key == "choice":
        chosen: Value = values[int(part * len(values))]
        return chosen
    low, high = values
    if key == "uniform":
        return float(low + part * (high - low))
    if key == "log_uniform":
        drawn = math.exp(math.log(low) + part * (math.log(high) - math.log(low)))
        return float(min(max(drawn, low), high))  # rounding must not leave the range
    return int(low) + int(part * (high - low + 1))


def _listed(space: dict[str, Any]) -> list[Value]:
    """All values of a space, for the grid."""
    if "choice" in space:
        return list(space["choice"])
    low, high = space["int_uniform"]
    return list(range(low, high + 1))


def _refuse_too_many(spec: ExperimentSpec, templates: list[_Template]) -> None:
    """Count the trials by arithmetic, before any is made."""
    total = 0
    for template in templates:
        model_name, spaces = template.model_name, template.spaces
        if not isinstance(spec.sampler, GridSampler):
            total += int(min(spec.sampler.trials, _size(spaces))) * len(spec.seeds)
            continue
        for path, space in spaces.items():
            if "uniform" in space or "log_uniform" in space:
                place: Path = ("models", model_name, *path[1:]) if model_name and path[0] == "model" else path
                detail = 'the grid sampler cannot list a continuous range; use {"choice": […]}, or '
                detail += '"sampler": {"name": "random", "trials": …}'
                raise InvalidSpec([Fault(pointer=pointer(place), detail=detail, found=str(space))])
        total += int(_size(spaces)) * len(spec.seeds)
    if total > MAX_TRIALS:
        detail = f"this makes {total:,} trials; at most {MAX_TRIALS:,} fit one experiment; use fewer choices or seeds, "
        detail += 'or "sampler": {"name": "random", "trials": …}'
        raise InvalidSpec([Fault(pointer="", detail=detail)])


def _with_values(document: Any, values: dict[Path, Value], path: Path = ()) -> Any:  # noqa: ANN401 - JSON
    """Return the document with a plain value in the place of each space."""
    if path in values:
        return values[path]
    if isinstance(document, dict):
        return {key: _with_values(value, values, (*path, key)) for key, value in document.items()}
    if isinstance(document, list):
        return [_with_values(value, values, (*path, index)) for index, value in enumerate(document)]
    return document


def _label(model_name: str | None, values: dict[str, Value], seed: int | None) -> str:
    last_words = [name.rpartition(".")[2] for name in values]
    parts = [model_name] if model_name else []
    for name, word in zip(values, last_words, strict=True):
        short = word if last_words.count(word) == 1 else name.removeprefix("model.")
        parts.append(f"{short}={values[name]:g}" if isinstance(values[name], float) else f"{short}={values[name]}")
    if seed is not None:
        parts.append(f"seed={seed}")
    return ", ".join(parts) or "trial 1"
