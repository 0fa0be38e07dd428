"""Executables that XLA makes, passed through a folder in memory that this process alone has.

TensorFlow and JAX can read and write what they compile in a folder. They trust what they find there, and TensorFlow
makes a training fail whose file it cannot write. So their folder is private, is in memory, has room kept free, and is
empty but while something is compiled: `ProgramStore` keeps the files.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
_MIN_FREE_BYTES = 16 * 1024**2
"""Free memory without which no executable is kept."""
_RESERVED_BYTES = 8 * 1024**2
"""Memory kept free for an executable, which takes a half to a few MB."""
_PREFIX = "fittingroom-"
_LEFT_SECONDS = 60.0
"""Age from which a folder that nobody has locked is left over: a new one is locked right after it is made."""
_TF_FLAG = "--tf_xla_persistent_cache_directory="
_RESERVE = "reserve"


class ExecutableFolderLostError(OSError):
    """The compilers' folder is no longer the one that was made: nothing in it can be trusted, nor another be set."""


class ExecutableFolder:
    """The compilers' folder.

    Attributes:
        machine: short text of what an executable depends on beside its program: the processor, and flags of XLA.
        is_lost: whether it was found to be replaced, so that the process should begin anew.
    """

    def __init__(self, path: Path) -> None:
        """Args: path: an empty folder that nobody else can write to."""
        self._path = path
        self._identity = _identity(path)
        self._given: str | None = None
        self.machine = _machine()
        self.is_lost = False
        self._reserve()

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Let a compiler read and write within; the folder is empty before and after.

        Raises:
            ExecutableFolderLostError: the folder was replaced.
        """
        try:
            self.is_lost = _identity(self._path) != self._identity
        except OSError:
            self.is_lost = True
        if self.is_lost:
            raise ExecutableFolderLostError(f"{self._path} was replaced; this worker begins anew")
        self._empty()
        try:
            yield
        finally:
            self._empty()
            self._reserve()

    def put(self, content: bytes) -> None:
        """Have the compiler find what `take` gave once."""
        name, _, executable = content.partition(b"\n")
        with suppress(OSError, ValueError):  # it is made again
            self._given = Path(name.decode()).name
            (self._path / self._given).write_bytes(executable)

    def take(self) -> bytes | None:
        """Return the new executable with the name by which compilers find it; None if there is none, or several."""
        with suppress(OSError):
            files = [file for file in self._path.iterdir() if file.name.endswith((".pb", "-cache"))]
            made = [file for file in files if file.name != self._given]
            if len(made) == 1:
                return made[0].name.encode() + b"\n" + made[0].read_bytes()
        return None

    def _empty(self) -> None:
        self._given = None
        with suppress(OSError):
            for file in self._path.iterdir():
                file.unlink()

    def _reserve(self) -> None:
        with suppress(OSError):
            (self._path / _RESERVE).write_bytes(bytes(_RESERVED_BYTES))


@contextmanager
def compilers_folder(memory: Path = _MEMORY) -> Iterator[ExecutableFolder | None]:
    """Make the folder for as long as it is needed, and have TensorFlow and JAX use it. Before their import.

    Args:
        memory: a file system in memory.

    Yields:
        The folder, or None where there is no memory to have it in.
    """
    path = _make_folder(memory)
    if path is None:
        yield None
        return
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)  # held until this process ends, or begins anew
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _prepare_compilers(path)
        yield ExecutableFolder(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _make_folder(memory: Path) -> Path | None:
    """Return a new folder, or None: not on this system, or no room."""
    with suppress(OSError):
        _remove_left_over(memory)
        if shutil.disk_usage(memory).free >= _MIN_FREE_BYTES:
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=memory))
    return None


def _prepare_compilers(path: Path) -> None:
    """Set the environment of TensorFlow and JAX. A folder that a user has set is left to him."""
    flags = _flags_of_user()
    if not flags or (flags.startswith("-") and _TF_FLAG not in flags):  # otherwise it names a file of flags
        own = f"{_TF_FLAG}{path} --tf_xla_persistent_cache_device_types=CPU"
        os.environ["TF_XLA_FLAGS"] = f"{flags} {own}".strip()
    if _is_ours(os.environ.get("JAX_COMPILATION_CACHE_DIR", str(path))):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(path)
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
        os.environ["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"  # otherwise the folder's path decides the names


def _remove_left_over(memory: Path) -> None:
    """Remove this user's folders that no process holds: it was killed, or began anew."""
    for folder in memory.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            if found.st_uid != os.getuid() or time.time() - found.st_mtime < _LEFT_SECONDS:
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)


def _identity(path: Path) -> tuple[int, int, int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino, found.st_uid, found.st_mode


def _flags_of_user() -> str:
    """Return TensorFlow's flags without ours, which are there if this process has begun anew."""
    flags = os.environ.get("TF_XLA_FLAGS", "")
    return flags[: flags.index(_TF_FLAG)].strip() if _TF_FLAG in flags and _is_ours(flags) else flags


def _is_ours(setting: str) -> bool:
    return f"/{_PREFIX}" in setting


def _machine() -> str:
    """Return a short text of the processor, whose instructions and cores a program may all use, and of XLA's flags."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [platform.processor()]
    named = {line for line in lines if line.startswith(("flags", "Features", "model name"))}
    cores = str(len(os.sched_getaffinity(0)))
    text = [*sorted(named), cores, os.environ.get("XLA_FLAGS", ""), _flags_of_user()]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]
