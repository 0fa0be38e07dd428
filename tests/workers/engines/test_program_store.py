"""Programs on disk: found again by another process, and worth nothing if they are not what was written."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from workers.engines import program_store
from workers.engines.backends.chosen import backend
from workers.engines.program_store import ProgramStore

SCRIPT = """
import json, sys
from pathlib import Path
from tests.factories import document
from tests.workers.engines.trials import cohort_of, trained, trial_specs
from workers.engines.fused.engine import FusedEngine
from workers.engines.fused.epoch import TrainingStep
from workers.engines.program_store import ProgramStore
traced, epochs = [], TrainingStep.epochs
TrainingStep.epochs = lambda *args: traced.append(1) or epochs(*args)
rates = {"name": "adam", "learning_rate": {"choice": [0.1, 0.01, 0.001]}}
cohort = cohort_of(trial_specs(document(optimizer=rates, fit={"epochs": 2, "validation_split": 0.3})))
found = trained(FusedEngine(store=ProgramStore(Path(sys.argv[1])), compiler=sys.argv[2]), cohort)
weights = {name: [array.tolist() for array in arrays] for name, arrays in found.weights.items()}
print(json.dumps([len(traced), found.histories, weights]))
"""


def train(folder: Path, compiler: str) -> tuple[int, Any, Any]:
    """Train in a process of its own; return how often it traced, the histories and the weights."""
    command = [sys.executable, "-c", SCRIPT, str(folder), compiler]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=quiet)
    traced, histories, weights = json.loads(done.stdout.splitlines()[-1])
    return traced, histories, weights


@pytest.mark.slow
@pytest.mark.backends
@pytest.mark.parametrize("compiler", backend.COMPILERS)
def test_another_process_finds_the_program_and_gives_the_same_numbers(tmp_path: Path, compiler: str) -> None:
    first, again = train(tmp_path, compiler), train(tmp_path, compiler)
    is_kept = keras.backend.backend() == "tensorflow"
    assert (first[0], again[0]) == ((1, 0) if is_kept else (1, 1))
    assert again[1:] == first[1:]


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 200]) + content[middle + 200 :]


SPOILERS = [truncate, flip, lambda _: b"", lambda _: os.urandom(20_000)]


@pytest.mark.slow
def test_spoiled_program_is_made_again(tmp_path: Path) -> None:
    first = train(tmp_path, "graph")
    [file] = [file for file in tmp_path.rglob("*") if file.is_file()]
    file.write_bytes(flip(file.read_bytes()))
    again, known = train(tmp_path, "graph"), train(tmp_path, "graph")
    assert (first[0], again[0], known[0]) == (1, 1, 0)
    assert known[1:] == again[1:] == first[1:]


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
