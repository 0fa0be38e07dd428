"""Searches over a table: ours as the service draws them, and Optuna's."""

import itertools
import time
from typing import Any

import optuna

from benchmarks.search.tables import Point, Table
from fittingroom.specs.experiment import ExperimentSpec
from models.planning.combinations import Combinations
from models.planning.options import SearchSpaces
from models.planning.paths import dotted
from models.planning.results import TrialResult
from models.planning.rounds import propose_values
from models.planning.sampling import distinct_values, quasi_random_points, random_points
from models.planning.templates import Template

Found = tuple[list[Point], float]
"""Points in their order, and the mean seconds of drawing a round."""


def ours(table: Table, name: str, round_size: int, trials: int, seed: int) -> Found:
    """Search with one of our samplers."""
    sampler = {"name": name, "trials": trials, "round": round_size, "seed": seed}
    spec = ExperimentSpec.model_validate(
        {
            "name": "a search", "dataset": "titanic", "model": {"layers": [{"type": "flatten"}]}, "optimizer": "sgd",
            "loss": "mse", "sampler": sampler,
        }
    )  # fmt: skip
    # A document in which each space has its place: under `optimizer` are numbers, the others are structural.
    document: dict[str, Any] = {"optimizer": {"name": "sgd"}, "model": {}}
    for (part, key), space in table.spaces.items():
        document[part][key] = space
    combinations = Combinations(dict(table.spaces))
    template = Template(None, document, SearchSpaces(combinations, {}))
    results: list[TrialResult] = []
    points: list[Point] = []
    seconds: list[float] = []
    number = 0
    while len(points) < trials:
        number += 1
        began = time.perf_counter()
        if number == 1:
            drawn = distinct_values(combinations, quasi_random_points(seed, template), set())
        else:
            known = {tuple(one.hyperparameters.values()) for one in results}
            proposed = propose_values(spec, spec.sampler, template, results, number)  # type: ignore[arg-type]
            drawn = (values for values in proposed if tuple(values.values()) not in known)
        round_values = list(itertools.islice(drawn, min(round_size, trials - len(points))))
        if number > 1:
            seconds.append(time.perf_counter() - began)
        for values in round_values:
            point = table.point_of(list(values.values()))
            points.append(point)
            named = {dotted(path): value for path, value in values.items()}
            results.append(
                TrialResult(
                    number, None, named, is_trained=True, is_pruned=False, epochs=1, value=float(table.losses[point])
                )
            )
    return points, sum(seconds) / len(seconds)


def drawn(table: Table, name: str, trials: int, seed: int) -> Found:
    """Draw all at once, at random or quasi-random."""
    template = Template(None, {}, SearchSpaces(Combinations(dict(table.spaces)), {}))
    stream = (random_points if name == "random" else quasi_random_points)(seed, template)
    began = time.perf_counter()
    values = list(itertools.islice(distinct_values(template.combinations, stream, set()), trials))
    return [table.point_of(list(one.values())) for one in values], time.perf_counter() - began


def by_optuna(table: Table, round_size: int, trials: int, seed: int) -> Found:
    """Search with Optuna's TPE, for which ordered numbers are integers."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    points: list[Point] = []
    seconds: list[float] = []

    def ask() -> tuple[optuna.Trial, Point]:
        trial = study.ask()
        return trial, tuple(
            trial.suggest_categorical(name, range(len(choice)))
            if isinstance(choice[0], str)
            else trial.suggest_int(name, 0, len(choice) - 1)
            for name, choice in table.choices.items()
        )

    while len(points) < trials:
        began = time.perf_counter()
        asked = [ask() for _ in range(min(round_size, trials - len(points)))]
        seconds.append(time.perf_counter() - began)
        for trial, point in asked:
            study.tell(trial, float(table.losses[point]))
            points.append(point)
    return points, sum(seconds) / len(seconds)
