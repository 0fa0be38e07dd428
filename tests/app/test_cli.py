"""The command line, as real processes."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest


def fittingroom(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    shown = fittingroom("--help", cwd=tmp_path).stdout
    assert all(command in shown for command in ("serve", "api", "worker", "migrate", "demo"))


@pytest.mark.parametrize("command", ["serve", "api"])
def test_other_addresses_than_loopback_are_refused(tmp_path: Path, command: str) -> None:
    refused = fittingroom(command, "--host", "0.0.0.0", cwd=tmp_path)  # noqa: S104 - it is refused
    assert refused.returncode == 1
    assert "FITTINGROOM_ALLOW_REMOTE" in refused.stderr


def test_a_port_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = fittingroom("serve", "--port", str(port), cwd=tmp_path)
    assert refused.returncode == 1
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "--port" in refused.stderr


def test_migrate_makes_the_database_in_the_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    assert fittingroom("migrate", "--data-dir", str(folder), cwd=tmp_path).returncode == 0
    assert (folder / "fittingroom.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_an_unknown_queue_is_refused(tmp_path: Path) -> None:
    refused = fittingroom("worker", "--queues", "tpu", cwd=tmp_path)
    assert refused.returncode == 1
    assert "unknown queues: tpu" in refused.stderr


def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FITTINGROOM_LEASE_SECONDS", "soon")
    refused = fittingroom("serve", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("FITTINGROOM_LEASE_SECONDS: ")
    assert "'soon'" in refused.stderr


@pytest.mark.parametrize(("flags", "sentence"), [(["--gpu", "7"], "no GPU 7"), ([], "fittingroom migrate")])
def test_a_worker_that_cannot_work_says_why(tmp_path: Path, flags: list[str], sentence: str) -> None:
    refused = fittingroom("worker", *flags, cwd=tmp_path)
    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr
