"""The machine a worker runs on: which device its backend may use, and what is recorded with each trial.

The backend is imported here first, in the process that trains; nothing forks after it.
"""

import platform
from importlib.metadata import version
from typing import Any

import keras

from models.errors import UsageFault
from workers.engines.backends.chosen import backend


def configure_devices(gpu: int | None) -> list[str]:
    """Take one GPU, or none, and only as much of its memory as is needed.

    Args:
        gpu: number of the GPU to use; None takes the first, where there is one; below 0 none is used.

    Returns:
        The devices in short form: `["cpu:0"]`, or `["gpu:1", "cpu:0"]`.

    Raises:
        UsageFault: there is no such GPU.
    """
    try:
        return backend.configure(gpu)
    except LookupError as error:
        raise UsageFault(f"there is no GPU {gpu} on this machine: {error}") from error


def library_versions() -> dict[str, str]:
    """Return the library versions that histories depend on, beside spec and seed."""
    return {
        "fittingroom": version("fittingroom"),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        **backend.versions(),
        "numpy": version("numpy"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def environment(devices: list[str]) -> dict[str, Any]:
    """Return devices and library versions, recorded with each trial."""
    return library_versions() | {"device": devices[0]}
