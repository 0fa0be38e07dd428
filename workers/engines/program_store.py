"""Programs on disk, so that a worker that restarts, and every other worker of the machine, begins with them.

A file that is truncated, spoiled or foreign is as good as none. The folder's name stands for what a program depends on
beside its key: the libraries, this code, the processor.
"""

import hashlib
import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from models.storage import UNFINISHED

MAX_BYTES = 1024**3
"""Limit on all files together, checked when a worker starts; the oldest go first."""
_DIGEST_BYTES = hashlib.sha256().digest_size
_DIGEST = ".sha256"
_LIBRARIES = ("tensorflow", "jax", "jaxlib", "keras", "numpy")
_SOURCES = ("engines", "builders")


class ProgramStore:
    """Traces of programs by key, and a folder for what the compilers keep by themselves."""

    def __init__(self, folder: Path) -> None:
        """Make the folder of this environment, and remove from it what cannot be trusted.

        Args:
            folder: of programs, for all environments.
        """
        self._folder = folder / _environment()
        self.compiled_folder = self._folder / "compiled"
        self.compiled_folder.mkdir(parents=True, exist_ok=True)
        self.remove_spoiled()
        _remove_oldest(folder)

    def configure_compilers(self) -> None:
        """Set the folder in which TensorFlow and JAX keep what they compile. Before their import."""
        kept = f"--tf_xla_persistent_cache_directory={self.compiled_folder}"
        given = [flag for flag in os.environ.get("TF_XLA_FLAGS", "").split() if "_persistent_cache_" not in flag]
        os.environ["TF_XLA_FLAGS"] = " ".join([*given, kept, "--tf_xla_persistent_cache_device_types=CPU,GPU"])
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(self.compiled_folder)
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

    def file(self, key: str) -> Path:
        """Return where a trace is kept."""
        return self._folder / hashlib.sha256(key.encode()).hexdigest()

    def read(self, key: str) -> bytes | None:
        """Return what was kept, or None if it was not, or is not what it was."""
        file = self.file(key)
        try:
            content = file.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content[_DIGEST_BYTES:]).digest() != content[:_DIGEST_BYTES]:
            _remove(file)
            return None
        os.utime(file)
        return content[_DIGEST_BYTES:]

    def keep(self, key: str, content: bytes) -> None:
        """Keep it whole or not at all; of two workers at once the later wins. A full disk keeps nothing."""
        with suppress(OSError):
            _write(self.file(key), hashlib.sha256(content).digest() + content)

    def seal_compiled(self) -> None:
        """Note what the compilers have written, so that it is trusted when a worker starts."""
        for file in self._compiled():
            seal = file.with_name(file.name + _DIGEST)
            with suppress(OSError):  # a full disk, or another worker has just removed it
                if not seal.exists():
                    _write(seal, hashlib.sha256(file.read_bytes()).digest())

    def remove_spoiled(self) -> None:
        """Remove what is not as a compiler has written it."""
        for file in self._compiled():
            if not _is_sealed(file):
                _remove(file)

    def _compiled(self) -> list[Path]:
        return [file for file in self.compiled_folder.iterdir() if file.suffix not in (_DIGEST, UNFINISHED)]


def _is_sealed(file: Path) -> bool:
    try:
        return hashlib.sha256(file.read_bytes()).digest() == file.with_name(file.name + _DIGEST).read_bytes()
    except OSError:
        return False


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)
    file.with_name(file.name + _DIGEST).unlink(missing_ok=True)


def _remove_oldest(folder: Path) -> None:
    found = []
    for file in folder.rglob("*"):
        with suppress(OSError):  # another worker removes some at the same time
            if file.is_file():
                found.append((file.stat().st_mtime, file.stat().st_size, file))
    taken = sum(size for _, size, _ in found)
    for _, size, file in sorted(found):
        if taken <= MAX_BYTES:
            return
        taken -= size
        _remove(file)


def _write(file: Path, content: bytes) -> None:
    fresh = file.with_name(f"{file.name}.{uuid.uuid4().hex}{UNFINISHED}")
    fresh.write_bytes(content)
    fresh.replace(file)


def _environment() -> str:
    """Return a short text of all that decides a program beside its spec and its data."""
    digest = hashlib.sha256()
    for part in (*_versions(), platform.python_version(), platform.machine(), _processor()):
        digest.update(f"{part}\n".encode())
    here = Path(__file__).parent.parent
    for file in sorted(file for folder in _SOURCES for file in (here / folder).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _versions() -> Iterator[str]:
    for library in _LIBRARIES:
        try:
            yield f"{library} {version(library)}"
        except PackageNotFoundError:
            yield f"no {library}"


def _processor() -> str:
    """Return what the processor can do: a compiled program may use all of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
