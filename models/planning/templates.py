"""Templates of trials: the document of a network's trials, search spaces still in it, and trials made of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fittingroom.specs.experiment import ExperimentSpec, TrialSpec
from fittingroom.specs.faults import InvalidSpec, faults_in
from fittingroom.specs.fit import Objective
from fittingroom.specs.metrics import better_direction
from fittingroom.specs.search_space import search_space_kind

Path = tuple[str | int, ...]
Value = float | int | str | bool
Values = Mapping[Path, Value]
"""A combination: the value in the place of each search space."""

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
class Template:
    """The document of a model's trials, search spaces still in it."""

    model_name: str | None
    document: dict[str, Any]
    spaces: dict[Path, dict[str, Any]]

    def trial(self, number: int, values: Values, seed: int, *, is_repeated: bool) -> SampledTrial:
        """Return a trial.

        Args:
            number: within the experiment.
            values: the value of each space.
            seed: the trial's.
            is_repeated: True if the same values are trained with other seeds too.

        Raises:
            InvalidSpec: the values do not go together.
        """
        document = (_with_values(self.document, values) if values else self.document) | {"seed": seed}
        try:
            spec = TrialSpec.model_validate(document)
        except ValidationError as error:
            raise InvalidSpec(faults_in(error, document)) from None
        named = {dotted(path): value for path, value in values.items()}
        return SampledTrial(number, self.model_name, named, self._label(named, seed if is_repeated else None), spec)

    def _label(self, values: Mapping[str, Value], seed: int | None) -> str:
        last_words = [name.rpartition(".")[2] for name in values]
        parts = [self.model_name] if self.model_name else []
        for name, word in zip(values, last_words, strict=True):
            short = word if last_words.count(word) == 1 else name.removeprefix("model.")
            parts.append(f"{short}={values[name]:g}" if isinstance(values[name], float) else f"{short}={values[name]}")
        if seed is not None:
            parts.append(f"seed={seed}")
        return ", ".join(parts) or "trial 1"


def templates_of(spec: ExperimentSpec) -> list[Template]:
    """Return the template of each model."""
    dumped = spec.model_dump(mode="json")
    shared = {key: dumped[key] for key in _SHARED} | {"objective": resolved_objective(spec).model_dump(mode="json")}
    models = dumped["models"] if dumped["models"] is not None else {None: dumped["model"]}
    templates = []
    for name, model in models.items():
        document = shared | {"model": model}
        templates.append(Template(name, document, dict(_spaces(document))))
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


def dotted(path: Path) -> str:
    """Return a path as the name of a hyperparameter, such as `optimizer.learning_rate`."""
    return ".".join(map(str, path))


def _with_values(document: Any, values: Values, path: Path = ()) -> Any:  # noqa: ANN401 - JSON
    """Return the document with a plain value in the place of each space."""
    if path in values:
        return values[path]
    if isinstance(document, dict):
        return {key: _with_values(value, values, (*path, key)) for key, value in document.items()}
    if isinstance(document, list):
        return [_with_values(value, values, (*path, index)) for index, value in enumerate(document)]
    return document
