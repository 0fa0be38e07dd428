"""Calls of the API: path, parameters, and parsing of each answer.

`fittingroom.client.async_client`, and `sync_client` that is generated from it, send these.
"""

import csv
import io
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter

from fittingroom.specs.datasets import DatasetSchema
from fittingroom.specs.prediction import Value
from fittingroom.views.comparison import ComparisonView
from fittingroom.views.resources import (
    EvaluationView,
    ExperimentHistoryView,
    ExperimentSummaryView,
    ExperimentView,
    HealthView,
    ListView,
    PredictView,
    TrialHistoryView,
    TrialSummaryView,
    TrialView,
    UsageView,
    WorkerView,
)
from fittingroom.views.submissions import PlanView

T = TypeVar("T")


class ExperimentDocument(Protocol):
    """A spec as an object: `fittingroom.ExperimentSpec`, which this module does not import, as it takes long."""

    def to_document(self) -> Mapping[str, Any]:
        """Return the document to send."""
        ...


SpecLike = Mapping[str, Any] | ExperimentDocument
"""An experiment as a client may give it: a document, or an `ExperimentSpec`."""

_MEDIA_TYPES = {".csv": "text/csv", ".parquet": "application/vnd.apache.parquet", ".npz": "application/x-npz"}


Rows = Sequence[Sequence[float | None]] | Sequence[Mapping[str, Value]]


class ProblemError(Exception):
    """The service has refused a request.

    Attributes:
        status: the HTTP status.
        problem: the problem document, or an empty one if the answer was none.
        retry_after_seconds: when it is worth trying again, if the service said so.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        is_problem = response.headers.get("content-type", "").startswith("application/problem+json")
        self.problem: Mapping[str, Any] = response.json() if is_problem else {}
        after = response.headers.get("retry-after", "")
        self.retry_after_seconds = float(after) if after.isdigit() else None
        super().__init__(f"{self.status}: {self.problem.get('detail', response.reason_phrase)}")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    is_repeatable: bool = True
    """True if the call is idempotent, so that it may be retried."""
    at_least_seconds: float = 0.0
    """Minimum read timeout, in seconds, of a call that asks the service to wait."""


def _reader(kind: type[T]) -> Callable[[httpx.Response], T]:
    adapter = TypeAdapter(kind)
    return lambda response: adapter.validate_json(response.content)


def _items(kind: type[T]) -> Callable[[httpx.Response], list[T]]:
    adapter: TypeAdapter[ListView[T]] = TypeAdapter(ListView[kind])  # type: ignore[valid-type]
    return lambda response: adapter.validate_json(response.content).items


def _experiment(experiment_id: str, rest: str = "") -> str:
    return f"/v1/experiments/{quote(experiment_id, safe='')}{rest}"


def _trial(trial_id: str, rest: str = "") -> str:
    return f"/v1/trials/{quote(trial_id, safe='')}{rest}"


def _given(**params: Any) -> dict[str, Any]:  # noqa: ANN401 - a query's values
    return {name: value for name, value in params.items() if value is not None}


def _document(spec: SpecLike) -> Mapping[str, Any]:
    return spec if isinstance(spec, Mapping) else spec.to_document()


def submit(spec: SpecLike, idempotency_key: str | None = None) -> Call[ExperimentView]:
    """Submit an experiment, under a key of its own if none is given: so it is made once, however often it is sent."""
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    return Call("POST", "/v1/experiments", _reader(ExperimentView), json=_document(spec), headers=headers)


def extend(
    experiment_id: str, extension: Mapping[str, Any], idempotency_key: str | None = None
) -> Call[ExperimentView]:
    """Extend an experiment, under a key of its own if none is given: so it is done once, however often it is sent."""
    headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    path = _experiment(experiment_id, "/extend")
    return Call("POST", path, _reader(ExperimentView), json=_given(**extension), headers=headers)


def plan(spec: SpecLike) -> Call[PlanView]:
    """Return the plan of an experiment."""
    return Call("POST", "/v1/experiments/plan", _reader(PlanView), json=_document(spec))


def get_experiment(experiment_id: str, version: int | None = None, wait: float = 0.0) -> Call[ExperimentView]:
    """Return the state of an experiment; with `wait`, once its version has changed."""
    params = _given(version=version, wait=wait) if wait else {}
    return Call("GET", _experiment(experiment_id), _reader(ExperimentView), params=params, at_least_seconds=wait)


def list_experiments(
    limit: int, cursor: str | None, *, state: str | None, name: str | None, tag: str | None, dataset: str | None
) -> Call[ListView[ExperimentSummaryView]]:
    """Get a page of experiments."""
    params = _given(limit=limit, cursor=cursor, state=state, name=name, tag=tag, dataset=dataset)
    return Call("GET", "/v1/experiments", _reader(ListView[ExperimentSummaryView]), params=params)


def list_trials(experiment_id: str) -> Call[list[TrialSummaryView]]:
    """List an experiment's trials."""
    return Call("GET", _experiment(experiment_id, "/trials"), _items(TrialSummaryView))


def get_trial(trial_id: str) -> Call[TrialView]:
    """Get one trial."""
    return Call("GET", _trial(trial_id), _reader(TrialView))


