"""Programs on disk: found again by another process, and worth nothing if they are not what was written."""

import errno
import json
import os
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
from workers.engines.program_store import ProgramStore
store = ProgramStore(Path(sys.argv[1]))
store.configure_compilers()
from tests.factories import document
from tests.workers.engines.trials import cohort_of, trained, trial_specs
from workers.engines.fused.engine import FusedEngine
from workers.engines.fused.epoch import TrainingStep
traced, epochs = [], TrainingStep.epochs
TrainingStep.epochs = lambda *args: traced.append(1) or epochs(*args)
rates = {"name": "adam", "learning_rate": {"choice": [0.1, 0.01, 0.001]}}
cohort = cohort_of(trial_specs(document(optimizer=rates, fit={"epochs": 2, "validation_split": 0.3})))
found = trained(FusedEngine(store=store, compiler=sys.argv[2]), cohort)
weights = {name: [array.tolist() for array in arrays] for name, arrays in found.weights.items()}
print(json.dumps([len(traced), found.records, found.histories, weights]))
"""


def train(folder: Path, compiler: str) -> tuple[int, Any, Any, Any]:
    """Train in a process of its own; return how often it traced, the records, the histories and the weights."""
    command = [sys.executable, "-c", SCRIPT, str(folder), compiler]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    traced, records, histories, weights = json.loads(done.stdout.splitlines()[-1])
    return traced, records, histories, weights


@pytest.mark.slow
@pytest.mark.backends
@pytest.mark.parametrize("compiler", backend.COMPILERS)
def test_another_process_finds_the_program_and_gives_the_same_numbers(tmp_path: Path, compiler: str) -> None:
    first = train(tmp_path, compiler)
    kept = sorted(tmp_path.rglob("*"))
    again = train(tmp_path, compiler)
    is_trace_kept = keras.backend.backend() == "tensorflow"  # JAX keeps what it has compiled alone
    assert (first[0], again[0]) == ((1, 0) if is_trace_kept else (1, 1))
    assert again[2:] == first[2:]
    assert sorted(tmp_path.rglob("*")) == kept


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 200]) + content[middle + 200 :]


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [truncate, flip, lambda _: b"", lambda _: os.urandom(20_000)])
def test_spoiled_files_are_made_again(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    first = train(tmp_path, "xla")
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".sha256"]
    assert len(files) == 2  # a trace, and what XLA made of it
    for file in files:
        file.write_bytes(spoil(file.read_bytes()))
    again, known = train(tmp_path, "xla"), train(tmp_path, "xla")
    assert (first[0], again[0], known[0]) == (1, 1, 0)
    assert again[1][0]["compiler"] == "xla"
    assert known[2:] == again[2:] == first[2:]


def test_kept_content_is_read_by_its_key(tmp_path: Path) -> None:
    store = ProgramStore(tmp_path)
    assert store.read("a") is None
    store.keep("a", b"content")
    assert ProgramStore(tmp_path).read("a") == b"content"
    assert store.read("b") is None


def test_files_of_a_compiler_are_trusted_once_sealed(tmp_path: Path) -> None:
    store = ProgramStore(tmp_path)
    names = ("sealed", "spoiled", "foreign")
    sealed, spoiled, foreign = (store.compiled_folder / name for name in names)
    for file in (sealed, spoiled):
        file.write_bytes(b"machine code")
    store.seal_compiled()
    spoiled.write_bytes(b"other code")
    foreign.write_bytes(b"unknown")
    ProgramStore(tmp_path)
    assert [file.exists() for file in (sealed, spoiled, foreign)] == [True, False, False]


@pytest.mark.parametrize("written", ["keep", "seal_compiled"])
def test_full_disk_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    store = ProgramStore(tmp_path)
    (store.compiled_folder / "machine code").write_bytes(b"code")
    before = sorted(tmp_path.rglob("*"))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(program_store, "_write", full)
    store.keep("a", b"content") if written == "keep" else store.seal_compiled()
    assert sorted(tmp_path.rglob("*")) == before


def test_the_oldest_files_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ProgramStore(tmp_path)
    for day, key in enumerate("abc"):
        store.keep(key, bytes(1000))
        os.utime(store.file(key), (day, day))
    store.read("a")  # used now
    monkeypatch.setattr(program_store, "MAX_BYTES", 2500)
    reopened = ProgramStore(tmp_path)
    assert [reopened.read(key) is not None for key in "abc"] == [True, False, True]


def test_flags_that_a_user_has_set_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=1")
    store = ProgramStore(tmp_path)
    store.configure_compilers()
    once = os.environ["TF_XLA_FLAGS"]
    store.configure_compilers()
    assert os.environ["TF_XLA_FLAGS"] == once
    assert once.startswith("--tf_xla_auto_jit=1 --tf_xla_persistent_cache_directory=")
