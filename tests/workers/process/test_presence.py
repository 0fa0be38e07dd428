"""Lock files of workers on one machine, held by real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workers.process.presence import PresenceFile, dead_workers, presence_folder

HOLD = (
    "import sys, pathlib, time; from workers.process.presence import PresenceFile; "
    "file = PresenceFile(pathlib.Path(sys.argv[1]), sys.argv[2]); print('held', flush=True); sys.stdin.read(); {end}"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return presence_folder(tmp_path / "data")


def hold(folder: Path, worker_id: str, end: str = "") -> "subprocess.Popen[str]":
    """Return a process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLD.format(end=end), str(folder), worker_id]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: "subprocess.Popen[str]") -> None:
    process.communicate()


def test_dead_workers_lists_the_killed_alone(folder: Path) -> None:
    alive, killed = hold(folder, "wrk_alive"), hold(folder, "wrk_killed")
    with dead_workers(folder) as ids:
        assert ids == []
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    end(killed)
    with dead_workers(folder) as ids:
        assert ids == ["wrk_killed"]
        with dead_workers(folder) as of_another:
            assert of_another == [], "one takes over, not two"
    with dead_workers(folder) as ids:
        assert ids == []
    end(alive)


def test_dead_workers_after_error_are_listed_again(folder: Path) -> None:
    end(hold(folder, "wrk_dead"))
    with pytest.raises(ConnectionError), dead_workers(folder):
        raise ConnectionError
    with dead_workers(folder) as ids:
        assert ids == ["wrk_dead"]


def test_removed_file_is_of_no_dead_worker(folder: Path) -> None:
    end(hold(folder, "wrk_polite", end="file.remove()"))
    with dead_workers(folder) as ids:
        assert ids == []
    assert list(folder.iterdir()) == []


def test_workers_of_another_data_folder_are_not_listed(folder: Path, tmp_path: Path) -> None:
    end(hold(presence_folder(tmp_path / "other"), "wrk_other"))
    with dead_workers(folder) as ids:
        assert ids == []


@pytest.mark.parametrize("kind", ["writable by others", "link", "file"])
def test_folder_of_others_is_not_used(folder: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    if kind == "link":
        folder.parent.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        folder.parent.touch()
    else:
        folder.mkdir(parents=True)
        folder.parent.chmod(0o777)
        (folder / "wrk_planted").touch()
    file = PresenceFile(folder, "wrk_mine")
    with dead_workers(folder) as ids:
        assert ids == []
    assert not (folder / "wrk_mine").exists()
    file.remove()
