"""The house stands as DESIGN says: what may be imported where, and how fast the API starts."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("tensorflow", "keras", "numpy", "scipy", "pandas", "matplotlib", "sklearn", "mlxtend")


def in_fresh_interpreter(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_import_contracts_hold() -> None:
    checked = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("module", ["app.main", "app.cli", "app.client", "models.transitions", "models.broker"])
def test_nothing_heavy_is_loaded(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    assert in_fresh_interpreter(code).strip() == ""


def test_client_and_specs_load_no_server_library() -> None:
    servers = ("sqlalchemy", "celery", "fastapi", "alembic", "redis")
    code = f"import sys, app.client, models.spec; print(*[name for name in {servers} if name in sys.modules])"
    assert in_fresh_interpreter(code).strip() == ""


def calls_to_import(modules: str) -> int:
    """How many calls importing `modules` takes. Unlike seconds it is the same on every machine and in every run."""
    in_fresh_interpreter(f"import {modules}")  # Writes the bytecode, which is not counted.
    counted = f"profile.enable()\nimport {modules}\nprofile.disable()\nprint(pstats.Stats(profile).total_calls)"
    return int(in_fresh_interpreter(f"import cProfile, pstats; profile = cProfile.Profile()\n{counted}"))


def test_the_api_starts_as_fast_as_its_libraries_allow() -> None:
    """`make bench-api` says how many seconds. Here our modules are held against the libraries they need."""
    needed = "fastapi, sqlalchemy.orm, celery, pydantic_settings, structlog, fsspec, tenacity"
    assert calls_to_import("app.main") < 3.3 * calls_to_import(needed)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_worker_loads_its_backend_and_nothing_that_it_never_calls(backend: str) -> None:
    code = (
        f"import os, sys; os.environ['KERAS_BACKEND'] = '{backend}'\n"
        "from workers.imports import NOT_NEEDED, only_what_is_needed\n"
        f"with only_what_is_needed('{backend}'):\n"
        "    import workers.heartbeat, workers.networks, workers.runner, workers.watchdog\n"
        "from tests.specs import spec\n"
        "from models.planning import plan_experiment\n"
        "workers.networks.describe(plan_experiment(spec()).trials[0].spec, 10)\n"
        "print(*[name for name in ('tensorflow', 'jax', *NOT_NEEDED) if sys.modules.get(name)])\n"
        "import pandas"
    )
    assert in_fresh_interpreter(code).split() == [backend]


def python_files() -> list[Path]:
    return [file for folder in ("app", "models", "workers") for file in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("file", python_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_module_says_what_it_is_and_what_it_may_import(file: Path) -> None:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    assert "May import" in docstring


def test_no_sql_outside_its_rooms() -> None:
    rooms = {
        "models/database.py", "models/tables.py", "models/leases.py",
        "models/repository.py", "models/registry.py", "models/epochs.py", "models/transitions.py",
        "models/requests.py", "models/retention.py", "models/doctor.py",
        "models/listing.py", "models/submissions.py", "models/versions.py", "models/keys.py",
        "models/datasets.py", "models/webhooks.py",
    }  # fmt: skip
    # These know the session or the errors, and write no statement.
    guests = {
        "app/batches.py", "app/doctor.py", "app/errors.py", "app/service.py", "app/submitter.py",
        "app/webhooks.py",
        "models/reaper.py", "workers/__main__.py", "workers/heartbeat.py",
        "workers/recorder.py", "workers/runner.py", "workers/watchdog.py",
    }  # fmt: skip
    imports = re.compile(r"^\s*(from|import) sqlalchemy", re.MULTILINE)
    found = {str(file.relative_to(ROOT)) for file in python_files() if imports.search(file.read_text(encoding="utf-8"))}
    assert found <= rooms | guests
    statements = ("select(", "update(", "insert(", "delete(")
    for name in sorted(guests):
        source = (ROOT / name).read_text(encoding="utf-8")
        assert not any(f" {statement}" in source for statement in statements), name
