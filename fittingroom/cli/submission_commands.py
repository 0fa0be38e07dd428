"""The commands that submit experiments and show their progress.

Exit codes: 0 all is well, 1 an experiment did not complete, 2 something was refused, 3 the service cannot be reached.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fittingroom.cli.options import DEFAULT_URL, AsJson, Id, Key, Url
from fittingroom.cli.output import (
    NOT_COMPLETED,
    REFUSED,
    UnreadableSpecError,
    connected,
    print_one,
    read_spec,
    say,
    say_problem,
)

if TYPE_CHECKING:
    from fittingroom.client.sync_client import Client
    from fittingroom.views.resources import ExperimentView

commands = typer.Typer()

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
