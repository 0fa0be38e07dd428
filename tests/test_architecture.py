"""The structure of the code: import contracts, unique names, and what each process loads."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("fittingroom", "models", "app", "workers")
HEAVY = ("tensorflow", "jax", "keras", "numpy", "scipy", "pandas", "matplotlib", "sklearn", "mlxtend")
SERVERS = ("sqlalchemy", "celery", "fastapi", "alembic", "redis", "pydantic_settings", "app", "models", "workers")


def in_fresh_interpreter(code: str) -> str:
    # Bytecode is written, whatever the environment says: compilation would be counted among an import's calls.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    ).stdout


def python_files() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def test_import_contracts_hold() -> None:
    checked = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_every_package_with_subpackages_has_an_exhaustive_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    exhaustive = {name for contract in contracts if contract.get("exhaustive") for name in contract["containers"]}
    packages = {file.parent.relative_to(ROOT) for file in python_files() if file.name == "__init__.py"}
    nested = {".".join(package.parts) for package in packages if any(other.parent == package for other in packages)}
    assert nested == exhaustive


def test_modules_of_one_layer_have_different_names() -> None:
    """A layer is a folder directly below a package, with all that it holds."""
    layers = defaultdict(list)
    for file in python_files():
        path = file.relative_to(ROOT)
        if len(path.parts) > 2 and file.name not in {"__init__.py", "__main__.py"}:
            layers[path.parts[:2], file.name].append(str(path))
    assert [paths for paths in layers.values() if len(paths) > 1] == []


def test_classes_have_different_names() -> None:
    """Except in the backends: there, modules have the same names, those of the seam."""
    classes = defaultdict(list)
    for file in (file for file in python_files() if file.parent.name != "backends"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                classes[node.name].append(str(file.relative_to(ROOT)))
    assert {name: paths for name, paths in classes.items() if len(paths) > 1} == {}


@pytest.mark.parametrize(
    "module", ["app.main", "fittingroom.cli.main", "models.sql.transitions", "models.messaging.broker"]
)
def test_nothing_heavy_is_loaded(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    assert in_fresh_interpreter(code).strip() == ""


def test_client_and_specs_load_no_server_library() -> None:
    code = f"from fittingroom import *\nimport sys; print(*[name for name in {HEAVY + SERVERS} if name in sys.modules])"
    assert in_fresh_interpreter(code).strip() == ""


def test_client_loads_no_spec() -> None:
    code = "import sys\nfrom fittingroom import Client; print('fittingroom.specs.experiment' in sys.modules)"
    assert in_fresh_interpreter(code).strip() == "False"


def calls_to_import(modules: str) -> int:
    """Return calls that an import takes. Unlike seconds, they are the same on every machine and in every run."""
    in_fresh_interpreter(f"import {modules}")  # Writes the bytecode, which is not counted.
    counted = f"profile.enable()\nimport {modules}\nprofile.disable()\nprint(pstats.Stats(profile).total_calls)"
    return int(in_fresh_interpreter(f"import cProfile, pstats; profile = cProfile.Profile()\n{counted}"))


@pytest.mark.slow
def test_api_import_takes_little_more_than_its_libraries() -> None:
    """`make bench-api` measures seconds. Here our modules are compared with the libraries they need."""
    needed = "fastapi, sqlalchemy.orm, celery, pydantic_settings, structlog, fsspec, tenacity"
    assert calls_to_import("app.main") < 2.8 * calls_to_import(needed)


@pytest.mark.slow
def test_client_import_takes_little_more_than_its_libraries() -> None:
    assert calls_to_import("fittingroom.client.sync_client") < 2.6 * calls_to_import(
        "httpx, httpx_sse, tenacity, pydantic"
    )


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_worker_loads_only_its_backend(backend: str) -> None:
    code = (
        f"import os, sys; os.environ['KERAS_BACKEND'] = '{backend}'\n"
        "from workers.process.lazy_imports import NOT_NEEDED, only_what_is_needed\n"
        f"with only_what_is_needed('{backend}'):\n"
        "    import workers.process.heartbeat, workers.builders.networks, workers.runner, workers.process.watchdog\n"
        "from tests.factories import spec\n"
        "from models.planning.plan import plan_experiment\n"
        "workers.builders.networks.describe(plan_experiment(spec()).trials[0].spec, 10)\n"
        "print(*[name for name in ('tensorflow', 'jax', *NOT_NEEDED) if sys.modules.get(name)])\n"
        "import pandas"
    )
    assert in_fresh_interpreter(code).split() == [backend]


def pinned(lock: str) -> set[str]:
    """`name==version` of each package in a lock file."""
    return set(re.findall(r"^[a-z0-9._-]+==[^ ]+", Path(f"locks/{lock}.txt").read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", ["api", "bench", "client", "worker", "worker-gpu", "worker-jax", "worker-jax-gpu"])
def test_lock_files_pin_the_versions_that_are_tested(lock: str) -> None:
    """One image holds the API's packages and a worker's."""
    tested = pinned("dev")
    known = {pin.partition("==")[0] for pin in tested}
    assert {pin for pin in pinned(lock) - tested if pin.partition("==")[0] in known} == set()
