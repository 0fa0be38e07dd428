"""Extension of an experiment: more epochs for its best candidates, or more trials of its search."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from fittingroom.specs.base import Int, Spec
from fittingroom.specs.experiment import ExperimentSpec, Name
from fittingroom.specs.limits import MAX_EPOCHS, MAX_PRIOR, MAX_SEEDS, MAX_TRIALS
from fittingroom.specs.search.samplers import RoundSampler
from fittingroom.specs.webhook import Webhook


class Extension(Spec):
    """Extension of an experiment that has ended, as a new experiment. Give either `epochs` or `trials`."""

    epochs: Annotated[Int, Field(ge=2, le=MAX_EPOCHS)] | None = None
    """Number of epochs in all, to which the best candidates are trained. Those of the earlier experiment are not
    trained again if it kept its checkpoints (`"delete_checkpoint": false` in `fit`)."""
    top: Annotated[Int, Field(ge=1, le=MAX_SEEDS)] | None = None
    """Number of candidates that are trained to `epochs`. Default: 5."""
    trials: Annotated[Int, Field(ge=1, le=MAX_TRIALS)] | None = None
    """Number of further combinations per model, drawn from the results of the experiment and of those that it began
    with: by its sampler, or by `gp` if that does not learn from results."""
    name: Name | None = None
    """Display name of the new experiment. Default: the earlier one's."""
    webhook: Webhook | None = None
    """Webhook called when the new experiment has ended. Default: none."""

    @model_validator(mode="after")
    def _one_of_epochs_and_trials(self) -> Self:
        if (self.epochs is None) == (self.trials is None):
            found = "neither" if self.epochs is None else "both"
            raise ValueError(
                "give either 'epochs' (the best candidates are trained further) or 'trials' (the search goes on); "
                f"found {found}"
            )
        if self.top is not None and self.epochs is None:
            raise ValueError("'top' goes with 'epochs' alone: it is the number of candidates trained further")
        return self

    def document(
        self, experiment_id: str, spec: ExperimentSpec, dataset: Mapping[str, Any], prior: Sequence[str] = (),
        backend: str | None = None, *, is_confirmed: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the spec of the new experiment, as JSON.

        Args:
            experiment_id: of the earlier experiment.
            spec: of the earlier experiment.
            dataset: of the earlier experiment, with the hash of each content.
            prior: experiments whose results its search began with.
            backend: that trained the earlier experiment.
            is_confirmed: True if candidates of it were confirmed.
        """
        document = spec.public_dump() | {"name": self.name or spec.name, "dataset": _given(dataset)}
        if backend is not None:
            document["backend"] = backend
        if self.webhook is not None:
            document["webhook"] = {"url": self.webhook.url, "secret": self.webhook.secret.get_secret_value()}
        sampler: dict[str, Any] = {"name": "leaders", "experiment": experiment_id, "top": self.top or 5}
        if self.trials is not None:
            of_before = document["sampler"] if isinstance(spec.sampler, RoundSampler) else {"name": "gp"}
            sampler = of_before | {"trials": self.trials, "prior": [*prior, experiment_id][-MAX_PRIOR:]}
            return document | {"sampler": sampler}
        if is_confirmed and spec.confirm is not None:  # they were chosen by the others
            document["seeds"] = spec.confirm.further_seeds(spec.seeds)
        kept = {key: value for key, value in document.items() if key not in {"confirm", "pruner"}}
        return kept | {"sampler": sampler, "fit": document.get("fit", {}) | {"epochs": self.epochs}}


def _given(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without keys that are null."""
    return {key: _given(one) if isinstance(one, Mapping) else one for key, one in document.items() if one is not None}