def get_experiment_history(
    experiment_id: str, after: int = 0, points: int | None = None
) -> Call[ExperimentHistoryView]:
    """Get the histories of all trials, or what was written after a version."""
    params = _given(after=after, points=points)
    return Call("GET", _experiment(experiment_id, "/history"), _reader(ExperimentHistoryView), params=params)


def get_trial_history(trial_id: str) -> Call[TrialHistoryView]:
    """Get a trial's history."""
    return Call("GET", _trial(trial_id, "/history"), _reader(TrialHistoryView))


def stream_csv(experiment_id: str) -> Call[None]:
    """Get the histories of all trials as CSV, which the client reads as it comes."""
    return Call("GET", _experiment(experiment_id, "/history"), lambda _: None, headers={"Accept": "text/csv"})


def stream(experiment_id: str, after: int) -> Call[None]:
    """Get an experiment's events, which the client reads as they come."""
    return Call("GET", _experiment(experiment_id, "/events"), lambda _: None, headers={"Last-Event-ID": str(after)})


def compare(experiment_id: str) -> Call[ComparisonView]:
    """Compare the candidates of an experiment."""
    return Call("GET", _experiment(experiment_id, "/comparison"), _reader(ComparisonView))


def get_plot(experiment_id: str, metric: str | None, file_format: str, look: Mapping[str, str]) -> Call[bytes]:
    """Get a plot of an experiment."""
    path = _experiment(experiment_id, f"/plot.{file_format}")
    return Call("GET", path, lambda response: response.content, params=_given(metric=metric, **look))


def evaluate(trial_id: str, dataset: str | Mapping[str, str] | None) -> Call[EvaluationView]:
    """Measure a trial's network."""
    place = _trial(trial_id, "/evaluate")
    return Call("POST", place, _reader(EvaluationView), json=_given(dataset=dataset), at_least_seconds=60)


def predict(trial_id: str, rows: Rows) -> Call[PredictView]:
    """Predict with a trained network."""
    given = [
        {name: _value(value) for name, value in row.items()}
        if isinstance(row, Mapping)
        else [_value(one) for one in row]
        for row in rows
    ]
    body = {"rows": given}
    return Call("POST", _trial(trial_id, "/predict"), _reader(PredictView), json=body, at_least_seconds=60)


def _value(value: Value) -> Value:
    """Return a value of NumPy or pandas, too, as JSON has it: NaN is null."""
    if value is None or isinstance(value, str | bool):
        return value
    number = float(value)
    return None if math.isnan(number) else number


def get_artifact(trial_id: str) -> Call[bytes]:
    """Get a trained network, as a `.keras` file."""
    return Call("GET", _trial(trial_id, "/artifact"), lambda response: response.content, at_least_seconds=60)


def cancel(experiment_id: str) -> Call[int]:
    """Cancel an experiment."""
    return Call("POST", _experiment(experiment_id, "/cancel"), lambda found: int(found.json()["trials_cancelled"]))


def pause(experiment_id: str) -> Call[ExperimentView]:
    """Pause an experiment."""
    return Call("POST", _experiment(experiment_id, "/pause"), _reader(ExperimentView))


def resume(experiment_id: str) -> Call[ExperimentView]:
    """Resume an experiment."""
    return Call("POST", _experiment(experiment_id, "/resume"), _reader(ExperimentView))


def delete(experiment_id: str) -> Call[None]:
    """Delete an experiment. Not retried: a second answer would be 404."""
    return Call("DELETE", _experiment(experiment_id), lambda _: None, is_repeatable=False)


def list_datasets() -> Call[list[DatasetSchema]]:
    """List datasets."""
    return Call("GET", "/v1/datasets", _items(DatasetSchema))


def upload_dataset(
    file: Path, name: str, charset: str | None, options: Mapping[str, str | Sequence[str] | None]
) -> Call[DatasetSchema]:
    """Upload a dataset; repeating it changes nothing."""
    given = {key: value if isinstance(value, str) else _one_line(value) for key, value in options.items() if value}
    media_type = _MEDIA_TYPES.get(file.suffix.lower(), "application/octet-stream")
    if charset is not None and file.suffix.lower() in {".parquet", ".npz"}:
        raise ValueError(f"charset is of CSV, and {file.name} is none; leave it out")
    return Call(
        "POST", "/v1/datasets", _reader(DatasetSchema), params=_given(name=name, **given),
        headers={"Content-Type": media_type if charset is None else f"text/csv; charset={charset}"},
        content=file.read_bytes(), at_least_seconds=120,
    )  # fmt: skip


def _one_line(columns: Sequence[str]) -> str:
    """Return names of columns as a line of CSV, in which a name with a comma is quoted."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(columns)
    return line.getvalue()


def delete_dataset(name: str) -> Call[None]:
    """Delete a dataset."""
    return Call("DELETE", f"/v1/datasets/{quote(name, safe='')}", lambda _: None, is_repeatable=False)


def list_workers() -> Call[list[WorkerView]]:
    """List live workers."""
    return Call("GET", "/v1/workers", _items(WorkerView))


def get_usage() -> Call[UsageView]:
    """Return stored bytes and unended trials of the key's project, with the limit of each."""
    return Call("GET", "/v1/usage", _reader(UsageView))


def get_health() -> Call[HealthView]:
    """Return the health of the service. Never retried, as the present state is what is asked for."""
    return Call("GET", "/readyz", _reader(HealthView), is_repeatable=False)
