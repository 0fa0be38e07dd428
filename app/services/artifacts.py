"""Artifacts: trained networks as files, their summaries, their predictions."""

import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from app.services.datasets import Datasets
from app.services.processes.predictor_process import PredictorProcess
from fittingroom.specs.experiment import DatasetReference, EvaluateBody, TrialSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.validation.dataset_checks import difference, find_dataset
from fittingroom.views import resources
from fittingroom.views.states import TrialState
from models.disk_reserve import keep_reserve
from models.errors import NoWeightsError
from models.lifecycle import TERMINAL
from models.sql import experiments
from models.sql.database import Database
from models.sql.tables import TrialTable


@dataclass(frozen=True)
class ArtifactService:
    """The trained networks of a project."""

    database: Database
    predictor: PredictorProcess
    storage_location: str
    temporary_dir: Path
    datasets: Datasets
    project: str

    def of(self, project: str) -> Self:
        """Return the artifacts of another project."""
        return replace(self, project=project, datasets=self.datasets.of(project))

    def get_summary(self, trial_id: str) -> str:
        """Return Keras's summary of a trial's network; NotFoundError, or NoWeightsError before it was built."""
        with self.database.reading() as session:
            row = experiments.get_trial(session, trial_id, self.project)
        if row.model_summary is None:
            raise NoWeightsError(trial_id, "no worker has built its network yet")
        return row.model_summary

    def save(self, trial_id: str) -> Path:
        """Write a trial's network as a `.keras` file, to be removed by the caller; blocks.

        Raises:
            NotFoundError: there is no such trial.
            NoWeightsError: it has no weights.
            PredictorUnavailableError: it cannot be written now.
            DiskFullError: there is no room for it.
        """
        row = self.find_trained(trial_id)
        keep_reserve(self.temporary_dir)
        handle, name = tempfile.mkstemp(dir=self.temporary_dir, suffix=".keras")
        os.close(handle)
        try:
            self._ask(row, {"action": "save", "output": name})
        except BaseException:
            Path(name).unlink()
            raise
        return Path(name)

    def predict(self, trained: TrialTable, body: bytes) -> resources.PredictView:
        """Predict rows with a trial's network; blocks.

        Args:
            trained: a trial that has weights.
            body: a `PredictBody` as JSON.

        Raises:
            NoWeightsError: the file with its weights is gone.
            InvalidSpec: the rows are not such as it was trained on.
            PredictorUnavailableError: it cannot be asked now.
        """
        answer = self._ask(trained, {"action": "predict"}, body)
        if "faults" in answer:
            raise InvalidSpec([Fault.model_validate(fault) for fault in answer["faults"]])
        return resources.PredictView(trial_id=trained.id, epoch=trained.artifact_epoch or 0, **answer)

    def evaluate(self, trained: TrialTable, body: EvaluateBody) -> resources.EvaluationView:
        """Measure a trial's network on a dataset, or on the test rows of its own; blocks.

        Args:
            trained: a trial that has weights.
            body: the dataset.

        Raises:
            NoWeightsError: the file with its weights is gone, or of a version whose trials are no longer valid.
            InvalidSpec: there are no such rows, or they are not such as it was trained on.
            PredictorUnavailableError: it cannot be asked now.
        """
        try:
            spec = TrialSpec.model_validate(trained.spec)
        except ValidationError:
            raise NoWeightsError(trained.id, "it was stored by a version whose trials are no longer valid") from None
        reference = self._reference(spec, body)
        document = None if reference is None else reference.model_dump(mode="json")
        answer = self._ask(trained, {"action": "evaluate", "dataset": document})
        if "faults" in answer:
            raise InvalidSpec([Fault.model_validate(fault) for fault in answer["faults"]])
        name = spec.dataset.name if reference is None else reference.name
        return resources.EvaluationView(trial_id=trained.id, epoch=trained.artifact_epoch or 0, dataset=name, **answer)

    def _reference(self, spec: TrialSpec, body: EvaluateBody) -> DatasetReference | None:
        """Return the content of another dataset whose rows fit a trial's network; None for its own test rows."""
        if body.dataset is None:
            if not spec.fit.test_split:
                detail = "the trial set no rows aside for the test (fit.test_split); name a dataset"
                raise InvalidSpec([Fault(pointer="/dataset", detail=detail)])
            return None
        known, _ = self.datasets.named_in(spec.dataset.model_copy(update={"validation": body.dataset}))
        other, faults = find_dataset(body.dataset, known, "/dataset")
        schema, gone = find_dataset(spec.dataset, known, "/dataset")
        if other is not None and schema is None:
            detail = f"the columns of {spec.dataset.name}, on which the network was trained, are not known any more"
            faults = [Fault(pointer="/dataset", detail=f"{detail}: {gone[0].detail}")]
        elif other is not None and schema is not None and (misfit := difference(schema, other)) is not None:
            faults = [Fault(pointer="/dataset", detail=misfit, found=repr(other.name))]
        if faults or other is None:
            raise InvalidSpec(faults)
        return DatasetReference(name=other.name, sha256=other.sha256)

    def find_trained(self, trial_id: str) -> TrialTable:
        """Return a trial that has weights, or NotFoundError, or NoWeightsError."""
        with self.database.reading() as session:
            row = experiments.get_trial(session, trial_id, self.project)
        if row.artifact is None:
            state = TrialState(row.state)
            if state not in TERMINAL:
                why = f"it is {state}, and weights are there when it has completed"
            elif state == TrialState.PRUNED:
                why = f"it was pruned after epoch {row.epochs_completed}; submit it alone to train it to its end"
            elif state != TrialState.COMPLETED:
                why = f"it is {state}, and only trials that have completed keep theirs"
            else:
                why = row.artifact_fault or "they were not kept, by a version that did not say why"
            raise NoWeightsError(trial_id, why)
        return row

    def _ask(self, row: TrialTable, question: dict[str, Any], body: bytes = b"") -> dict[str, Any]:
        known = {
            "storage": self.storage_location, "artifact": row.artifact, "trial_id": row.id, "spec": row.spec
        }  # fmt: skip
        answer = self.predictor.ask(known | question, body)
        if "missing" in answer:
            raise NoWeightsError(row.id, "the file that held them is gone")
        return answer
