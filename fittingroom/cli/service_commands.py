"""Commands of the service: those of the package `app` where it is installed, otherwise one sentence each.

The wheel holds the client alone. The service's code stands beside this package in a checkout, which a container and an
editable install have too.
"""

import sys
from importlib import import_module
from pathlib import Path

import typer

SERVICE_COMMANDS = {
    "serve": "Run the API and its workers together.",
    "api": "Run only the API.",
    "worker": "Run one worker.",
    "migrate": "Create or upgrade the database tables.",
    "doctor": "Check database, broker and storage.",
    "keys": "Create, list and revoke API keys.",
    "demo": "Train the six exercises and show the results.",
}
"""Names and summaries, for machines that have the client alone."""

HOW_TO_INSTALL = "install the service from a checkout of Fitting Room: pip install -e '.[api,worker]'"


def find_service() -> Path | None:
    """Return the folder that holds the service's code, or None where only the client is installed."""
    folder = Path(__file__).parents[2]
    parts = ("app/commands/server_commands.py", "models/lifecycle.py")
    return folder if all((folder / part).is_file() for part in parts) else None


def load_service_commands() -> typer.Typer:
    """Return the service's commands, or commands that say what to install."""
    folder = find_service()
    if folder is None:
        return _missing_commands()
    # Ahead of the current folder, which PYTHONPATH may name and which may have an `app` or `models` of its own.
    sys.path.insert(0, str(folder))
    commands = import_module("app.commands.server_commands").commands
    assert isinstance(commands, typer.Typer)  # noqa: S101 - for mypy
    return commands


def _missing_commands() -> typer.Typer:
    commands = typer.Typer()
    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    for name, summary in SERVICE_COMMANDS.items():
        commands.command(name, help=f"{summary} Not installed here.", context_settings=anything, hidden=True)(
            _refuse_command
        )
    return commands


def _refuse_command(context: typer.Context) -> None:
    typer.echo(
        f"`fittingroom {context.info_name}` needs the service, and only its client is installed here; {HOW_TO_INSTALL}",
        err=True,
    )
    raise typer.Exit(2)
