"""Storage of files: a folder, or an S3-compatible store, by URL.

Names consist of ids, with `/` between folders: `exp_…/checkpoints/coh_…/00000400-1.npz`. All files of an experiment are
under its id.
"""

import contextlib
import datetime as dt
import os
import posixpath
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from models.disk_reserve import keep_reserve

UNFINISHED = ".unfinished"
"""The end of the name of a file that is being written."""


class Storage:
    """Files under one URL; each appears whole or not at all."""

    def __init__(self, url: str) -> None:
        """Set up without opening anything.

        Args:
            url: a folder, or what fsspec knows: `s3://bucket/prefix`, with keys from the environment as AWS names them.
        """
        self._files, root = fsspec.core.url_to_fs(url)
        self._root = root.rstrip("/")

    def write(self, name: str, data: bytes) -> None:
        """Put a file in place: a reader sees all of it or none, and after a power cut it is still there.

        Raises:
            OSError: it could not be written; what was there before still is.
        """
        path = self._path(name)
        if not isinstance(self._files, LocalFileSystem):
            self._files.pipe_file(path, data)  # an object store shows an object when it has all of it
            return
        with self._appearing(path, len(data)) as file:
            file.write(data)

    @contextlib.contextmanager
    def _appearing(self, path: str, size: int) -> Iterator[IO[bytes]]:
        """Yield a local file of some bytes that is there, and stays there, when the block has ended well."""
        folder = posixpath.dirname(path)
        self._files.makedirs(folder, exist_ok=True)
        keep_reserve(folder, size)
        unfinished = f"{path}.{uuid.uuid4().hex}{UNFINISHED}"
        try:
            with self._files.open(unfinished, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            self._files.mv(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                self._files.rm_file(unfinished)
            raise
        _sync_folder(folder)

    def write_file(self, name: str, source: str) -> None:
        """Put a local file in place, in the same way, however large it is.

        Raises:
            OSError: it could not be written.
        """
        path = self._path(name)
        if not isinstance(self._files, LocalFileSystem):
            self._files.put_file(source, path)
            return
        with self._appearing(path, Path(source).stat().st_size) as file, Path(source).open("rb") as read:
            shutil.copyfileobj(read, file, 1024 * 1024)

    def refuse_if_full(self) -> None:
        """Raise OSError if nothing more may be written."""
        if isinstance(self._files, LocalFileSystem):
            self._files.makedirs(self._root, exist_ok=True)
            keep_reserve(self._root)

    def read(self, name: str) -> bytes:
        """Read a file.

        Raises:
            OSError: it is missing, or cannot be read.
        """
        data: bytes = self._files.cat_file(self._path(name))
        return data

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """Yield a file to read from, here and there.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        with self._files.open(self._path(name), "rb") as file:
            yield file

    def touched_at(self, name: str) -> dt.datetime | None:
        """Return the modification time of a file; None if it is missing."""
        self._files.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            found: dt.datetime = self._files.modified(self._path(name))
            return found
        return None

    def list_names(self, prefix: str = "") -> list[str]:
        """Return the names of all files under a folder, sorted; none if there is no such folder."""
        self._files.invalidate_cache()  # others write here too
        start = len(self._root) + 1
        return sorted(path[start:] for path in self._files.find(self._path(prefix)))

    def remove(self, prefix: str) -> None:
        """Remove a file, or a folder and all that is in it; does nothing if it is not there."""
        self._files.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            self._files.rm(self._path(prefix), recursive=True)

    def _path(self, name: str) -> str:
        if ".." in name.split("/") or name.startswith("/"):
            raise ValueError(f"{name!r} leads out of the storage")
        return f"{self._root}/{name}" if name else self._root


def _sync_folder(folder: str) -> None:
    """Sync a folder: a rename is durable once the folder's entry is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
