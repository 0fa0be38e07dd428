"""An experiment handed to what people already use: CSV, Parquet, TensorBoard's event files, an MLflow server.

MLflow is spoken to over its REST API (https://mlflow.org/docs/latest/rest-api.html): its own client would bring a
hundred megabytes along, and versions of pandas and pyarrow that are not ours.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx

from fittingroom.client.sync_client import Client
from fittingroom.specs.heads import recorded_metrics
from fittingroom.views.history_formats import as_floats
from fittingroom.views.resources import ExperimentView, TrialHistoryView, TrialSummaryView

Kind = Literal["csv", "parquet", "tensorboard", "mlflow"]

_MLFLOW = "/api/2.0/mlflow"
_ROWS_OF_A_GROUP = 100_000
_METRICS_AT_ONCE = 1_000
_PARAMETERS_AT_ONCE = 100
_ENDED = {"completed": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


class ExportError(Exception):
    """Export failure; the text is the reason."""


class _UnlikeMLflowError(Exception):
    """An answer that no MLflow server gives."""


def export_experiment(client: Client, experiment_id: str, kind: Kind, target: str) -> str:
    """Write an experiment.

    Args:
        client: where it is.
        experiment_id: which.
        kind: what to write.
        target: a file; for `tensorboard` a folder; for `mlflow` the URL of its server.

    Returns:
        Where it is now, for people.

    Raises:
        ExportError: it could not be written.
    """
    view, trials = client.get_experiment(experiment_id), client.list_trials(experiment_id)
    histories = client.get_histories(experiment_id)
    try:
        if kind == "csv":
            with _whole(Path(target)) as part, part.open("w", encoding="utf-8", newline="") as file:
                file.writelines(client.get_csv(experiment_id))
        elif kind == "parquet":
            metrics = _metrics_of(view, client.get_experiment_history(experiment_id, points=2).trials)
            with _whole(Path(target)) as part:
                _write_parquet(metrics, histories, part)
        elif kind == "tensorboard":
            _write_events(trials, histories, Path(target))
        else:
            return _log_to_mlflow(view, trials, histories, target)
    except _UnlikeMLflowError as error:
        raise ExportError(f"{target}: it does not answer as an MLflow server does ({error})") from None
    except ImportError as error:
        raise ExportError(f"{error}; install 'fittingroom[export]'") from None
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise ExportError(f"{target}: {error}") from None
    return target


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """Give the name of a file to write, which takes the place of the one that was asked for when it is whole."""
    part = file.with_name(f"{file.name}.part")
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _metrics_of(view: ExperimentView, histories: Sequence[TrialHistoryView]) -> list[str]:
    """Return the metrics of the first epochs; before there are any, those that the experiment will record."""
    names = list(dict.fromkeys(name for found in histories for name in found.history if name != "epoch"))
    if names:
        return names
    from fittingroom.specs.experiment import ExperimentSpec  # noqa: PLC0415 - takes a second to load

    spec = ExperimentSpec.model_validate(view.spec)
    rate_changes = spec.reduce_lr_on_plateau is not None
    return recorded_metrics(spec.heads, validated=spec.is_validated, rate_changes=rate_changes)


def _write_parquet(metrics: Sequence[str], histories: Iterator[TrialHistoryView], file: Path) -> None:
    """One row an epoch, as in the CSV."""
    import pyarrow as pa  # noqa: PLC0415 - only who writes it needs it
    from pyarrow import parquet  # noqa: PLC0415

    about = [("trial_id", pa.string()), ("trial", pa.int64()), ("label", pa.string()), ("epoch", pa.int64())]
    schema = pa.schema([*about, *((name, pa.float64()) for name in metrics)])
    with parquet.ParquetWriter(file, schema) as writer:
        gathered: list[pa.RecordBatch] = []
        for view in histories:
            columns = as_floats(view)
            rows = len(columns["epoch"])
            given = [[view.trial_id] * rows, [view.number] * rows, [view.label] * rows, columns["epoch"]]
            given += [columns.get(name, [None] * rows) for name in metrics]
            arrays = [pa.array(values, field.type) for values, field in zip(given, schema, strict=True)]
            gathered.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
            if sum(batch.num_rows for batch in gathered) >= _ROWS_OF_A_GROUP:
                writer.write_table(pa.Table.from_batches(gathered))
                gathered = []
        writer.write_table(pa.Table.from_batches(gathered, schema))


def _write_events(trials: Sequence[TrialSummaryView], histories: Iterator[TrialHistoryView], folder: Path) -> None:
    """Write a run per trial, with the tags of Keras's TensorBoard callback: `epoch_loss` in train and validation."""
    from tensorboardX import SummaryWriter  # noqa: PLC0415 - only who writes it needs it

    ended = {trial.id: trial.finished_at or trial.created_at for trial in trials}
    for view in histories:
        columns = as_floats(view)
        run = folder / f"{view.number:04} {re.sub(r'[^A-Za-z0-9=.,_ -]', '_', view.label)[:100]}"
        epochs = columns.pop("epoch")
        for part, prefix in (("train", ""), ("validation", "val_")):
            mine = {name: values for name, values in columns.items() if name.startswith("val_") == bool(prefix)}
            if not mine:
                continue
            with SummaryWriter(str(run / part)) as writer:
                for name, values in mine.items():
                    for epoch, value in zip(epochs, values, strict=True):
                        if value is not None:
                            writer.add_scalar(
                                f"epoch_{name.removeprefix('val_')}", value, epoch - 1, ended[view.trial_id].timestamp()
                            )


