"""The demo: starts a service of its own, submits the six exercises over HTTP, and shows what came of them."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.commands.next_steps import next_steps
from app.examples import example_documents
from fittingroom.cli.options import DEFAULT_URL
from fittingroom.cli.terminal import Terminal
from fittingroom.client.sync_client import Client, ProblemError
from fittingroom.views.resources import ExperimentView, TrialSummaryView
from models.child_processes import module_command, own_code_first
from models.settings import read_settings

START_SECONDS = 120.0
TRAIN_SECONDS = 900.0


def run_demo(url: str | None) -> int:
    """Run the demo.

    Args:
        url: a running service to use, or None to start one.

    Returns:
        The exit code: 0 if every trial of every exercise was completed.
    """
    settings = read_settings()
    settings.make_folders()
    console = Terminal()
    with contextlib.ExitStack() as stack:
        if url is None:
            log = settings.data_dir / "demo.log"
            url = stack.enter_context(_started_service(console, log))
        client = stack.enter_context(Client(url))
        experiments = _train(console, client)
        results = settings.data_dir / "results"
        _show(console, client, experiments, results)
    console.print(f"Curves:   {results}", soft_wrap=True)
    console.print("Keep it:  [bold]make serve[/], then open http://127.0.0.1:8000/, or /docs to try out the API")
    console.print("Go on:    in another terminal,")
    for line in next_steps(DEFAULT_URL):
        console.print(f"          [bold]{escape(line)}[/]", soft_wrap=True, highlight=False)
    failed = [view.name for view in experiments.values() if view.state != "completed"]
    for name in failed:
        console.print(f"[red]Not completed:[/] {escape(name)}")
    return 1 if failed else 0


@contextlib.contextmanager
def _started_service(console: Console, log: Path) -> Iterator[str]:
    """Yield a service on a free port, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own module
            module_command("fittingroom", "serve", "--port", str(port)),
            stdout=output,
            stderr=output,
            env=own_code_first(),
        )
    try:
        with console.status("Starting the API and a worker (Keras takes a few seconds) …"):
            _wait_until_ready(url, process, log)
        console.print(f"The service is up at {url}, its log is {log}", soft_wrap=True)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with Client(url) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                sys.exit(f"the service did not start; its log is {log}")
            with contextlib.suppress(httpx.TransportError, ProblemError):
                if client.get_health().workers > 0:
                    return
            time.sleep(0.2)
    sys.exit(f"the service was not ready after {START_SECONDS:g} s; its log is {log}")


def _train(console: Console, client: Client) -> dict[str, ExperimentView]:
    """Submit everything at once, and watch it train."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"),
        TextColumn("{task.fields[state]}"), TimeElapsedColumn(),
    )  # fmt: skip
    ended: dict[str, ExperimentView] = {}
    with Progress(*columns, console=console) as bars:
        submitted = {name: client.submit(document) for name, document in example_documents().items()}
        tasks = {
            name: bars.add_task(name, total=view.progress.epochs_planned, state=view.state.value, start=False)
            for name, view in submitted.items()
        }
        for name, view in submitted.items():
            bars.start_task(tasks[name])

            def advance(now: ExperimentView, name: str = name) -> None:
                bars.update(tasks[name], completed=now.progress.epochs_completed, state=now.state.value)

            ended[name] = client.wait(view.id, timeout=TRAIN_SECONDS, on_change=advance)
            # Trials that stopped early have trained as many epochs as they ever will.
            bars.update(tasks[name], total=ended[name].progress.epochs_completed)
            bars.stop_task(tasks[name])
    return ended


def _show(console: Console, client: Client, experiments: dict[str, ExperimentView], results: Path) -> None:
    """Print a table for each experiment, the networks where they are compared, and the curves."""
    results.mkdir(exist_ok=True)
    for name, view in experiments.items():
        trials = client.list_trials(view.id)
        console.print()
        console.print(_table(view, trials))
        if trials[0].model is not None:
            for trial in trials:
                console.print(f"{escape(trial.model or '')}:", highlight=False)
                console.print(client.get_trial(trial.id).model_summary or "", markup=False, highlight=False)
            console.print(client.compare(view.id).sentence, style="bold", markup=False, highlight=False)
        for metric in ("loss", view.objective.metric):
            picture = results / f"{name}.{metric}.svg"
            picture.write_bytes(client.get_plot(view.id, metric))
    console.print()


def _table(view: ExperimentView, trials: list[TrialSummaryView]) -> Table:
    metrics = list(dict.fromkeys(name for t in trials if t.best_epoch for name in t.best_epoch.metrics))
    table = Table(
        title=escape(view.name),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        caption=f"values at the best epoch by {view.objective.metric}, not at the last",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("trial", no_wrap=True)
    for heading in ("best epoch", *metrics):
        table.add_column(heading.replace("val_", "val_\n").replace(" ", "\n"), justify="right", no_wrap=True)
    table.add_column("stopped by", overflow="fold")
    table.add_column("secs", justify="right", no_wrap=True)
    leader = view.best_trial.trial_id if view.best_trial is not None and len(trials) > 1 else None
    for trial in trials:
        best = trial.best_epoch
        values = [f"{float(best.metrics[name]):.4f}" if best and name in best.metrics else "-" for name in metrics]
        epoch = f"{best.epoch} of {trial.epochs_completed}" if best else "-"
        reason = trial.stop_reason.value if trial.stop_reason else (trial.fault.message if trial.fault else trial.state)
        table.add_row(
            escape(trial.label), epoch, *values, escape(reason), f"{trial.training_seconds:.1f}",
            style="bold green" if trial.id == leader else None,
        )  # fmt: skip
    return table
