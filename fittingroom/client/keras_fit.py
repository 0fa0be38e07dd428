"""`client.fit`: a live Keras model becomes an experiment of one trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fittingroom.client.keras_model import CompiledModel, metric_names, spec_of
from fittingroom.views.history_formats import Floats
from fittingroom.views.resources import ExperimentView, TrialSummaryView
from fittingroom.views.submissions import PlanView


class TrialFailedError(Exception):
    """A trial was not completed.

    Attributes:
        trial: the trial, with its fault.
    """

    def __init__(self, trial: TrialSummaryView) -> None:
        self.trial = trial
        super().__init__(f"{trial.id} is {trial.state}" + ("" if trial.fault is None else f": {trial.fault.message}"))


@dataclass(frozen=True)
class FitView:
    """Result of `fit`, with the attributes of a Keras `History`."""

    history: Floats
    """A list a metric, a number an epoch."""
    experiment: ExperimentView
    trial: TrialSummaryView


def fit_spec(
    model: CompiledModel, dataset: str | Mapping[str, Any], fitting: Mapping[str, Any], seed: int, rest: dict[str, Any]
) -> dict[str, Any]:
    """Return the spec of one trial.

    Args:
        model: compiled.
        dataset: its name, or a document.
        fitting: Keras's own arguments of `fit`.
        seed: where first weights and batches come from.
        rest: further keys of the spec; its `fit` stands beside what `fitting` says.
    """
    return spec_of(model, dataset, **rest | {"fit": {**fitting, **rest.get("fit", {})}, "seeds": [seed]})


def refuse_several(plan: PlanView) -> None:
    """Refuse what would be more than one trial: a `fit` gives one history.

    Raises:
        ValueError: a search space stands somewhere.
    """
    count = len(plan.trials) + plan.undrawn_trials
    if count != 1:
        raise ValueError(f"fit trains one trial, and this would be {count}: submit it as an experiment")


def fit_view(ended: ExperimentView, trial: TrialSummaryView, history: Floats, model: CompiledModel) -> FitView:
    """Build the result of a completed trial; its metrics have the names that the model's own `fit` gives them.

    Raises:
        TrialFailedError: the trial was not completed.
    """
    if trial.state != "completed":
        raise TrialFailedError(trial)
    names = metric_names(model)
    names |= {f"val_{ours}": f"val_{given}" for ours, given in names.items()}
    return FitView({names.get(name, name): values for name, values in history.items() if name != "epoch"}, ended, trial)
