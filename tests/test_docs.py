"""What the documents say is so."""

import json
import re
from pathlib import Path

import pytest
import yaml

from app.main import create_app
from models.planning import plan_experiment
from models.settings import Settings
from models.spec import ExperimentSpec

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_every_setting_is_in_the_readme_and_no_other() -> None:
    named = set(re.findall(r"^\| `(FITTINGROOM_\w+)`", README, re.MULTILINE))
    assert named == {f"FITTINGROOM_{name.upper()}" for name in Settings.model_fields}


def test_every_endpoint_is_in_the_docs_and_no_other(settings: Settings) -> None:
    named = set(re.findall(r"`((?:GET|POST|DELETE) /[^`]*)`", API))
    paths = create_app(settings).openapi()["paths"]
    assert named == {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}


def test_every_file_is_in_the_readmes_tree() -> None:
    tree = README.split("## Where everything lives")[1].split("```")[1]
    named, folders = set(), []
    for line in tree.strip().splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        folders[depth:] = [name]
        named.add("".join(folders))
    files = {
        str(file.relative_to(ROOT))
        for folder in ("app", "models", "workers")
        for file in (ROOT / folder).rglob("*.py")
        if file.name != "__init__.py"
    }
    assert files - named == set()
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in ("README.md", "CONTRIBUTING.md", "docs/speed.md", "docs/promises.md", "app/demo.py"):
        named = set(re.findall(r"(?:`|\]|^)make ([a-z]+)", (ROOT / document).read_text(), re.MULTILINE))
        assert named
        assert named <= targets


def test_the_readmes_curl_is_a_valid_experiment() -> None:
    [body] = re.findall(r"-d '(\{.*?\})'\n```", README, re.DOTALL)
    assert len(plan_experiment(ExperimentSpec.model_validate(json.loads(body))).trials) == 9


def test_compose_names_settings_files_and_commands_that_exist() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert set(services) == {"postgres", "redis", "migrate", "api", "worker", "worker-gpu"}
    known = {f"FITTINGROOM_{name.upper()}" for name in Settings.model_fields}
    for service in services.values():
        named = {name for name in service.get("environment", {}) if name.startswith("FITTINGROOM_")}
        assert named <= known
        if "build" in service:
            dockerfile = (ROOT / service["build"]["dockerfile"]).read_text()
            lock = service["build"].get("args", {}).get("LOCK", "worker")
            copied = re.findall(r"^COPY (.*) \S+$", dockerfile.replace("${LOCK}", lock), re.MULTILINE)
            assert all((ROOT / path).exists() for paths in copied for path in paths.split())
            assert service["command"][0] in ("migrate", "api", "worker")


@pytest.mark.parametrize("name", ["dev", "bench", "api", "worker", "worker-gpu", "worker-jax", "worker-jax-gpu"])
def test_every_locked_package_has_a_hash(name: str) -> None:
    requirements = re.split(r"\n(?=[a-z])", (ROOT / "locks" / f"{name}.txt").read_text().strip())
    assert len(requirements) > 30
    assert all("--hash=sha256:" in requirement for requirement in requirements)
    names = {re.split(r"[=\[]", line)[0] for line in requirements}
    assert ("tensorflow" in names) == (name in {"dev", "bench", "worker", "worker-gpu"})
    assert ("jax" in names) == (name in {"dev", "bench", "worker-jax", "worker-jax-gpu"})
