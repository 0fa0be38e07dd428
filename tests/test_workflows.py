"""CI, the hooks before a commit and the issue forms: what they name exists, and nothing is left to chance."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NAMES = [file.stem for file in WORKFLOWS]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def load(name: str) -> dict[Any, Any]:
    """Return a workflow; YAML 1.1 reads the key `on` as True."""
    workflow: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text("utf-8"))
    return workflow


def steps_of(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_workflows_are_check_and_nightly() -> None:
    assert NAMES == ["check", "nightly"]


@pytest.mark.parametrize("name", NAMES)
def test_workflow_commands_name_existing_targets_and_files(name: str) -> None:
    commands = [step["run"] for step in steps_of(load(name)) if "run" in step]
    words = [word for command in commands for words in re.findall(r"\bmake (.*)", command) for word in words.split()]
    targets = {word for word in words if "=" not in word}
    assert targets <= TARGETS
    scripts = {word for command in commands for word in command.split() if word.startswith((".ci/", "scripts/"))}
    assert {script for script in scripts if not (ROOT / script).is_file()} == set()
    assert targets | scripts


@pytest.mark.parametrize("name", NAMES)
def test_workflow_permissions_are_read_only_and_older_runs_are_cancelled(name: str) -> None:
    workflow = load(name)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert all("permissions" not in job for job in workflow["jobs"].values())
    assert all(job["timeout-minutes"] <= 360 for job in workflow["jobs"].values())


@pytest.mark.parametrize("name", NAMES)
def test_workflow_actions_are_pinned_by_commit_with_their_version(name: str) -> None:
    """A tag can be moved to other code; the comment says which release the commit is."""
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_check_workflow_required_job_needs_every_other_job() -> None:
    jobs = load("check")["jobs"]
    required = jobs.pop("required")
    assert set(required["needs"]) == set(jobs)
    assert required["if"] == "always()"  # by default it would be skipped, which branch protection takes for passed
    [step] = required["steps"]
    assert set(re.findall(r"contains\(needs\.\*\.result, '(\w+)'\)", step["if"])) == {"failure", "cancelled", "skipped"}
    assert step["run"] == "exit 1"


def test_check_workflow_pythons_are_those_of_requires_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    supported = [f"3.{minor}" for minor in range(50) if f"3.{minor}" in SpecifierSet(project["requires-python"])]
    jobs = load("check")["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == supported
    assert re.fullmatch(r"python:(3\.\d+)-bookworm", jobs["whole"]["container"]["image"])
    assert jobs["whole"]["container"]["image"].removeprefix("python:").partition("-")[0] in supported


def test_check_workflow_runs_on_pushes_and_pull_requests_and_nightly_by_clock_and_hand() -> None:
    assert set(load("check")[True]) == {"push", "pull_request"}
    assert set(load("nightly")[True]) == {"schedule", "workflow_dispatch"}


def test_pre_commit_hooks_are_local_and_call_tools_of_the_project() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    locked = (ROOT / "locks" / "dev.txt").read_text(encoding="utf-8")
    for hook in repository["hooks"]:
        assert hook["language"] == "system", hook["id"]
        program, argument = hook["entry"].split()[:2] if " " in hook["entry"] else (hook["entry"], "")
        if program == "make":
            assert argument in TARGETS
        elif program != "git":
            tool = program.removeprefix(".venv/bin/").replace("lint-imports", "import-linter")
            assert re.search(rf"^{tool}==", locked, re.MULTILINE), hook["id"]


def test_issue_form_fields_have_ids_and_labels() -> None:
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    assert {file.name for file in folder.iterdir()} == {"bug_report.yml", "config.yml", "feature_request.yml"}
    for name in ("bug_report", "feature_request"):
        form = yaml.safe_load((folder / f"{name}.yml").read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= form.keys()
        fields = [part for part in form["body"] if part["type"] != "markdown"]
        assert len({part["id"] for part in fields}) == len(fields)
        assert all(part["attributes"]["label"] for part in fields)


def test_dashboard_lines_are_at_most_120_characters() -> None:
    """Biome wraps code, but neither comments nor HTML."""
    files = [file for file in (ROOT / "app" / "static").rglob("*") if file.suffix in {".js", ".css", ".html"}]
    assert files
    lines = [(file.name, line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert [where for where in lines if len(where[1]) > 120] == []


def test_dashboard_tools_are_pinned_and_locked() -> None:
    folder = ROOT / "scripts" / "js"
    wanted = json.loads((folder / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    locked = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in package for name, package in locked.items() if name)
