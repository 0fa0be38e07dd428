"""Extension of an experiment: more epochs for its best candidates, or more trials of its search."""

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from fittingroom.specs.base import Int, Spec
from fittingroom.specs.experiment import ExperimentSpec, Name
from fittingroom.specs.limits import MAX_EPOCHS, MAX_NAME_LENGTH, MAX_SEEDS, MAX_TRIALS
from fittingroom.specs.search.samplers import RoundSampler
from fittingroom.specs.webhook import Webhook


class Extension(Spec):
    """Extension of an experiment that has ended, as a new experiment. Give either `epochs` or `trials`."""

    model_config = ConfigDict(defer_build=False)

    epochs: Annotated[Int, Field(ge=2, le=MAX_EPOCHS)] | None = None
    """Number of epochs in all, to which the best candidates are trained. Those of the earlier experiment are not
    trained again if it kept its checkpoints (`"delete_checkpoint": false` in `fit`)."""
    top: Annotated[Int, Field(ge=1, le=MAX_SEEDS)] | None = None
    """Number of candidates that are trained to `epochs`. Default: 5."""
    trials: Annotated[Int, Field(ge=1, le=MAX_TRIALS)] | None = None
    """Number of further combinations per model, drawn from all results so far: by the sampler of the experiment, or by
    `gp` if that does not learn from results."""
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

    def document(self, experiment_id: str, spec: ExperimentSpec, sha256: str | None) -> dict[str, Any]:
        """Return the spec of the new experiment, as JSON.

        Args:
            experiment_id: of the earlier experiment.
            spec: of the earlier experiment.
            sha256: of the content that it was trained on, if that was uploaded.
        """
        document = spec.public_dump() | {"name": (self.name or spec.name)[:MAX_NAME_LENGTH]}
        if self.webhook is not None:
            document["webhook"] = {"url": self.webhook.url, "secret": self.webhook.secret.get_secret_value()}
        if sha256 is not None:
            document["dataset"] = {**_as_object(document["dataset"]), "sha256": sha256}
        if self.trials is not None:
            sampler = spec.sampler
            earlier = sampler.prior if isinstance(sampler, RoundSampler) else []
            of_before = document["sampler"] if isinstance(sampler, RoundSampler) else {"name": "gp"}
            return document | {"sampler": of_before | {"trials": self.trials, "prior": [*earlier, experiment_id]}}
        sampler_document = {"name": "leaders", "experiment": experiment_id, "top": self.top or 5}
        kept = {key: value for key, value in document.items() if key not in {"confirm", "pruner"}}
        return kept | {"sampler": sampler_document, "fit": document.get("fit", {}) | {"epochs": self.epochs}}


def _as_object(dataset: str | dict[str, Any]) -> dict[str, Any]:
    return {"name": dataset} if isinstance(dataset, str) else dataset
