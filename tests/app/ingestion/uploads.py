"""Files that are uploaded in tests, and the reader of uploads called in this process."""

import contextlib
import io
import json
import resource
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.ingestion.__main__ import main
from app.services import datasets

PEOPLE = """\
age,city,member,note,grade
23,Paris,true,x,good
,Rome,false,y,bad
40,,true,z,good
31,Paris,,w,bad
"""


def packed(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def parquet(**columns: Any) -> bytes:
    return packed(lambda file: pq.write_table(pa.table(columns), file))


def npz(**arrays: Any) -> bytes:
    return packed(lambda file: np.savez(file, **arrays))


def member(name: str, content: bytes) -> bytes:
    """Return an archive with one member."""

    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, content)

    return packed(write)


def header(text: str, *, payload: bytes = b"") -> bytes:
    """Return a .npy file with a header of one's own."""
    line = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + payload


def declared_bomb() -> bytes:
    """Return an archive whose directory declares a member of 4 GB, of which a megabyte is there."""
    rows = header("{'descr': '<f4', 'fortran_order': False, 'shape': (600000, 1000), }", payload=bytes(1_000_000))
    archive = bytearray(member("x.npy", rows))
    directory = archive.rindex(b"PK\x01\x02")
    archive[directory + 24 : directory + 28] = (4_000_000_000).to_bytes(4, "little")
    return bytes(archive)


def true_bomb() -> bytes:
    """Return an archive with a member that unpacks to 2.4 GB."""

    def write(file: io.BytesIO) -> None:
        with (
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("x.npy", "w", force_zip64=True) as opened,
        ):
            opened.write(header("{'descr': '<f4', 'fortran_order': False, 'shape': (600000, 1000), }"))
            for _ in range(2_400):
                opened.write(b"\0" * 1_000_000)

    return packed(write)


def read_in_process(wanted: Mapping[str, Any]) -> Any:
    """Return what the reader's process writes to standard output, without its limits on this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resource, "setrlimit", lambda *_: None)
        patch.setattr(sys, "stdin", io.StringIO(json.dumps(wanted)))
        patch.setattr(sys, "stdout", written := io.StringIO())
        main()
    return json.loads(written.getvalue())


@contextlib.contextmanager
def reading_in_process() -> Iterator[None]:
    """Let servers of this process read uploads in it, instead of starting a process for each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "_ask_reader", read_in_process)
        yield
