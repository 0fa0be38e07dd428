"""Programs on disk: found again by another process, and worth nothing if they are not what was written."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from workers.engines import program_store
from workers.engines.backends.chosen import backend
from workers.engines.program_store import ProgramStore

SCRIPT = """
import json, sys, textwrap
from pathlib import Path
from workers.engines import executables
folder, compiler, memory, prepare = sys.argv[1:]
executables._MIN_FREE_BYTES = 0
with executables.compilers_folder(Path(memory)) as compilers_folder:
    from tests.factories import document
    from tests.workers.engines.trials import cohort_of, trained, trial_specs
    from workers.engines.fused import engine, training
    from workers.engines.program_store import ProgramStore
    exec(textwrap.dedent(prepare))
    rates = {"name": "adam", "learning_rate": {"choice": [0.1, 0.01, 0.001]}}
    cohort = cohort_of(trial_specs(document(optimizer=rates, fit={"epochs": 2, "validation_split": 0.3})))
    store = ProgramStore(Path(folder), compilers_folder)
    found = trained(engine.FusedEngine(store=store, compiler=None if compiler == "None" else compiler), cohort)
    weights = {name: [array.tolist() for array in arrays] for name, arrays in found.weights.items()}
    print(json.dumps([found.phases.count("tracing"), found.histories, weights, found.records[-1]["compiler"]]))
"""


class Trained(NamedTuple):
    """Training in a process of its own."""

    traced: int
    """Number of traces."""
    histories: Any
    weights: Any
    compiler: str


def train(folder: Path, compiler: str, memory: Path | None = None, prepare: str = "") -> Trained:
    """Train in a process of its own.

    Args:
        folder: of the programs.
        compiler: to use; "None" for the one that the rule chooses.
        memory: where the compilers have their folder; by default beside the programs.
        prepare: what else to do before, as Python.
    """
    command = [sys.executable, "-c", SCRIPT, str(folder), compiler, str(memory or folder.parent), prepare]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return Trained(*json.loads(done.stdout.splitlines()[-1]))


def files_of(folder: Path) -> dict[Path, int]:
    """Return the files of a store and their inodes: one that is made anew has another."""
    return {file: file.stat().st_ino for file in folder.rglob("*") if file.is_file()}


@pytest.mark.slow
@pytest.mark.backends
@pytest.mark.parametrize("compiler", backend.COMPILERS)
def test_another_process_finds_the_program_and_gives_the_same_numbers(tmp_path: Path, compiler: str) -> None:
    folder = tmp_path / "programs"
    first, kept = train(folder, compiler), files_of(folder)
    again = train(folder, compiler)
    assert (first.traced, again.traced) == (1, 0)
    assert again[1:] == first[1:]
    assert len(kept) == {"graph": 1, "xla": 2}[compiler]
    assert files_of(folder) == kept
    assert list(tmp_path.iterdir()) == [folder]


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 200]) + content[middle + 200 :]


SPOILERS = [truncate, flip, lambda _: b"", lambda _: os.urandom(20_000)]


@pytest.mark.slow
@pytest.mark.backends
def test_spoiled_program_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "programs"
    first, kept = train(folder, "xla"), files_of(folder)
    for file in kept:
        file.write_bytes(flip(file.read_bytes()))
    again, made = train(folder, "xla"), files_of(folder)
    known = train(folder, "xla")
    assert (first.traced, again.traced, known.traced) == (1, 1, 0)
    assert known[1:] == again[1:] == first[1:]
    assert made.keys() == kept.keys()
    assert set(made.values()).isdisjoint(kept.values())


@pytest.mark.slow
@pytest.mark.backends
def test_executable_that_cannot_be_loaded_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "programs"
    first, kept = train(folder, "xla"), files_of(folder)
    foreign = """
        read = ProgramStore.read
        def read_rubbish(store, key):
            content = read(store, key)
            is_executable = content and key.endswith(store.executables.machine)
            return content.split(b"\\n")[0] + b"\\nrubbish" if is_executable else content
        ProgramStore.read = read_rubbish"""
    again = train(folder, "xla", prepare=foreign)
    known = train(folder, "xla")
    assert again == known == first._replace(traced=0)
    assert files_of(folder).keys() <= kept.keys()


def test_kept_content_is_read_by_its_key(tmp_path: Path) -> None:
    store = ProgramStore(tmp_path)
    assert store.read("a") is None
    store.keep("a", b"content")
    assert ProgramStore(tmp_path).read("a") == b"content"
    assert store.read("b") is None


@pytest.mark.parametrize("spoil", SPOILERS)
def test_spoiled_content_is_as_good_as_none(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    store = ProgramStore(tmp_path)
    store.keep("a", bytes(1000))
    store.file("a").write_bytes(spoil(store.file("a").read_bytes()))
    assert store.read("a") is None


def test_content_of_another_key_is_as_good_as_none(tmp_path: Path) -> None:
    store = ProgramStore(tmp_path)
    store.keep("a", b"content")
    shutil.copy(store.file("a"), store.file("b"))
    assert store.read("b") is None


def test_deleted_folder_is_made_again(tmp_path: Path) -> None:
    store = ProgramStore(tmp_path / "programs")
    store.keep("a", b"content")
    shutil.rmtree(tmp_path / "programs")
    assert store.read("a") is None
    store.keep("a", b"content")
    assert store.read("a") == b"content"


@pytest.mark.parametrize("fails", ["write_bytes", "replace"])
def test_full_disk_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    store = ProgramStore(tmp_path)
    write = Path.write_bytes

    def full(path: Path, content: object) -> None:
        if fails == "write_bytes":
            write(path, b"a part")
        raise OSError(errno.ENOSPC, f"No space left on device for {content!r}")

    monkeypatch.setattr(Path, fails, full)
    store.keep("a", b"content")
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_file_in_place_of_the_folder_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "programs").write_bytes(b"")
    store = ProgramStore(tmp_path / "programs")
    store.keep("a", b"content")
    assert store.read("a") is None


def test_files_not_used_for_longest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ProgramStore(tmp_path)
    for day, key in enumerate("abc"):
        store.keep(key, bytes(1000))
        os.utime(store.file(key), (day, day))
    store.read("a")  # used now
    monkeypatch.setattr(program_store, "MAX_BYTES", 2500)
    reopened = ProgramStore(tmp_path)
    assert [reopened.read(key) is not None for key in "abc"] == [True, False, True]
