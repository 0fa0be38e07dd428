"""Room that is left on a disk; tests/app/services/test_full_disk.py fills a real one."""

import os
from pathlib import Path

import pytest

from models.disk_reserve import keep_reserve


def test_disk_of_unknown_size_is_not_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems answer zero everywhere."""
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result([4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255]))
    keep_reserve(tmp_path, 10**9)
