"""Executables that XLA makes, passed through a folder in memory that this process alone has.

TensorFlow and JAX can read and write what they compile in a folder. They trust what they find there, and TensorFlow
makes a training fail whose file it cannot write. So their folder is private, is in memory, and holds one program at a
time: `ProgramStore` keeps the files.
"""

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
_MIN_FREE_BYTES = 16 * 1024**2
"""Free memory without which no executable is kept; one takes a half to a few MB."""
_PREFIX = "fittingroom-"
_TF_FLAG = "--tf_xla_persistent_cache_directory="


class ExecutableFolder:
    """The compilers' folder.

    Attributes:
        machine: short text of what an executable depends on beside its program: the processor, and flags of XLA.
    """

    def __init__(self, path: Path) -> None:
        """Args: path: an empty folder that nobody else can write to."""
        self._path = path
        self._given: str | None = None
        self.machine = _machine()

    def put(self, content: bytes | None) -> None:
        """Have the compiler find what `take` gave once, and nothing else."""
        self.empty()
        if content is None:
            return
        name, _, executable = content.partition(b"\n")
        with suppress(OSError, ValueError):  # it is made again
            self._given = Path(name.decode()).name
            (self._path / self._given).write_bytes(executable)

    def take(self) -> bytes | None:
        """Return the one new file in the folder, with the name by which compilers find it; None if nothing is new."""
        made = None
        with suppress(OSError):
            files = [file for file in self._path.iterdir() if file.name != self._given]
            if len(files) == 1:
                made = files[0].name.encode() + b"\n" + files[0].read_bytes()
        self.empty()
        return made

    def empty(self) -> None:
        """Remove what was put there and what the compiler has written."""
        self._given = None
        with suppress(OSError):
            for file in self._path.iterdir():
                file.unlink()


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
    _prepare_compilers(path)
    try:
        yield ExecutableFolder(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _make_folder(memory: Path) -> Path | None:
    """Return a new folder, or None: not on this system, or no room."""
    with suppress(OSError):
        _remove_left_over(memory)
        if shutil.disk_usage(memory).free >= _MIN_FREE_BYTES:
            return Path(tempfile.mkdtemp(prefix=_own_prefix(), dir=memory))
    return None


def _prepare_compilers(path: Path) -> None:
    """Set the environment of TensorFlow and JAX. A folder that a user has set is left to him."""
    flags = _flags_of_user()
    if not flags or (flags.startswith("-") and _TF_FLAG not in flags):  # otherwise it names a file of flags
        own = f"{_TF_FLAG}{path} --tf_xla_persistent_cache_device_types=CPU"
        os.environ["TF_XLA_FLAGS"] = f"{flags} {own}".strip()
    if _is_of_this_process(os.environ.get("JAX_COMPILATION_CACHE_DIR", str(path))):
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(path)
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
        os.environ["JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES"] = "none"  # otherwise the folder's path decides the names


def _remove_left_over(memory: Path) -> None:
    """Remove folders of this user whose process was killed, and of this process before it began anew."""
    for folder in memory.glob(f"{_PREFIX}*-*"):
        with suppress(OSError, ValueError):
            process = int(folder.name.removeprefix(_PREFIX).split("-")[0])
            is_mine = folder.stat().st_uid == os.getuid()
            if is_mine and (process == os.getpid() or not Path(f"/proc/{process}").exists()):
                shutil.rmtree(folder)


def _own_prefix() -> str:
    return f"{_PREFIX}{os.getpid()}-"


def _flags_of_user() -> str:
    """Return TensorFlow's flags without ours, which are there if this process has begun anew."""
    flags = os.environ.get("TF_XLA_FLAGS", "")
    return flags[: flags.index(_TF_FLAG)].strip() if _is_of_this_process(flags) else flags


def _is_of_this_process(setting: str) -> bool:
    return f"/{_own_prefix()}" in setting


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
