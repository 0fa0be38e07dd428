"""Files appear whole or not at all, in a folder and in a store of objects."""

import os
import uuid
from pathlib import Path

import pytest

from models.storage import Storage


@pytest.fixture(params=["folder", "objects"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "files") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/files")


def test_written_file_is_listed_read_and_removed(storage: Storage) -> None:
    assert storage.list_names() == []
    for name in ("exp_1/checkpoints/coh_1/2.npz", "exp_1/checkpoints/coh_1/1.npz", "exp_2/a"):
        storage.write(name, name.encode())
    storage.write("exp_2/a", b"anew")
    assert storage.list_names() == ["exp_1/checkpoints/coh_1/1.npz", "exp_1/checkpoints/coh_1/2.npz", "exp_2/a"]
    assert storage.list_names("exp_1") == storage.list_names()[:2]
    assert storage.read("exp_2/a") == b"anew"
    storage.remove("exp_1/checkpoints/coh_1/1.npz")
    storage.remove("exp_2")
    storage.remove("exp_3")
    assert storage.list_names() == ["exp_1/checkpoints/coh_1/2.npz"]
    with pytest.raises(FileNotFoundError):
        storage.read("exp_2/a")


@pytest.mark.parametrize("name", ["../elsewhere", "/etc/passwd", "exp_1/../../elsewhere"])
def test_no_name_leads_out(storage: Storage, name: str) -> None:
    with pytest.raises(ValueError, match="leads out"):
        storage.write(name, b"x")


def test_failed_write_leaves_the_previous_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(str(tmp_path))
    storage.write("a/b", b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        storage.write("a/b", b"after")
    assert storage.read("a/b") == b"before"
    assert storage.list_names() == ["a/b"]
