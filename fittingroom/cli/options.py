"""Options and arguments that commands share."""

from typing import Annotated

import typer

Url = Annotated[str, typer.Option(envvar="FITTINGROOM_URL", help="URL of the service.")]
Key = Annotated[str | None, typer.Option(envvar="FITTINGROOM_KEY", show_envvar=True, help="API key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Id = Annotated[str, typer.Argument(help="Experiment id: exp_…")]
DEFAULT_URL = "http://127.0.0.1:8000"
"""Same as in `fittingroom.client.connection`, which is not imported to show help."""