def _log_to_mlflow(
    view: ExperimentView, trials: Sequence[TrialSummaryView], histories: Iterator[TrialHistoryView], url: str
) -> str:
    """Create an MLflow experiment of the same name and a run per trial; runs that have ended are left alone."""
    with httpx.Client(base_url=url, timeout=60.0) as http:
        name = f"{view.name} ({view.id})"
        found = http.get(f"{_MLFLOW}/experiments/get-by-name", params={"experiment_name": name})
        if found.status_code == httpx.codes.NOT_FOUND:
            target = _asked(http, "experiments/create", {"name": name}, "experiment_id")
        else:
            target = _part(_part(_document(found.raise_for_status()), "experiment"), "experiment_id")
        by_id = {trial.id: trial for trial in trials}
        for history in histories:
            _log_run(http, target, by_id[history.trial_id], history)
    return f"{url.rstrip('/')}/#/experiments/{target}"


def _log_run(http: httpx.Client, target: str, trial: TrialSummaryView, history: TrialHistoryView) -> None:
    wanted = {"experiment_ids": [target], "filter": f"tags.`fittingroom.trial_id` = '{trial.id}'", "max_results": 1}
    known = _asked(http, "runs/search", wanted).get("runs") or []
    if known and _part(_part(known[0], "info"), "status") in _ENDED.values():
        return
    started = _milliseconds(trial.started_at or trial.created_at)
    tags = {"fittingroom.trial_id": trial.id, "fittingroom.experiment_id": trial.experiment_id}
    if trial.stop_reason is not None:
        tags["fittingroom.stop_reason"] = trial.stop_reason.value
    body = {"experiment_id": target, "start_time": started, "run_name": trial.label, "tags": _pairs(tags)}
    # What was logged before is logged again: MLflow keeps the same value of the same step once.
    run = _part(_part(known[0] if known else _asked(http, "runs/create", body, "run"), "info"), "run_id")
    fold = {} if trial.fold is None else {"fold": trial.fold}
    parameters = _pairs({"seed": trial.seed, **fold, "model": trial.model or "", **trial.hyperparameters})
    for first in range(0, len(parameters), _PARAMETERS_AT_ONCE):
        _asked(http, "runs/log-batch", {"run_id": run, "params": parameters[first : first + _PARAMETERS_AT_ONCE]})
    columns = dict(history.history)
    epochs = [int(epoch) for epoch in columns.pop("epoch")]  # type: ignore[arg-type]  # they are numbers
    metrics = [
        {"key": name, "value": value, "timestamp": started + epoch, "step": epoch}  # NaN travels as MLflow spells it
        for name, values in columns.items()
        for epoch, value in zip(epochs, values, strict=True)
        if value is not None
    ]
    for first in range(0, len(metrics), _METRICS_AT_ONCE):
        _asked(http, "runs/log-batch", {"run_id": run, "metrics": metrics[first : first + _METRICS_AT_ONCE]})
    if trial.state.value in _ENDED:
        ended = _milliseconds(trial.finished_at or trial.created_at)
        _asked(http, "runs/update", {"run_id": run, "status": _ENDED[trial.state.value], "end_time": ended})


def _pairs(values: dict[str, Any]) -> list[dict[str, str]]:
    return [{"key": key, "value": str(value)} for key, value in values.items()]


def _milliseconds(moment: Any) -> int:  # noqa: ANN401 - a time
    return int(moment.timestamp() * 1e3)


def _asked(http: httpx.Client, path: str, body: dict[str, Any], part: str | None = None) -> Any:  # noqa: ANN401 - JSON
    """Post a document; return the answer, or a part of it."""
    answer = http.post(f"{_MLFLOW}/{path}", json=body)
    if answer.is_error:
        raise ExportError(f"MLflow refused {path}: {answer.status_code} {answer.text[:300]}")
    document = _document(answer)
    return document if part is None else _part(document, part)


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        raise _UnlikeMLflowError("no JSON") from None
    if not isinstance(document, dict):
        raise _UnlikeMLflowError("no JSON object")
    return document


def _part(document: Any, name: str) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(document, dict) or name not in document:
        raise _UnlikeMLflowError(f"no {name!r}")
    return document[name]
