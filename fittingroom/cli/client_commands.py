"""The commands that speak to a running service, on experiments.

Exit codes: 0 all is well, 1 an experiment did not complete, 2 something was refused, 3 the service cannot be reached.
"""

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fittingroom.cli.dataset_commands import datasets
from fittingroom.cli.options import DEFAULT_URL, AsJson, Id, Key, Url
from fittingroom.cli.output import (
    NOT_COMPLETED,
    REFUSED,
    UnreadableSpecError,
    connected,
    print_all,
    print_one,
    read_spec,
    refuse,
    say,
    say_problem,
    show_picture,
)

if TYPE_CHECKING:
    from fittingroom.client.sync_client import Client
    from fittingroom.views.resources import ExperimentView

commands = typer.Typer()
commands.add_typer(datasets, name="datasets")

_PATIENCE_SECONDS = 60.0
"""Retry period of `watch`, in seconds, while the service restarts."""

Files = Annotated[list[Path], typer.Argument(help="Spec files, JSON or YAML; `-` for standard input.", allow_dash=True)]


@commands.command()
def submit(
    files: Files, *, watch: Annotated[bool, typer.Option("--watch", help="Show progress until they end.")] = False,
    as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Submit experiments, one per file. A refused one is reported, and the others are submitted."""
    refused, submitted = 0, []
    with connected(url, key) as client:
        import httpx  # noqa: PLC0415

        from fittingroom.client.sync_client import ProblemError  # noqa: PLC0415

        for file in files:
            try:
                view = client.submit(read_spec(file))
            except UnreadableSpecError as error:
                refused += 1
                say(str(error), is_error=True)
                continue
            except ProblemError as error:
                if error.status >= httpx.codes.INTERNAL_SERVER_ERROR:
                    raise
                refused += 1
                say_problem(error, before=f"{file}: ")
                continue
            submitted.append(view)
            _show_submitted(view, as_json=as_json)
        ended = [_watch(client, view.id, quiet=as_json) for view in submitted] if watch else []
        for view in ended if as_json else []:
            print_one(view, as_json=True)
    if refused:
        raise typer.Exit(REFUSED)
    if any(view.state != "completed" for view in ended):
        raise typer.Exit(NOT_COMPLETED)


def _show_submitted(view: "ExperimentView", *, as_json: bool) -> None:
    print_one(view, as_json=as_json, line=f"{view.id}  {view.name}")
    for warning in view.warnings:
        say(f"warning: {warning.pointer}: {warning.detail}", is_error=True)


@commands.command()
def plan(
    file: Annotated[Path, typer.Argument(help="Spec file, JSON or YAML; `-` for standard input.", allow_dash=True)],
    *, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Show the trials and engines that an experiment would have (dry run); submits nothing."""
    with connected(url, key) as client:
        found = client.plan(read_spec(file))
    from fittingroom.cli.tables import plan_table  # noqa: PLC0415

    print_one(found, as_json=as_json, shown=lambda: plan_table(found))


@commands.command()
def watch(experiment_id: Id, *, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Show the progress of an experiment until it ends; with --json, one line per change."""
    with connected(url, key, patience=_PATIENCE_SECONDS) as client:
        if as_json:
            for event in client.stream(experiment_id):
                print_one(event, as_json=True)
            ended = client.get_experiment(experiment_id)
        else:
            ended = _watch(client, experiment_id)
    if ended.state != "completed":
        raise typer.Exit(NOT_COMPLETED)


@commands.command("list")
def list_experiments(  # noqa: PLR0913 - options
    *, state: Annotated[
        str | None, typer.Option(help="Filter by state: queued, running, completed, failed or cancelled.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Filter by tag.")] = None,
    name: Annotated[str | None, typer.Option(help="Filter by exact name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of experiments.")] = 20,
    as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """List experiments, newest first; with --json, one per line."""
    with connected(url, key) as client:
        found = list(itertools.islice(client.list_experiments(state=state, tag=tag, name=name), limit))
    from fittingroom.cli.tables import experiments_table  # noqa: PLC0415

    print_all(found, as_json=as_json, shown=lambda: experiments_table(found))


@commands.command()
def show(experiment_id: Id, *, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Show an experiment and its trials."""
    with connected(url, key) as client:
        view, trials = client.get_experiment(experiment_id), client.list_trials(experiment_id)
    from rich.console import Group  # noqa: PLC0415

    from fittingroom.cli.tables import experiments_table, trials_table  # noqa: PLC0415

    if as_json:
        document = {"experiment": view.model_dump(mode="json"), "trials": [t.model_dump(mode="json") for t in trials]}
        say(json.dumps(document))
    else:
        show_picture(Group(experiments_table([view]), trials_table(trials, view.objective.metric)))


@commands.command()
def history(
    experiment_id: Id, *, csv: Annotated[bool, typer.Option("--csv", help="Print CSV: one line per epoch.")] = False,
    as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Print the histories of all trials as CSV or JSON, or as sparklines."""
    with connected(url, key) as client:
        if csv:
            for piece in client.get_csv(experiment_id):
                say(piece, ends_line=False)
            return
        found = client.get_experiment_history(experiment_id)
    from fittingroom.cli.tables import history_table  # noqa: PLC0415

    print_one(found, as_json=as_json, shown=lambda: history_table(found))


@commands.command()
def compare(experiment_id: Id, *, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Compare candidates: ranking, confidence intervals, and whether the lead is significant."""
    with connected(url, key) as client:
        found = client.compare(experiment_id)
    from fittingroom.cli.tables import comparison_table  # noqa: PLC0415

    print_one(found, as_json=as_json, shown=lambda: comparison_table(found))


@commands.command()
def plot(  # noqa: PLR0913 - options
    experiment_id: Id,
    output: Annotated[Path, typer.Option("--output", "-o", help="Output file: .svg or .png.")],
    *, metric: Annotated[
        str | None, typer.Option(help="Metric, or several separated by commas. Default: the objective.")
    ] = None,
    x: Annotated[str, typer.Option(help="x axis: epoch, or a hyperparameter: optimizer.learning_rate.")] = "epoch",
    seeds: Annotated[str, typer.Option(help="each: a curve per seed; band: mean, lowest and highest.")] = "each",
    scale: Annotated[str, typer.Option(help="Scale of the y axis: auto, linear or log.")] = "auto",
    layout: Annotated[str, typer.Option(help="together: one panel; apart: a panel per metric.")] = "together",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Plot the curves of an experiment, or best values over a hyperparameter, to a file."""
    file_format = output.suffix.lower().removeprefix(".")
    if file_format not in {"svg", "png"}:
        refuse(f"{output}: expected a file that ends in .svg or .png")
    with connected(url, key) as client:
        picture = client.get_plot(
            experiment_id, metric, file_format=file_format, x=x, seeds=seeds, scale=scale, layout=layout
        )
        output.write_bytes(picture)
    say(json.dumps({"written": str(output)}) if as_json else output)


@commands.command()
def extend(  # noqa: PLR0913 - options
    experiment_id: Id, *,
    epochs: Annotated[
        int | None, typer.Option(min=2, help="Number of epochs in all, to which the best candidates are trained.")
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Number of candidates for --epochs. Default: 5.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Number of further combinations to draw.")] = None,
    name: Annotated[str | None, typer.Option(help="Display name. Default: the earlier experiment's.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show progress until it ends.")] = False,
    as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Go on from an experiment that has ended: more epochs for its best candidates, or more trials."""
    with connected(url, key) as client:
        view = client.extend(experiment_id, epochs=epochs, top=top, trials=trials, name=name)
        _show_submitted(view, as_json=as_json)
        ended = _watch(client, view.id, quiet=as_json) if watch else None
        if ended is not None and as_json:
            print_one(ended, as_json=True)
    if ended is not None and ended.state != "completed":
        raise typer.Exit(NOT_COMPLETED)


@commands.command()
def cancel(experiment_id: Id, *, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Cancel an experiment: queued trials at once, running trials at the end of their epoch."""
    with connected(url, key) as client:
        count = client.cancel(experiment_id)
    say(json.dumps({"trials_cancelled": count}) if as_json else f"{count} trials cancelled or asked to stop")


@commands.command()
def pause(experiment_id: Id, *, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Pause an experiment: running trials are saved and requeued at the end of their epoch."""
    with connected(url, key) as client:
        found = client.pause(experiment_id)
    print_one(found, as_json=as_json, line=f"{found.id} is paused; `fittingroom resume` lets it continue")


@commands.command()
def resume(experiment_id: Id, *, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Resume a paused experiment."""
    with connected(url, key) as client:
        found = client.resume(experiment_id)
    print_one(found, as_json=as_json, line=f"{found.id} is {found.state.value}")


@commands.command()
def delete(
    experiment_id: Id,
    *, yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Delete an experiment with its trials, histories and weights, permanently."""
    if not yes:
        typer.confirm(f"Delete {experiment_id} permanently?", abort=True, err=True)
    with connected(url, key) as client:
        client.delete(experiment_id)
    say(json.dumps({"deleted": experiment_id}) if as_json else f"{experiment_id} is deleted")


@commands.command()
def usage(*, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Show usage and quotas of your project."""
    with connected(url, key) as client:
        found = client.get_usage()
    most = "" if found.max_unended_trials is None else f" of {found.max_unended_trials:,}"
    line = (
        f"{found.project} keeps {found.stored_bytes / 1e6:,.1f} of {found.max_stored_bytes / 1e6:,.0f} MB of datasets "
        f"and weights; {found.unended_trials:,}{most} trials wait or run"
    )
    print_one(found, as_json=as_json, line=line)


@commands.command()
def export(
    experiment_id: Id,
    target: Annotated[str, typer.Argument(help="File; for tensorboard a folder; for mlflow the URL of its server.")],
    *, to: Annotated[
        Literal["csv", "parquet", "tensorboard", "mlflow"], typer.Option(help="Export format.")
    ],
    as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Export an experiment to CSV, Parquet, TensorBoard or an MLflow server."""
    with connected(url, key) as client:
        from fittingroom.client.export import ExportError, export_experiment  # noqa: PLC0415

        try:
            written = export_experiment(client, experiment_id, to, target)
        except ExportError as error:
            refuse(str(error))
    say(json.dumps({"written": written}) if as_json else written)


def _watch(client: "Client", experiment_id: str, *, quiet: bool = False) -> "ExperimentView":
    """Show an experiment until it has ended; without a terminal, only the end."""
    from rich.live import Live  # noqa: PLC0415

    from fittingroom.cli.tables import Curves, extend, watched  # noqa: PLC0415
    from fittingroom.cli.terminal import Terminal  # noqa: PLC0415

    if quiet:
        return client.wait(experiment_id)
    view = client.get_experiment(experiment_id)
    planned = {trial.id: trial.epochs_planned for trial in client.list_trials(experiment_id)}
    newest: dict[str, Any] = {}
    curves: Curves = {}
    console = Terminal()
    with Live(console=console, auto_refresh=False, transient=False) as live:
        for event in client.stream(experiment_id):
            extend(curves, view.objective.metric, event.trials)
            newest |= {trial.trial_id: trial for trial in event.trials}
            if not planned.keys() >= newest.keys():  # a round was drawn
                planned = {trial.id: trial.epochs_planned for trial in client.list_trials(experiment_id)}
            view = client.get_experiment(experiment_id)
            live.update(watched(view, newest, planned, curves), refresh=console.is_terminal)
        view = client.get_experiment(experiment_id)
        live.update(watched(view, newest, planned, curves), refresh=True)
    return view
