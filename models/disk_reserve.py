"""Room that bulk writers leave on a disk, so that SQL can always write and whatever frees the disk can do so.

Checkpoints, artifacts, uploads and spooled bodies ask here first; rows of the database do not.
"""

import errno
import os
from pathlib import Path

RESERVE_BYTES = 256 * 1024**2
RESERVE_FILES = 1_000
_MAX_PART = 20
"""Divisor for small disks: the reserve is at most a twentieth of the disk."""
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Error numbers of a disk that takes nothing more: full, over quota, or read-only."""


class DiskFullError(OSError):
    """A write would leave too little room on the disk."""


def keep_reserve(folder: str | Path, wanted_bytes: int = 0) -> None:
    """Look whether so many bytes may be written below a folder that exists.

    Raises:
        DiskFullError: they may not.
    """
    disk = os.statvfs(folder)
    free, size = disk.f_bavail * disk.f_frsize - wanted_bytes, disk.f_blocks * disk.f_frsize
    # Some network file systems say nothing of their size.
    if size and free < min(RESERVE_BYTES, size // _MAX_PART):
        raise DiskFullError(errno.ENOSPC, "disk full, but for the database's reserve of 256 MiB or 5 %", str(folder))
    if disk.f_files and disk.f_favail < min(RESERVE_FILES, disk.f_files // _MAX_PART):
        raise DiskFullError(errno.ENOSPC, "disk full, but for the database's reserve of 1,000 files", str(folder))
