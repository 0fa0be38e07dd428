"""Standard error while a worker imports TensorFlow."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import os
from workers.quiet_imports import without_noise
with without_noise():
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
    os.write(2, b"I0000 port.cc:153] oneDNN custom operations are on.\\n")
    os.write(2, b"not compiled for this processor\\n")
    {inside}
os.write(2, b"oneDNN custom operations after the imports\\n")
"""


def run(inside: str) -> subprocess.CompletedProcess[str]:
    script = _SCRIPT.format(inside=inside)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)


def test_stderr_during_imports_loses_noise_alone() -> None:
    done = run("pass")
    assert done.stderr == "not compiled for this processor\noneDNN custom operations after the imports\n"


def test_stderr_of_a_crash_during_imports_is_shown() -> None:
    done = run("os.abort()")
    assert done.returncode == -signal.SIGABRT
    assert done.stderr == "not compiled for this processor\n"


def test_error_during_imports_is_shown_unchanged() -> None:
    done = run("import no_such_package")
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'no_such_package'" in done.stderr


@pytest.mark.parametrize("has_grep", [False, True], ids=["no grep", "a grep without these options"])
def test_stderr_without_a_usable_grep_is_not_filtered(tmp_path: Path, *, has_grep: bool) -> None:
    if has_grep:
        (tmp_path / "grep").write_text("#!/bin/sh\nexit 2\n")
        (tmp_path / "grep").chmod(0o755)
    script = _SCRIPT.format(inside="print('said', file=__import__('sys').stderr)")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | {"PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr.count("\n") == 5


def test_stderr_with_binary_bytes_loses_no_line() -> None:
    script = _SCRIPT.format(inside=r"os.write(2, b'\xff\x00\nfatal\n'); os.abort()")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=60)
    assert done.stderr == b"not compiled for this processor\n\xff\x00\nfatal\n"
