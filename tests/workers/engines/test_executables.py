"""The folder of compilers: private, empty but for one program, and set only where a user has set none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.engines import executables
from workers.engines.executables import ExecutableFolder, compilers_folder

TF = "--tf_xla_persistent_cache_directory="
VARIABLES = ("TF_XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set none of the variables; what a test sets is forgotten after it."""
    for name in (*VARIABLES, *(name for name in os.environ if name.startswith("JAX_PERSISTENT"))):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_folder_is_private_and_removed_in_the_end(tmp_path: Path) -> None:
    with compilers_folder(tmp_path):
        [folder] = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert os.environ["TF_XLA_FLAGS"].startswith(f"{TF}{folder} ")
        assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("is_there", [True, False])
def test_without_memory_nothing_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool) -> None:
    monkeypatch.setattr(executables, "_MIN_FREE_BYTES", 2**60)
    with compilers_folder(tmp_path if is_there else tmp_path / "none") as folder:
        assert folder is None
        assert not any(name in os.environ for name in VARIABLES)


@pytest.mark.parametrize("given", [f"{TF}/elsewhere", "flags.txt", f"--tf_xla_auto_jit=0 {TF}/elsewhere"])
def test_settings_of_a_user_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("TF_XLA_FLAGS", given)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    with compilers_folder(tmp_path):
        assert [os.environ[name] for name in VARIABLES] == [given, "/elsewhere"]


def test_other_flags_of_a_user_are_kept_by_a_process_that_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")
    folders, machines = [], []
    begun = [compilers_folder(tmp_path) for _ in range(2)]  # never left, as by exec
    for one in begun:
        folder = one.__enter__()
        assert folder is not None
        machines.append(folder.machine)
        folders += [found for found in tmp_path.iterdir() if found not in folders]
        flags = f"--tf_xla_auto_jit=0 {TF}{folders[-1]} --tf_xla_persistent_cache_device_types=CPU"
        assert os.environ["TF_XLA_FLAGS"] == flags
        assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(folders[-1])
    assert list(tmp_path.iterdir()) == folders[1:]
    assert machines[0] == machines[1]


def test_folders_of_dead_processes_are_removed(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left, living = (tmp_path / f"fittingroom-{number}-x" for number in (int(dead.stdout), os.getppid()))
    for folder in (left, living, tmp_path / "fittingroom-not-a-number"):
        folder.mkdir()
        (folder / "file").touch()
    with compilers_folder(tmp_path):
        assert not left.exists()
        assert (living / "file").exists()
        assert (tmp_path / "fittingroom-not-a-number" / "file").exists()


def test_new_file_is_taken_and_found_again_by_its_name(tmp_path: Path) -> None:
    folder = ExecutableFolder(tmp_path)
    folder.put(None)
    (tmp_path / "program-1").write_bytes(b"made\nof lines")
    made = folder.take()
    assert list(tmp_path.iterdir()) == []
    folder.put(made)
    assert (tmp_path / "program-1").read_bytes() == b"made\nof lines"
    assert folder.take() is None
    assert list(tmp_path.iterdir()) == []


def test_file_made_in_place_of_one_that_was_no_use_is_taken(tmp_path: Path) -> None:
    folder = ExecutableFolder(tmp_path)
    folder.put(b"old\nrubbish")
    (tmp_path / "new").write_bytes(b"made")
    assert folder.take() == b"new\nmade"


@pytest.mark.parametrize("content", [b"../outside\nmade", b"/outside\nmade", b"\xff\nmade", b"", b"no line"])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, content: bytes) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    ExecutableFolder(inside).put(content)
    assert [file.parent for file in tmp_path.rglob("*") if file.is_file()] in ([inside], [])
