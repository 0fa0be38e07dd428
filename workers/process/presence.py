"""Lock files by which a worker that starts learns which others have died on this machine.

A worker that its service manager or container starts again need not wait until the lease of its predecessor expires.
Neither host name nor process id can say who died: in containers both repeat. A lock can: the kernel drops it with the
process. The files lie in the machine's temporary folder, as locks on a shared data folder may not reach other hosts.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path


def presence_folder(data_dir: Path) -> Path:
    """Return the folder of lock files of the workers on this machine that share a data folder."""
    service = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"fittingroom-{os.getuid()}" / service


class PresenceFile:
    """File that is locked as long as this process lives.

    Where no lock can be had nothing is raised: the lease then says when a worker is lost.
    """

    def __init__(self, folder: Path, worker_id: str) -> None:
        """Lock the file.

        Args:
            folder: `presence_folder`'s; made if need be, and used only if it belongs to this user alone.
            worker_id: name of the file.
        """
        self._file = folder / worker_id
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_private(folder.parent) and _is_private(folder):
                self._descriptor = self._locked(folder)

    def remove(self) -> None:
        """Remove the file: nothing of this worker is left to take over."""
        if self._descriptor is not None:
            self._file.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _locked(self, folder: Path) -> int:
        """Create the file under another name, so that nobody sees it before it is locked."""
        unlocked = folder / f".{uuid.uuid4().hex}"
        descriptor = os.open(unlocked, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(self._file)
        except OSError:
            os.close(descriptor)
            unlocked.unlink(missing_ok=True)
            raise
        return descriptor


@contextlib.contextmanager
def dead_workers(folder: Path) -> Iterator[list[str]]:
    """Give the ids of workers that died on this machine; their files are removed when the block ends without error."""
    dead: list[Path] = []
    with contextlib.ExitStack() as locks:
        if _is_private(folder.parent) and _is_private(folder):
            dead = [file for file in sorted(folder.glob("wrk_*")) if _take(file, locks)]
        yield [file.name for file in dead]
        for file in dead:
            file.unlink(missing_ok=True)


def _take(file: Path, locks: contextlib.ExitStack) -> bool:
    """Lock a file to the end of the block; False if its worker lives, or another one is taking it."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    locks.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_private(folder: Path) -> bool:
    """Return True if the folder is there, no link, and only this user can write to it."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
