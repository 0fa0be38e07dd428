"""The documents' snippets, run line by line against a running service; and their links and pictures."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.service import Service

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(document: Path, *languages: str) -> list[tuple[str, str]]:
    """Language and text of each fenced block in one of the languages."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found if language in languages]


def run(text: str, service: Service, folder: Path) -> str:
    """Type lines into a fresh shell, which knows nothing of this environment but where the service is."""
    url = f"http://127.0.0.1:{service.port}"
    done = subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-euo", "pipefail"],
        input=text.replace("http://127.0.0.1:8000", url),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=folder,
        env={"FITTINGROOM_URL": url, "PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )
    assert done.returncode == 0, text + done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the examples and the environment of a checkout."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def test_the_tutorials_shell_lines(service: Service, folder: Path) -> None:
    lines = "\n".join(text for _, text in snippets(ROOT / "docs" / "tutorial.md", "sh"))
    shown = run(lines, service, folder)
    assert "completed" in shown
    assert '"sentence":' in shown
    assert (folder / "rates.svg").read_text().startswith("<?xml")
    assert (folder / "deeper.csv").read_text().startswith("trial_id,trial,label,epoch,loss")
    assert (folder / "deeper.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "history.parquet").stat().st_size > 0
    assert list((folder / "runs").rglob("events.out.*"))


@pytest.mark.timeout(900)
def test_the_tutorials_python_lines(service: Service, folder: Path) -> None:
    [(_, first), *_] = snippets(ROOT / "docs" / "tutorial.md", "sh")
    lines = "\n".join(text for _, text in snippets(ROOT / "docs" / "tutorial.md", "python"))
    shown = run(f"{first}python <<'END'\n{lines}\nEND\n", service, folder)
    assert "early_stopping 4 of 30 - best at 2" in shown
    assert re.search(r"beats|No difference", shown)
    assert (folder / "digits.keras").stat().st_size > 0
    assert "further seeds alone, with which the best 3 of 36 candidates were trained" in shown
    assert (folder / "search.svg").read_text().startswith("<?xml")


def test_the_readmes_and_the_apis_calls(service: Service, folder: Path) -> None:
    """But for those that start a service, need a key or change this machine's environment."""
    calls = [
        text
        for document in (ROOT / "README.md", ROOT / "docs" / "api.md")
        for _, text in snippets(document, "sh")
        if "curl" in text and "Bearer" not in text
    ]
    assert len(calls) >= 2
    for text in calls:
        shown = run(text, service, folder)
        assert re.search(r"202 Accepted|\"sha256\"", shown), shown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_and_picture_is_there(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    for target in targets:
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_snippet_is_of_a_kind_that_somebody_looks_at(document: Path) -> None:
    kinds = {"sh", "python", "json", "console", "text", ""}
    fences = re.findall(r"^```(\w*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(fences) <= kinds
    if document.name != "tutorial.md":
        assert not snippets(document, "python"), "python snippets are run in the tutorial alone"
