"""Client of the HTTP API. Generated from `async_client` by `make client`: edit that."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
from httpx_sse import connect_sse
from tenacity import Retrying

from fittingroom.client import api_calls
from fittingroom.client.api_calls import Call, ProblemError, SpecLike
from fittingroom.client.connection import (
    PAGE,
    SILENCE_SECONDS,
    WAIT_SECONDS,
    OnChange,
    StreamPosition,
    connection,
    run_here,
    sleep,
)
from fittingroom.client.keras_fit import FitView, TrialFailedError, fit_spec, fit_view, refuse_several
from fittingroom.client.keras_model import CompiledModel
from fittingroom.client.retries import PATIENCE_SECONDS, Pauses, asking_again
from fittingroom.specs.datasets import DatasetSchema
from fittingroom.views.comparison import ComparisonView
from fittingroom.views.history_formats import Floats, as_floats, as_frame
from fittingroom.views.resources import (
    EvaluationView,
    ExperimentHistoryView,
    ExperimentSummaryView,
    ExperimentView,
    HealthView,
    PredictView,
    TrialHistoryView,
    TrialSummaryView,
    TrialView,
    UsageView,
    WorkerView,
)
from fittingroom.views.states import ENDED
from fittingroom.views.submissions import PlanView

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Client", "FitView", "ProblemError", "TrialFailedError"]

T = TypeVar("T")


class Client:
    """HTTP client of one service; a context manager. Retries transient failures."""

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeout: float = 30.0,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Set up; connects with the first call.

        Args:
            url: URL of the service. Default: FITTINGROOM_URL, or this machine's port 8000.
            key: API key. Default: FITTINGROOM_KEY.
            timeout: timeout of one request, in seconds.
            patience: total retry time of a request, in seconds, where a repetition is safe; a submit has an idempotency
                key for that.
        """
        self._http = httpx.Client(**connection(url, key, timeout))
        self._timeout, self._retrying = timeout, Retrying(**asking_again(patience))

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(self, spec: SpecLike, *, idempotency_key: str | None = None) -> ExperimentView:
        """Submit an experiment. Repeated under the same idempotency key, it is made once.

        Raises:
            ProblemError: the service refuses it; nothing was stored.
        """
        return self._do(api_calls.submit(spec, idempotency_key))

    def extend(  # noqa: PLR0913 - options
        self, experiment_id: str, *, epochs: int | None = None, top: int | None = None, trials: int | None = None,
        name: str | None = None, webhook: Mapping[str, str] | None = None, idempotency_key: str | None = None,
    ) -> ExperimentView:  # fmt: skip
        """Go on from an experiment that has ended, as a new experiment. Give either `epochs` or `trials`.

        Args:
            experiment_id: id of the earlier experiment.
            epochs: number of epochs in all, to which the best candidates are trained.
            top: number of candidates that are trained to `epochs`. Default: 5.
            trials: number of further combinations per model, drawn from all results so far.
            name: display name. Default: the earlier experiment's.
            webhook: webhook called when the new experiment has ended, with `url` and `secret`.
            idempotency_key: repeated under the same key, it is done once.

        Raises:
            ProblemError: the service refuses it; nothing was stored.
        """
        extension = {"epochs": epochs, "top": top, "trials": trials, "name": name, "webhook": webhook}
        return self._do(api_calls.extend(experiment_id, extension, idempotency_key))

    def plan(self, spec: SpecLike) -> PlanView:
        """Return the plan of an experiment (dry run)."""
        return self._do(api_calls.plan(spec))

    def fit(  # noqa: PLR0913 - Keras's own arguments
        self, model: CompiledModel, dataset: str | Mapping[str, Any], *, epochs: int = 1, batch_size: int = 32,
        validation_split: float = 0.0, seed: int = 0, timeout: float | None = None, **spec: Any,  # noqa: ANN401 - JSON
    ) -> FitView:  # fmt: skip
        """Train a live, compiled Keras model on the service, as its own `fit` would here.

        Args:
            model: Sequential or Functional. Its JSON is sent without weights; initial weights come from the seed.
            dataset: a dataset's name, or a document such as `{"name": "titanic", "standardize": True}`.
            epochs: number of epochs.
            batch_size: number of rows per step.
            validation_split: fraction of the rows, the last ones, used for validation.
            seed: seed of initial weights and batches.
            timeout: seconds to wait. Default: without limit.
            spec: further keys of a spec, such as `early_stopping={"patience": 2}`, `name`, `tags`.

        Raises:
            NotShippableError: the model is not compiled, or uses an unsupported argument of `compile`.
            ProblemError: the service refuses it.
            TrialFailedError: it was not completed.
        """
        fitting = {"epochs": epochs, "batch_size": batch_size, "validation_split": validation_split}
        document = fit_spec(model, dataset, fitting, seed, spec)
        refuse_several(self.plan(document))
        submitted = self.submit(document)
        ended = self.wait(submitted.id, timeout=timeout)
        [trial] = self.list_trials(ended.id)
        return fit_view(ended, trial, self.get_trial_history(trial.id), model)

    def get_experiment(self, experiment_id: str) -> ExperimentView:
        """Return the state of an experiment."""
        return self._do(api_calls.get_experiment(experiment_id))

    def list_experiments(
        self, *, state: str | None = None, name: str | None = None, tag: str | None = None, dataset: str | None = None
    ) -> Iterator[ExperimentSummaryView]:
        """Experiments, newest first, page by page as they are taken."""
        cursor: str | None = None
        while True:
            page = self._do(api_calls.list_experiments(PAGE, cursor, state=state, name=name, tag=tag, dataset=dataset))
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def wait(
        self, experiment_id: str, *, timeout: float | None = None,
        on_change: OnChange | None = None,
    ) -> ExperimentView:  # fmt: skip
        """Wait until all trials of an experiment have ended.

        Args:
            experiment_id: id of the experiment.
            timeout: seconds to wait. Default: without limit.
            on_change: called after each change of the experiment's version.

        Raises:
            TimeoutError: the experiment has not ended in time; it continues.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        version: int | None = None
        while True:
            wait = WAIT_SECONDS if deadline is None else min(WAIT_SECONDS, max(0.0, deadline - time.monotonic()))
            view = self._do(api_calls.get_experiment(experiment_id, version, 0.0 if version is None else wait))
            if view.version != version:
                version = view.version
                if on_change is not None:
                    on_change(view)
            if view.state in ENDED:
                return view
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"experiment {experiment_id} is still {view.state} after {timeout:g} s")

    def stream(self, experiment_id: str, *, after: int = 0) -> Iterator[ExperimentHistoryView]:
        """Yield an experiment's new epochs as they are written, until it has ended.

        A lost connection is resumed where it broke; a service that restarts is waited for.

        Args:
            experiment_id: id of the experiment.
            after: version after which to start.
        """
        pauses, position = Pauses(), StreamPosition(after)
        while True:
            try:
                for event in self._events(experiment_id, position.after):
                    new = position.advance(event)
                    if new is not None:
                        pauses.restart()
                        yield new
            except (httpx.TransportError, ProblemError) as error:
                sleep(pauses.after(error))
            else:
                return

    def _events(self, experiment_id: str, after: int) -> Iterator[ExperimentHistoryView]:
        """Yield the events of one connection; ends well after the event `end` alone."""
        call = api_calls.stream(experiment_id, after)
        with connect_sse(
            self._http, call.method, call.path, headers=dict(call.headers), timeout=self._timeout + SILENCE_SECONDS
        ) as source:
            if source.response.is_error:
                source.response.read()
                raise ProblemError(source.response)
            if source.response.status_code == httpx.codes.NO_CONTENT:
                return
            for event in source.iter_sse():
                if event.event == "end":
                    return
                if event.event == "history":
                    yield ExperimentHistoryView.model_validate_json(event.data)
        raise httpx.RemoteProtocolError("the stream ended before the experiment")

    def list_trials(self, experiment_id: str) -> list[TrialSummaryView]:
        """List an experiment's trials."""
        return self._do(api_calls.list_trials(experiment_id))

    def get_trial(self, trial_id: str) -> TrialView:
        """Get one trial."""
        return self._do(api_calls.get_trial(trial_id))

    def get_experiment_history(
        self, experiment_id: str, after: int = 0, *, points: int | None = None
    ) -> ExperimentHistoryView:
        """Get the histories of all trials, or what was written after a version; `points` downsamples each trial."""
        return self._do(api_calls.get_experiment_history(experiment_id, after, points))

    def get_histories(self, experiment_id: str) -> Iterator[TrialHistoryView]:
        """Yield the histories of all trials, one request per trial, in little memory."""
        for trial in self.list_trials(experiment_id):
            yield self._do(api_calls.get_trial_history(trial.id))

    def get_csv(self, experiment_id: str) -> Iterator[str]:
        """Yield the histories of all trials as pieces of CSV, in little memory."""
        response: httpx.Response = self._retrying(self._open, api_calls.stream_csv(experiment_id))
        with closing(response):
            yield from response.iter_text()

    def get_trial_history(self, trial_id: str) -> Floats:
        """Get a trial's history in Keras's shape: `{"epoch": [1, 2], "loss": [0.7, 0.6], …}`."""
        return as_floats(self._do(api_calls.get_trial_history(trial_id)))

    def frame(self, experiment_id: str) -> "pd.DataFrame":
        """Return the histories of all trials as a pandas DataFrame, one row per epoch. Needs pandas."""
        view = self.get_experiment_history(experiment_id)
        return as_frame(view.trials)

    def compare(self, experiment_id: str) -> ComparisonView:
        """Compare the candidates of an experiment."""
        return self._do(api_calls.compare(experiment_id))

    def get_plot(
        self, experiment_id: str, metric: str | None = None, *, file_format: str = "svg", **look: str
    ) -> bytes:
        """Get a plot of `metric` (default: the objective), with `x`, `seeds`, `scale` and `layout` as in the API."""
        return self._do(api_calls.get_plot(experiment_id, metric, file_format, look))

    def predict(self, trial_id: str, rows: api_calls.Rows) -> PredictView:
        """Predict with a trial's network, using the weights of its best epoch.

        Args:
            trial_id: the trial.
            rows: features in the order of the dataset's, or values by column; None for a missing one.
        """
        return self._do(api_calls.predict(trial_id, rows))

    def evaluate(self, trial_id: str, dataset: str | Mapping[str, str] | None = None) -> EvaluationView:
        """Measure a trial's network as Keras's `model.evaluate` does, using the weights of its best epoch.

        Args:
            trial_id: the trial.
            dataset: a dataset with the same columns. Default: the rows that `fit.test_split` set aside.
        """
        return self._do(api_calls.evaluate(trial_id, dataset))

    def download(self, trial_id: str, file: Path) -> Path:
        """Write a trial's network, with the weights of its best epoch, as a `.keras` file."""
        content = self._do(api_calls.get_artifact(trial_id))
        run_here(file.write_bytes, content)
        return file

    def cancel(self, experiment_id: str) -> int:
        """Cancel an experiment; return the number of trials that this call has cancelled or asked to stop."""
        return self._do(api_calls.cancel(experiment_id))

    def pause(self, experiment_id: str) -> ExperimentView:
        """Pause an experiment: running trials are requeued at the end of their epoch."""
        return self._do(api_calls.pause(experiment_id))

    def resume(self, experiment_id: str) -> ExperimentView:
        """Resume a paused experiment."""
        return self._do(api_calls.resume(experiment_id))

    def delete(self, experiment_id: str) -> None:
        """Delete an experiment with its trials, histories and files, permanently."""
        self._do(api_calls.delete(experiment_id))

    def list_datasets(self) -> list[DatasetSchema]:
        """List datasets."""
        return self._do(api_calls.list_datasets())

    def upload_dataset(  # noqa: PLR0913 - options
        self,
        file: Path,
        name: str,
        *,
        target: str | None = None,
        task: str = "auto",
        ignore: Sequence[str] = (),
        categorical: Sequence[str] = (),
        group: str | None = None,
        separator: str | None = None,
        decimal: str = ".",
        thousands: str | None = None,
        missing: Sequence[str] = (),
        default_missing: bool = True,
        drop_missing_target: bool = False,
        charset: str | None = None,
        description: str = "",
    ) -> DatasetSchema:
        """Upload a table, CSV, Parquet or NPZ, under a name.

        Args:
            file: the table.
            name: by which specs refer to it.
            target: the column to predict. Default: `target`.
            task: `classification`, `regression` or `auto`.
            ignore: columns to leave out.
            categorical: columns whose values are categories, such as numbers of districts.
            group: the column, or array of an NPZ file, that says which rows belong together. Default: none.
            separator: character between the columns of CSV, or `tab`. Default: as in the first line.
            decimal: decimal point of CSV.
            thousands: character between groups of three digits in CSV.
            missing: further texts that mark a missing value in CSV.
            default_missing: False to take `NA`, `None`, `null` and the like in CSV as texts.
            drop_missing_target: True to leave out rows without a target.
            charset: encoding of CSV, such as `windows-1252`. Default: UTF-8.
            description: description of the dataset.
        """
        options = {
            "target": target, "task": task, "ignore": ignore, "categorical": categorical,
            "group": group, "separator": separator, "decimal": decimal, "thousands": thousands, "missing": missing,
            "description": description, "default_missing": None if default_missing else "false",
            "drop_missing_target": "true" if drop_missing_target else None,
        }  # fmt: skip
        return self._do(run_here(api_calls.upload_dataset, file, name, charset, options))

    def delete_dataset(self, name: str) -> None:
        """Delete a dataset."""
        self._do(api_calls.delete_dataset(name))

    def list_workers(self) -> list[WorkerView]:
        """List live workers."""
        return self._do(api_calls.list_workers())

    def get_usage(self) -> UsageView:
        """Return stored bytes and unfinished trials of the key's project, with their quotas."""
        return self._do(api_calls.get_usage())

    def get_health(self) -> HealthView:
        """Return the health of the service."""
        return self._do(api_calls.get_health())

    def _do(self, call: Call[T]) -> T:
        if call.is_repeatable:
            answer: T = self._retrying(self._send, call)
            return answer
        return self._send(call)

    def _send(self, call: Call[T]) -> T:
        response = self._http.request(
            call.method, call.path, params=call.params, headers=call.headers, json=call.json, content=call.content,
            timeout=self._timeout + call.at_least_seconds,
        )  # fmt: skip
        if response.is_error:
            raise ProblemError(response)
        return call.read(response)

    def _open(self, call: Call[None]) -> httpx.Response:
        """Send a request whose answer is read as it comes; the caller closes it."""
        request = self._http.build_request(call.method, call.path, headers=call.headers)
        response = self._http.send(request, stream=True)
        if response.is_error:
            with closing(response):
                response.read()
            raise ProblemError(response)
        return response
