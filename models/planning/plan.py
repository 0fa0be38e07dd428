"""Plan of an experiment: validated trials and cohorts from a spec. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from fittingroom.specs.datasets import BUILT_IN_DATASETS, DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.model import Model
from fittingroom.specs.model_space import ModelSpace
from fittingroom.specs.search.pruners import MedianPruner
from fittingroom.specs.search.samplers import GridSampler, LeadersSampler, RoundSampler
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.validation.trainability import check_experiment, check_trial
from fittingroom.specs.validation.trial_warnings import find_warnings
from models.planning.cohorts import FormedCohort, form_cohorts
from models.planning.memory import estimated_bytes, refuse_too_large
from models.planning.results import TrialResult
from models.planning.sampling import candidates_of_networks, count_undrawn, sample
from models.planning.templates import SampledTrial, templates_of


@dataclass(frozen=True)
class ExperimentPlan:
    """Trials and cohorts of an experiment."""

    trials: list[SampledTrial]
    cohorts: list[FormedCohort]
    parameter_counts: dict[int, int]
    """Parameters of each trial's network, by the trial's number."""
    memory_bytes: dict[int, int]
    """Estimate of what training each trial takes, by the trial's number."""
    warnings: list[Fault] = field(default_factory=list)
    """Warnings: settings that can be trained and are hardly meant."""
    undrawn_trials: int = 0
    """Number of trials that later rounds of the search will have at most."""
    is_of_rounds: bool = False
    """True if these trials are a round of a search."""
    is_confirming: bool = False
    """True if these trials confirm candidates that were chosen before."""
    chosen_among: int = 0
    """Number of candidates of an earlier experiment among which these were chosen, by the same seeds; else 0."""
    prior: Sequence[TrialResult] = ()
    """Results of earlier experiments, with which the search begins."""

    _documents: dict[int, dict[str, Any]] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def documents(self) -> Mapping[int, dict[str, Any]]:
        """Specs of the trials as JSON, by the trial's number; made when they are first asked for."""
        if not self._documents:
            self._documents.update({trial.number: trial.spec.model_dump(mode="json") for trial in self.trials})
        return self._documents


def plan_experiment(
    spec: ExperimentSpec,
    memory_bytes: int | None = None,
    datasets: Mapping[str, DatasetSchema] = BUILT_IN_DATASETS,
) -> ExperimentPlan:
    """Sample, check and form cohorts.

    Args:
        spec: what was submitted.
        memory_bytes: what a worker may use, if that is known.
        datasets: those there are, by name.

    Raises:
        InvalidSpec: something cannot train; nothing was changed anywhere.
    """
    checker = TrialChecker(spec, memory_bytes, datasets)
    trials = sample(checker.spec)
    return plan_at_once(checker, trials, datasets)


def plan_at_once(
    checker: "TrialChecker", trials: list[SampledTrial], datasets: Mapping[str, DatasetSchema]
) -> ExperimentPlan:
    """Return the plan of an experiment, given its first trials, with its warnings.

    Raises:
        InvalidSpec: a trial cannot train.
    """
    spec = checker.spec
    for trial in trials:
        checker.check(trial)
    plan = ExperimentPlan(
        trials, form_cohorts(trials, spec.device), checker.parameter_counts, checker.memory_bytes,
        is_of_rounds=isinstance(spec.sampler, RoundSampler) or spec.confirm is not None,
        undrawn_trials=count_undrawn(spec, len(trials)),
    )  # fmt: skip
    return replace(plan, warnings=plan_warnings(spec, plan, datasets))


def plan_warnings(
    spec: ExperimentSpec, plan: ExperimentPlan, datasets: Mapping[str, DatasetSchema],
    known: Mapping[str | None, int] = MappingProxyType({}),
) -> list[Fault]:  # fmt: skip
    """Return the warnings of an experiment.

    Args:
        spec: what was submitted.
        plan: its first trials.
        datasets: those there are, by name.
        known: number of combinations of each network that are known beforehand, and not trained.
    """
    warnings = [*_fewer_trials(spec, plan.trials, known), *_unpruned(spec, plan, known)]
    return warnings + find_warnings(spec, datasets, list(plan.parameter_counts.values()))


