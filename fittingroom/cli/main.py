"""The command `fittingroom`: client commands, and those of the service where its code is installed."""

import sys
from typing import Annotated

import typer

import fittingroom
from fittingroom.cli import experiment_commands, submission_commands, trial_commands
from fittingroom.cli.service_commands import HOW_TO_INSTALL, load_service_commands


def main() -> None:
    """Run the command line."""
    try:
        build()()
    except ModuleNotFoundError as error:
        sys.exit(f"this command needs the package {error.name!r}, which is not installed; {HOW_TO_INSTALL}")


def build() -> typer.Typer:
    """Return the application with all commands that can run here."""
    cli = typer.Typer(
        help="Post an experiment; it trains several Keras models and reports which fits best.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    cli.callback()(_options)
    for of_a_kind in (submission_commands, experiment_commands, trial_commands):
        cli.add_typer(of_a_kind.commands)
    cli.add_typer(load_service_commands())
    return cli


def _print_version(is_asked: bool) -> None:  # noqa: FBT001 - Typer's hook
    if is_asked:
        typer.echo(f"fittingroom {fittingroom.__version__}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version  # its callback has printed it
