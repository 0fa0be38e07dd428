"""Selection of tests by Keras backend, and JAX's compilation cache for the length of a run."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

OTHERS = {"tensorflow", "jax"} - {os.environ["KERAS_BACKEND"]}
NEEDS_NO_BACKEND = {
    "test_between_backends.py", "test_datasets.py", "test_keras_import_roundtrip.py", "test_keras_model.py",
    "test_networks.py", "test_predictor.py",
}  # fmt: skip
"""Tests whose result does not depend on the backend: they run on TensorFlow only."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tests of the other backends, and on JAX those that no backend changes."""
    ignored = {f"test_{backend}_backend.py" for backend in OTHERS}
    if "tensorflow" in OTHERS:
        ignored |= NEEDS_NO_BACKEND
    return True if collection_path.name in ignored else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On JAX, deselect the tests that reach no branch of its own, but for the nightly run."""
    if "tensorflow" in OTHERS and not config.getoption("--nightly"):
        left_out = [item for item in items if item.get_closest_marker("backends") is None]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


if "tensorflow" in OTHERS:
    # Most of the time goes to compiling, and trials of one network compile the same. JAX reads this at its import.
    COMPILED = tempfile.mkdtemp(prefix="fittingroom-compiled-")
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": COMPILED, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

    def pytest_unconfigure() -> None:
        shutil.rmtree(COMPILED)


@pytest.fixture(params=["graph", pytest.param("xla", marks=pytest.mark.nightly)])
def compiler(request: pytest.FixtureRequest) -> str:
    """Return the compiler of an engine's programs: what holds bit for bit holds with either."""
    name: str = request.param
    return name