class TrialChecker:
    """Checks trials of an experiment, and measures what they take."""

    def __init__(self, spec: ExperimentSpec, memory_bytes: int | None, datasets: Mapping[str, DatasetSchema]) -> None:
        """Args: as of `plan_experiment`.

        Raises:
            InvalidSpec: something that all trials share cannot train.
        """
        self._schema = check_experiment(spec, datasets)
        self._memory_limit = memory_bytes
        self.spec = with_content(spec, datasets)
        """The spec with the content hash of each dataset."""
        self.parameter_counts: dict[int, int] = {}
        """Parameters of each checked trial's network, by the trial's number."""
        self.memory_bytes: dict[int, int] = {}
        """Estimate of what training each checked trial takes, by the trial's number."""

    def check(self, trial: SampledTrial, *, was_trained: bool = False) -> None:
        """Check a trial.

        Args:
            trial: to check.
            was_trained: True of a candidate that was trained before: it fits into a worker's memory.

        Raises:
            InvalidSpec: it cannot train.
        """
        try:
            network = check_trial(trial.spec, self._schema, ("model",), _given(self.spec, trial.model_name))
        except InvalidSpec as refused:
            raise trial.refuse(refused) from None
        needed = estimated_bytes(trial.spec, network, self._schema.rows)
        if self._memory_limit is not None and not was_trained:
            refuse_too_large(trial.spec, network, needed, self._memory_limit)
        self.parameter_counts[trial.number] = network.parameters
        self.memory_bytes[trial.number] = needed


def _fewer_trials(
    spec: ExperimentSpec, trials: Sequence[SampledTrial], known: Mapping[str | None, int]
) -> Iterator[Fault]:
    """Warn of a search space that has fewer combinations than were to be drawn."""
    if isinstance(spec.sampler, GridSampler | LeadersSampler):
        return
    drawn: Mapping[str | None, int | float] = Counter(
        trial.model_name for trial in trials if (trial.spec.seed, trial.spec.fold) == spec.repeats[0]
    )
    if isinstance(spec.sampler, RoundSampler):
        drawn = {
            template.model_name: template.combinations.count - known.get(template.model_name, 0)
            for template in templates_of(spec)
        }
    for name, count in drawn.items():
        if count < spec.sampler.trials:
            of_model = "" if name is None else f" of {name!r}"
            found = f"{count:,} {'further ' if known.get(name) else ''}combination{'' if count == 1 else 's'}"
            detail = (
                f"the search space{of_model} has {found}; each is trained once, in place of {spec.sampler.trials:,}"
            )
            yield Fault(pointer="/sampler/trials", detail=detail)


def _unpruned(spec: ExperimentSpec, plan: ExperimentPlan, known: Mapping[str | None, int]) -> Iterator[Fault]:
    """Warn of a pruner that stops no trial of some cohorts."""
    cohorts = plan.cohorts
    if spec.pruner is None:
        return
    if not any(
        spec.pruner.rungs(max(sampled_value(one.spec.fit.epochs) for one in cohort.trials)) for cohort in cohorts
    ):
        yield Fault(pointer="/pruner", detail="no trial has a rung before its last epoch, so none is pruned")
        return
    searched = _searched(spec, known)
    most = max((earlier for _, earlier in searched), default=0)
    if isinstance(spec.pruner, MedianPruner):
        if most < spec.pruner.min_candidates:
            detail = (
                f"nothing is pruned: median compares with {spec.pruner.min_candidates:,} or more candidates of earlier "
                f"rounds (`min_candidates`), and the last round here comes after {most:,}; give a sampler that draws "
                "in rounds a smaller `round`, or take successive_halving"
            )
            yield Fault(pointer="/pruner", detail=detail)
        return
    if any(earlier and spec.pruner.kept(count) < count for count, earlier in searched):
        return  # from the second round on, all are compared with earlier rounds
    alone = 0
    for cohort in cohorts:
        candidates = len({(one.model_name, *one.hyperparameters.items()) for one in cohort.trials})
        alone += cohort.engine != "fused" or spec.pruner.kept(candidates) >= candidates
    if alone:
        detail = (
            f"{alone} of {len(cohorts)} cohorts have nothing to prune: trials are compared where they train side by "
            "side, in the fused engine, and enough of them differ in numbers of the optimizer"
        )
        yield Fault(pointer="/pruner", detail=detail)


def _searched(spec: ExperimentSpec, known: Mapping[str | None, int]) -> list[tuple[int, int]]:
    """Return the candidates of each network that is searched in rounds: of all rounds, and of all but the last."""
    if not isinstance(spec.sampler, RoundSampler):
        return []
    size = spec.sampler.round
    return [(count, (count - 1) // size * size) for count in candidates_of_networks(spec, known)]


def _given(spec: ExperimentSpec, model_name: str | None) -> Model | None:
    """Return a network as the client gave it; none if layers are chosen in it, as the trial's are others."""
    given = spec.model if spec.models is None or model_name is None else spec.models[model_name]
    return None if isinstance(given, ModelSpace) else given


def with_content(spec: ExperimentSpec, datasets: Mapping[str, DatasetSchema]) -> ExperimentSpec:
    """Return the spec with the content hash of each uploaded dataset: its name may mean other content later."""
    dataset = spec.dataset
    if dataset.validation is not None:
        content = {"sha256": datasets[dataset.validation.name].sha256}
        dataset = dataset.model_copy(update={"validation": dataset.validation.model_copy(update=content)})
    dataset = dataset.model_copy(update={"sha256": datasets[dataset.name].sha256})
    return spec if dataset == spec.dataset else spec.model_copy(update={"dataset": dataset})
