"""Commands and environments of child processes that run the service's own modules.

`python -m` puts the current folder first on the import path, and so does `PYTHONPATH=.`: a folder with a `models` or
`workers` of its own would stand in for ours.
"""

import os
import sys
from pathlib import Path

_ROOT = str(Path(__file__).parents[1])


def module_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module without the current folder on the import path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def own_code_first() -> dict[str, str]:
    """Return this process's environment with the service's own folder first in PYTHONPATH."""
    given = os.environ.get("PYTHONPATH", "")
    paths = [path for path in given.split(os.pathsep) if path not in {"", _ROOT}]
    return os.environ | {"PYTHONPATH": os.pathsep.join([_ROOT, *paths])}
