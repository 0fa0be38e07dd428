"""Templates of trials: the document of a network's trials, search spaces still in it, and trials made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from fittingroom.specs.experiment import ExperimentSpec, TrialSpec
from fittingroom.specs.faults import Fault, InvalidSpec, faults_in
from fittingroom.specs.fit import Objective
from fittingroom.specs.objectives import better_direction
from models.planning.combinations import Combinations
from models.planning.options import Chosen, SearchSpaces, find_spaces, in_experiment, moved
from models.planning.paths import Key, Path, Value, Values, dotted, last_word

_SHARED = [name for name in TrialSpec.model_fields if name in {*ExperimentSpec.model_fields} - {"model", "objective"}]
"""Fields that a trial takes from its experiment, with sampled values in place of search spaces."""


@dataclass(frozen=True)
class Continued:
    """A trial that has ended, and whose last state is kept."""

    trial_id: str
    checkpoint: str
    """File that holds its state. Trials whose states are in one file train together again."""
    engine: str
    """Engine that trained it, and that goes on."""


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
    continues: Continued | None = None
    """Trial of an earlier experiment from whose last state it goes on."""
    origins: Mapping[Path, Path] = field(default_factory=dict, compare=False, repr=False)
    """Paths of parts of its document, and where these stand in the client's document, if elsewhere."""

    def refuse(self, refused: InvalidSpec) -> InvalidSpec:
        """Return what refuses this trial with pointers into the client's document."""
        return _in_experiment(refused.faults, self.origins)


@dataclass(frozen=True)
class Template:
    """The document of a model's trials, search spaces still in it."""

    model_name: str | None
    document: dict[str, Any]
    spaces: SearchSpaces

    @property
    def combinations(self) -> Combinations:
        """Combinations of values of the search spaces."""
        return self.spaces.combinations

    def key_of(self, hyperparameters: Mapping[str, Value]) -> Key:
        """Return the key of the combination that a trial has, given its values by dotted path."""
        return self.combinations.key(self.combinations.of_names(hyperparameters))

    def trial(self, number: int, values: Values, repeat: tuple[int, int | None], *, is_repeated: bool) -> SampledTrial:
        """Return a trial.

        Args:
            number: within the experiment.
            values: the value of each space.
            repeat: the trial's seed and fold.
            is_repeated: True if the same values are trained with other seeds too.

        Raises:
            InvalidSpec: the values do not go together.
        """
        chosen = Chosen(self.document, self.spaces, values, self.model_name)
        seed, fold = repeat
        document = chosen.document | {"seed": seed, "fold": fold}
        origins = {place: in_experiment(origin, self.model_name) for place, origin in chosen.origins.items()}
        origins[("model",)] = in_experiment(("model",), self.model_name)
        try:
            spec = TrialSpec.model_validate(document)
        except ValidationError as error:
            raise _in_experiment(faults_in(error, document), origins) from None
        named = {dotted(path): value for path, value in values.items()}
        label = self._label(named, {"seed": seed if is_repeated else None, "fold": fold})
        return SampledTrial(number, self.model_name, named, label, spec, origins=origins)

    def _label(self, values: Mapping[str, Value], repeat: Mapping[str, int | None]) -> str:
        last_words = list(map(last_word, values))
        parts = [self.model_name] if self.model_name else []
        for name, word in zip(values, last_words, strict=True):
            short = word if last_words.count(word) == 1 else name.removeprefix("model.")
            parts.append(f"{short}={values[name]:g}" if isinstance(values[name], float) else f"{short}={values[name]}")
        parts += [f"{word}={number}" for word, number in repeat.items() if number is not None]
        return ", ".join(parts) or "trial 1"


def templates_of(spec: ExperimentSpec) -> list[Template]:
    """Return the template of each model."""
    dumped = spec.model_dump(mode="json")
    shared = {key: dumped[key] for key in _SHARED} | {"objective": resolved_objective(spec).model_dump(mode="json")}
    models = dumped["models"] if dumped["models"] is not None else {None: dumped["model"]}
    templates = []
    for name, model in models.items():
        document = shared | {"model": model}
        templates.append(Template(name, document, find_spaces(document, name)))
    return templates


def resolved_objective(spec: ExperimentSpec) -> Objective:
    """Return the objective with nothing left to guess."""
    metric = "val_loss" if spec.is_validated else "loss"
    if spec.objective is not None:
        metric = spec.objective.metric
    direction = spec.objective.direction if spec.objective is not None else None
    return Objective(metric=metric, direction=direction or better_direction(metric))


def _in_experiment(faults: Sequence[Fault], origins: Mapping[Path, Path]) -> InvalidSpec:
    return InvalidSpec([moved(fault, origins) for fault in faults])
