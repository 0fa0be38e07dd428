"""The folder of compilers: private, empty but for one program, and set only where a user has set none."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.factories import document
from tests.mounts import small_disk
from tests.workers.engines.trials import Recording, cohort_of, trial_specs
from workers.engines import executables
from workers.engines.base import Weights
from workers.engines.executables import ExecutableFolder, ExecutableFolderLostError, compilers_folder
from workers.engines.reference import ReferenceEngine

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
    assert machines[0] == machines[1]


HOLDING = """
import sys
from pathlib import Path
from workers.engines.executables import compilers_folder
with compilers_folder(Path(sys.argv[1])):
    print("made", flush=True)
    sys.stdin.read()
"""


def test_folders_that_no_process_holds_are_removed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDING, str(tmp_path)]
    holders = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    folders = []
    for holder in holders:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"made\n"
        folders += [folder for folder in tmp_path.iterdir() if folder not in folders]
    holders[0].kill()
    holders[0].wait()
    for folder in folders:
        os.utime(folder, (0, 0))
    with compilers_folder(tmp_path):
        assert [folder.exists() for folder in folders] in ([False, True], [True, False])
        assert sum(1 for _ in tmp_path.iterdir()) == 2
    for holder in holders:
        holder.communicate()
    assert sum(1 for _ in tmp_path.iterdir()) == 0


def test_folder_made_just_now_is_left_to_its_process(tmp_path: Path) -> None:
    (tmp_path / "fittingroom-new").mkdir()
    with compilers_folder(tmp_path):
        assert (tmp_path / "fittingroom-new").exists()


@pytest.fixture
def folder(tmp_path: Path) -> ExecutableFolder:
    return ExecutableFolder(tmp_path)


def test_new_file_is_taken_and_found_again_by_its_name(tmp_path: Path, folder: ExecutableFolder) -> None:
    with folder.compiling():
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "program-1.pb").write_bytes(b"made\nof lines")
        (tmp_path / "program-1.pb.tmp").touch()
        made = folder.take()
    assert made is not None
    with folder.compiling():
        folder.put(made)
        assert (tmp_path / "program-1.pb").read_bytes() == b"made\nof lines"
        assert folder.take() is None


def test_file_made_in_place_of_one_that_was_no_use_is_taken(tmp_path: Path, folder: ExecutableFolder) -> None:
    with folder.compiling():
        folder.put(b"old-cache\nrubbish")
        (tmp_path / "new-cache").write_bytes(b"made")
        assert folder.take() == b"new-cache\nmade"


def test_room_is_kept_for_an_executable(tmp_path: Path) -> None:
    with small_disk(tmp_path / "memory", "size=9m") as memory:
        folder = ExecutableFolder(memory)
        with (memory.parent / "memory" / "others").open("wb") as others, pytest.raises(OSError, match="No space left"):
            others.write(bytes(9 * 1024**2))
        with folder.compiling():
            (memory / "program.pb").write_bytes(bytes(7 * 1024**2))
            assert folder.take() is not None


def test_folder_that_was_replaced_is_used_no_more(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir(mode=0o700)
    folder = ExecutableFolder(path)
    with folder.compiling():
        assert not folder.is_lost
    shutil.rmtree(path)
    path.mkdir(mode=0o755)
    with pytest.raises(ExecutableFolderLostError), folder.compiling():
        pass
    assert folder.is_lost


def test_fit_leaves_nothing_in_the_folder(tmp_path: Path, folder: ExecutableFolder) -> None:
    engine = ReferenceEngine(is_tuned=True, executables=folder)
    left: list[list[str]] = []
    recording = Recording(cohort := cohort_of(trial_specs(document(seeds=[0, 1], fit={"epochs": 1}))))
    on_trial_end = recording.on_trial_end

    def leaving(trial_id: str, weights: Callable[[], Weights]) -> None:
        left.append([file.name for file in tmp_path.iterdir()])
        (tmp_path / f"{trial_id}.pb").touch()
        on_trial_end(trial_id, weights)

    recording.on_trial_end = leaving  # type: ignore[method-assign]
    engine.train(cohort, recording)
    assert left == [[], []]
    assert [file.name for file in tmp_path.iterdir()] == ["reserve"]


@pytest.mark.parametrize("content", [b"../outside\nmade", b"{}/outside\nmade", b"\xff\nmade", b"", b"no line"])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, content: bytes) -> None:
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    folder = ExecutableFolder(inside)
    with folder.compiling():
        folder.put(content.replace(b"{}", str(tmp_path).encode()))
        assert [file.parent for file in tmp_path.rglob("*") if file.is_file()] in ([inside], [])
