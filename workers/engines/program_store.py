"""Programs on disk, so that a worker that restarts, and every other worker of the machine, begins with them.

Of each there is the trace, and what XLA has made of it. A file that is truncated, spoiled or foreign is as good as
none. The folder's name stands for what a program depends on beside its key: the libraries, and the code of this project
that is traced.
"""

import hashlib
import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import fittingroom.specs
import workers.builders
from models.storage import UNFINISHED
from workers.engines.executables import ExecutableFolder

MAX_BYTES = 1024**3
"""Limit on all files together; those go first that were not used for longest."""
_DIGEST_BYTES = hashlib.sha256().digest_size
_LIBRARIES = ("tensorflow", "tensorflow-cpu", "jax", "jaxlib", "keras", "numpy")


class ProgramStore:
    """Contents by key.

    Attributes:
        executables: folder in which the backend's compiler writes; None if it has none.
    """

    def __init__(self, folder: Path, executables: ExecutableFolder | None = None) -> None:
        """Open the store, and remove the oldest files where there are too many.

        Args:
            folder: of programs, for all environments; it need not exist.
            executables: see above.
        """
        self._all, self._folder = folder, folder / _environment()
        self.executables = executables
        _remove_oldest(folder)

    def file(self, key: str) -> Path:
        """Return where a content is kept."""
        return self._folder / hashlib.sha256(key.encode()).hexdigest()

    def read(self, key: str) -> bytes | None:
        """Return what was kept, or None if it was not, or is not what it was."""
        file = self.file(key)
        try:
            content = file.read_bytes()
            os.utime(file)
        except OSError:
            return None
        digest, kept = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        return kept if _digest(key, kept) == digest else None

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
            _remove_oldest(self._all)

    def remove(self, key: str) -> None:
        """Keep it no longer."""
        with suppress(OSError):
            self.file(key).unlink()


class KeptProgram:
    """One program's place in a store, or nowhere."""

    def __init__(self, store: ProgramStore | None, key: str) -> None:
        """Args: store and the program's key in it; None keeps nothing."""
        self._store, self._key = store, key

    def read_trace(self) -> bytes | None:
        """Return the trace that was kept, if any."""
        return None if self._store is None else self._store.read(self._key)

    def keep_trace(self, trace: bytes) -> None:
        """Keep a trace."""
        if self._store is not None:
            self._store.keep(self._key, trace)

    @contextmanager
    def executable(self) -> Iterator[bool]:
        """Compile within: what was compiled before is found, and what is compiled now is kept.

        Yields:
            True if something was found. If what is done with it fails, it is kept no longer.
        """
        store = self._store
        if store is None or store.executables is None:
            yield False
            return
        key = f"{self._key}/{store.executables.machine}"
        kept = store.read(key)
        with store.executables.compiling():
            if kept is not None:
                store.executables.put(kept)
            try:
                yield kept is not None
            except Exception:
                store.remove(key)
                raise
            made = store.executables.take()
        if made is not None:
            store.keep(key, made)


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
