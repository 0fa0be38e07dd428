"""Traces of programs on disk, so that a worker that restarts, and every other worker of the machine, begins with them.

A file that is truncated, spoiled or foreign is as good as none. The folder's name stands for what a program depends on
beside its key: the libraries, and the code of this project that is traced.
"""

import hashlib
import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import fittingroom.specs
import workers.builders
from models.storage import UNFINISHED

MAX_BYTES = 1024**3
"""Limit on all files together, checked when a worker starts; those go first that were not used for longest."""
_DIGEST_BYTES = hashlib.sha256().digest_size
_LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "numpy")


class ProgramStore:
    """Traces of programs by key."""

    def __init__(self, folder: Path) -> None:
        """Open the store, and remove the oldest files where there are too many.

        Args:
            folder: of programs, for all environments; it need not exist.
        """
        self._folder = folder / _environment()
        _remove_oldest(folder)

    def file(self, key: str) -> Path:
        """Return where a trace is kept."""
        return self._folder / hashlib.sha256(key.encode()).hexdigest()

    def read(self, key: str) -> bytes | None:
        """Return what was kept, or None if it was not, or is not what it was."""
        file = self.file(key)
        try:
            content = file.read_bytes()
            os.utime(file)
        except OSError:
            return None
        digest, trace = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        return trace if _digest(key, trace) == digest else None

    def keep(self, key: str, content: bytes) -> None:
        """Keep it whole or not at all; of two workers at once the later wins. A full disk keeps nothing."""
        fresh = self.file(f"{key} {uuid.uuid4()}").with_suffix(UNFINISHED)
        with suppress(OSError):
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                fresh.write_bytes(_digest(key, content) + content)
                fresh.replace(self.file(key))
            finally:
                fresh.unlink(missing_ok=True)


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + content).digest()


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
        with suppress(OSError):
            file.unlink()


def _environment() -> str:
    """Return a short text of all that decides a program beside its spec and its data."""
    digest = hashlib.sha256()
    for part in (*_versions(), platform.python_version(), platform.machine()):
        digest.update(f"{part}\n".encode())
    folders = (Path(workers.builders.__file__).parent, Path(__file__).parent, Path(fittingroom.specs.__file__).parent)
    for file in (file for folder in folders for file in sorted(folder.rglob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _versions() -> Iterator[str]:
    for library in _LIBRARIES:
        try:
            yield f"{library} {version(library)}"
        except PackageNotFoundError:
            yield f"no {library}"
