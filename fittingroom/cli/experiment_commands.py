"""The commands on experiments that were submitted, and on what a project keeps."""

import itertools
import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fittingroom.cli.dataset_commands import datasets
from fittingroom.cli.options import DEFAULT_URL, AsJson, Id, Key, Url
from fittingroom.cli.output import (
    connected,
    print_all,
    print_one,
    refuse,
    say,
    show_picture,
)

commands = typer.Typer()
commands.add_typer(datasets, name="datasets")


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
