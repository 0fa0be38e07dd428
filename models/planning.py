"""From a spec to all that will be stored and trained: trials and cohorts, checked. Pure.

May import: specs, sampling, cohorts. Knows neither SQL nor HTTP; the API plans with it, whether it then stores or not.
"""

from dataclasses import dataclass

from models.cohorts import FormedCohort, form_cohorts
from models.sampling import SampledTrial, sample
from models.spec.checks import check_experiment, check_trial
from models.spec.experiment import ExperimentSpec


@dataclass(frozen=True)
class ExperimentPlan:
    """What an experiment will be."""

    trials: list[SampledTrial]
    cohorts: list[FormedCohort]
    parameter_counts: dict[int, int]
    """Parameters of each trial's network, by the trial's number."""


def plan_experiment(spec: ExperimentSpec) -> ExperimentPlan:
    """Sample, check and form cohorts.

    Raises:
        InvalidSpec: something cannot train; nothing was changed anywhere.
    """
    schema = check_experiment(spec)
    trials = sample(spec)
    counts = {trial.number: check_trial(trial.spec, schema, trial.place) for trial in trials}
    return ExperimentPlan(trials, form_cohorts(trials), counts)
