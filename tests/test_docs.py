"""Documentation held against the code."""

import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from app.main import create_app
from fittingroom.specs.base import Spec
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.layers import weights
from fittingroom.specs.layers.registry import LAYER_TYPES
from models.lifecycle import TRANSITIONS
from models.planning.plan import plan_experiment
from models.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
REFERENCE = ROOT / "docs" / "reference"
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["spec", "layers", "keras", "configuration", "commands", "python"])
def test_generated_reference_page_is_current(tmp_path: Path, page: str) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "make-reference", tmp_path], check=True)
    assert (tmp_path / f"{page}.md").read_text() == (REFERENCE / f"{page}.md").read_text(), "run `make reference`"


def test_configuration_page_has_every_setting() -> None:
    named = re.findall(r"^\| `(FITTINGROOM_\w+)`", (REFERENCE / "configuration.md").read_text(), re.MULTILINE)
    assert named == [f"FITTINGROOM_{name.upper()}" for name in Settings.model_fields]


def test_layers_page_has_every_layer_with_its_keys() -> None:
    page = (REFERENCE / "layers.md").read_text(encoding="utf-8")
    page = page.partition("\n## Initializers")[0]
    sections = {part.partition("\n")[0]: part for part in page.split("\n### ")[1:]}
    for name, layer in LAYER_TYPES.items():
        keys = set(re.findall(r"^\| `(\w+)` \|", sections[name], re.MULTILINE))
        assert keys == layer.model_fields.keys() - {"type", "name", "inputs", "trainable"}, name


def test_spec_page_has_every_key_with_an_example() -> None:
    page = (REFERENCE / "spec.md").read_text(encoding="utf-8")
    schema = ExperimentSpec.model_json_schema()
    elsewhere = {name for name, found in vars(weights).items() if isinstance(found, type)}
    elsewhere |= {layer.__name__ for layer in LAYER_TYPES.values()}
    documents = [document for name, document in schema["$defs"].items() if name not in elsewhere]
    keys = {key for document in (schema, *documents) for key in document.get("properties", ())}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == keys
    shown = set(re.findall(r'"(\w+)":', "".join(re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL))))
    assert keys - shown == set()


def test_spec_page_examples_are_valid() -> None:
    examples = json.loads((ROOT / "scripts" / "spec_examples.json").read_text(encoding="utf-8"))
    classes = {"ExperimentSpec": ExperimentSpec} | {
        found.__name__: found for found in all_subclasses(Spec) if not found.__name__.startswith("_")
    }
    for name, example in examples.items():
        classes[name.partition(",")[0]].model_validate(example)
    assert len(plan_experiment(ExperimentSpec.model_validate(examples["ExperimentSpec"])).trials) == 60


def all_subclasses(base: type[Spec]) -> set[type[Spec]]:
    return {base} | {found for child in base.__subclasses__() for found in all_subclasses(child)}


def test_site_navigation_has_every_page_and_no_other() -> None:
    def pages(node: object) -> Iterator[str]:
        if isinstance(node, str):
            yield node
        else:
            for part in node.values() if isinstance(node, dict) else node:  # type: ignore[attr-defined]
                yield from pages(part)

    navigation = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    decisions = {f"decisions/{file.name}" for file in (ROOT / "docs" / "decisions").glob("*.md")}
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs" / "decisions" / "index.md").read_text()))
    assert decisions == {"decisions/index.md"} | {f"decisions/{name}" for name in linked}
    files = {str(file.relative_to(ROOT / "docs")) for file in (ROOT / "docs").rglob("*.md")}
    assert set(pages(navigation)) == files - decisions | {"decisions/index.md"}


def test_states_drawing_has_every_transition() -> None:
    section = ARCHITECTURE.split("## States of a trial")[1].split("## Rules")[0]
    drawing = section.split("```")[1]
    rows = re.findall(r"^\| (\w) \| (?:`(\w+)`)? ?\| `(\w+)` \|.*\| (.*?) ?\|$", section, re.MULTILINE)
    assert {letter for letter, *_ in rows} == set(re.findall(r"\((\w)\)", drawing))
    arrows = {(source, target) for _, source, target, _ in rows if source}
    assert arrows == {(source.value, target.value) for source, all_ in TRANSITIONS.items() for target in all_}
    for _, _, target, writers in rows:
        assert writers, target
        for module, function in re.findall(r"`(\w+)\.(\w+)`", writers):
            assert hasattr(importlib.import_module(f"models.sql.{module}"), function)


def test_security_policy_settings_exist() -> None:
    named = set(re.findall(r"FITTINGROOM_\w+", (ROOT / "SECURITY.md").read_text(encoding="utf-8")))
    assert named
    assert named <= {f"FITTINGROOM_{name.upper()}" for name in Settings.model_fields}


def test_every_endpoint_is_in_the_docs_and_no_other(settings: Settings) -> None:
    named = set(re.findall(r"`((?:GET|POST|DELETE) /[^`]*)`", API))
    paths = create_app(settings).openapi()["paths"]
    assert named == {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}


def test_architecture_page_names_every_folder_and_no_other() -> None:
    named = set(re.findall(r"^\| `([a-z_/]+)/` \|", ARCHITECTURE, re.MULTILINE))
    assert {name for name in named if not (ROOT / name).is_dir()} == set()
    packages = {
        str(file.parent.relative_to(ROOT))
        for package in ("fittingroom", "app", "models", "workers")
        for file in (ROOT / package).rglob("__init__.py")
    }
    command = ["git", "ls-files"]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    top = {name.split("/")[0] for name in tracked if "/" in name and not name.startswith(".")}
    whole = {"fittingroom", "app", "models", "workers"}  # described by their folders
    assert named - packages - top == {"app/static"}
    assert (packages | top) - named == whole


def test_every_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in ("README.md", "CONTRIBUTING.md", "docs/speed.md", "docs/promises.md", "app/commands/demo.py"):
        named = set(re.findall(r"(?:`|\]|^)make ([a-z]+(?:-[a-z]+)*)", (ROOT / document).read_text(), re.MULTILINE))
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


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        ('"""What it is."""', 1),
        ('LIMIT = 1\n"""How many there are."""', 1),
        ('class A:\n    def b(self):\n        """Of each, its name."""', 1),
        ('"""Bell that tells workers of work."""', 1),
        ('"""Limit of requests."""\nLIMIT = 1\n"""Number of requests, whatever they are."""', 0),
    ],
    ids=["module", "constant", "method", "retired words", "names"],
)
def test_docstring_linter_refuses_relative_openings(tmp_path: Path, source: str, refused: int) -> None:
    (tmp_path / "module.py").write_text(source, encoding="utf-8")
    found = subprocess.run(
        [sys.executable, ROOT / "scripts" / "lint-words", tmp_path], check=False, capture_output=True, text=True
    )
    assert found.returncode == refused
    assert f"1 modules, 0 pages, {refused} places to reword" in found.stdout


def test_linter_refuses_retired_words_on_pages_but_not_in_code(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("# Queue\n\nThe `bell` is a name.\nA bell rings.\n", encoding="utf-8")
    found = subprocess.run(
        [sys.executable, ROOT / "scripts" / "lint-words", tmp_path], check=False, capture_output=True, text=True
    )
    assert found.returncode == 1
    assert "page.md:4: uses 'bell'" in found.stdout
    assert "0 modules, 1 pages, 1 places to reword" in found.stdout
