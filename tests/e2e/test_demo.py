"""The demo, as a newcomer runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.examples import example_documents

pytestmark = pytest.mark.e2e


def test_the_demo_trains_the_six_exercises_and_leaves_pictures(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "fittingroom", "demo"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "100"},
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for document in example_documents().values():
        assert document["name"] in shown.stdout
    assert shown.stdout.count("Total params") == 4
    assert "early_stopping" in shown.stdout
    assert "/docs" in shown.stdout
    assert "fittingroom submit" in shown.stdout.partition("Go on:")[2]
    assert "oneDNN" not in (tmp_path / ".fittingroom" / "demo.log").read_text()
    pictures = {path.name.partition(".")[0] for path in (tmp_path / ".fittingroom" / "results").glob("*.svg")}
    assert pictures == set(example_documents())
