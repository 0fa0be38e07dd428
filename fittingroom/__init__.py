"""Client of a Fitting Room service: experiment documents, HTTP clients and the command line.

The exported names are imported on first use, so that `import fittingroom.specs` loads no HTTP client, and
`from fittingroom import Client` builds no spec.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fittingroom.client.api_calls import ProblemError
    from fittingroom.client.async_client import AsyncClient
    from fittingroom.client.keras_fit import TrialFailedError
    from fittingroom.client.sync_client import Client
    from fittingroom.specs.experiment import ExperimentSpec

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "ExperimentSpec", "ProblemError", "TrialFailedError", "__version__"]

_MODULES = {
    "AsyncClient": "fittingroom.client.async_client",
    "Client": "fittingroom.client.sync_client",
    "ExperimentSpec": "fittingroom.specs.experiment",
    "ProblemError": "fittingroom.client.api_calls",
    "TrialFailedError": "fittingroom.client.keras_fit",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class of this package
    """Import an exported name."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
