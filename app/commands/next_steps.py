"""Shell lines to type next, for a newcomer."""

import os
import shlex
import sys
from pathlib import Path

from app.examples import FOLDER
from fittingroom.cli.options import DEFAULT_URL


def next_steps(url: str) -> list[str]:
    """Return the lines that submit an example from a shell of its own, in the current folder.

    Args:
        url: the service.
    """
    lines = []
    if sys.prefix != sys.base_prefix:
        lines.append(f"source {_path(Path(sys.prefix) / 'bin' / 'activate')}")
    if url != DEFAULT_URL:
        lines.append(f"export FITTINGROOM_URL={url}")
    return [*lines, f"fittingroom submit {_path(FOLDER / 'learning_rates.json')} --watch"]


def _path(file: Path) -> str:
    """Return a path as one types it: relative where that is shorter."""
    return shlex.quote(min(os.path.relpath(file), str(file), key=len))
