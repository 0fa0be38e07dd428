"""A full disk, a real one: what frees it works, what is bulky is refused, and all is well once there is room again."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from fittingroom.cli.main import build
from models.disk_reserve import DiskFullError, keep_reserve
from models.settings import Settings
from models.sql.database import Database
from models.storage import Storage
from tests.app.ingestion.uploads import reading_in_process
from tests.conftest import migrate
from tests.factories import document
from tests.mounts import small_disk
from tests.serving import assert_problem, served, submit

SIZE = 64 * 1024**2
CSV = {"Content-Type": "text/csv"}
TABLE = b"a,target\n" + b"1,x\n2,y\n" * 50


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of 64 MB and 200 files, mounted for the test."""
    with small_disk(tmp_path / "disk", f"size={SIZE},nr_inodes=200") as folder:
        yield folder


@pytest.fixture
def http(disk: Path) -> Iterator[httpx.Client]:
    """Yield a service all of whose files lie on that disk."""
    settings = Settings(data_dir=disk / "data")
    settings.make_folders()
    migrate(str_of(settings))
    with reading_in_process(), served(settings) as client:
        yield client


def str_of(settings: Settings) -> str:
    return f"sqlite:///{settings.database_location}"


def fill(disk: Path, leave_bytes: int) -> Path:
    """Fill the disk but for so many bytes; return the file that does it."""
    filler = disk / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while (free := shutil.disk_usage(disk).free) > leave_bytes:
            file.write(b"\0" * min(65_536, free - leave_bytes))
            file.flush()
    return filler


def upload(http: httpx.Client, name: str) -> httpx.Response:
    return http.post(f"/v1/datasets?name={name}", content=TABLE, headers=CSV)


def test_bulky_things_are_refused_while_rows_have_room(http: httpx.Client, disk: Path) -> None:
    filler = fill(disk, 3_000_000)
    place = f"/v1/experiments/{submit(http)}"
    for refused in (upload(http, "one"), http.post("/v1/experiments/batch", json=[document()])):
        assert_problem(refused, 507)
        assert "delete experiments or datasets" in refused.json()["detail"]
    assert list((disk / "data" / "tmp").iterdir()) == []
    ready = http.get("/readyz").json()
    assert (ready["status"], ready["storage"]) == (
        "ready",
        "disk full, but for the database's reserve of 256 MiB or 5 %",
    )
    storage = Storage(str(disk / "data" / "storage"))
    for write in (lambda: storage.write("x/y", b"1"), lambda: storage.write_file("x/y", str(filler))):
        with pytest.raises(DiskFullError):
            write()
    assert storage.list_names() == []
    for _ in range(20):
        submit(http)
    assert http.post(f"{place}/pause").status_code == 202
    assert http.post(f"{place}/cancel").status_code == 202
    assert http.delete(place).status_code == 204
    filler.unlink()
    assert upload(http, "one").status_code == 201
    assert http.get("/readyz").json()["storage"] == "ok"


def test_disk_without_a_byte_is_named_and_recovers(http: httpx.Client, disk: Path) -> None:
    place = f"/v1/experiments/{submit(http)}"
    filler = fill(disk, 0)
    for answer in (http.get("/readyz"), http.post("/v1/experiments", json=document()), http.delete(place)):
        assert_problem(answer, 507)
        assert "full" in answer.json()["detail"]
    assert http.get(place).status_code == 200
    assert http.get("/livez").status_code == 200
    filler.unlink()
    assert http.get("/readyz").status_code == 200
    assert http.delete(place).status_code == 204


def test_disk_without_room_for_files_is_full(disk: Path) -> None:
    with contextlib.suppress(OSError):
        for number in range(500):
            (disk / f"{number}").touch()
    with pytest.raises(DiskFullError, match="reserve of 1,000 files"):
        keep_reserve(disk)


def test_read_only_folder_is_named(http: httpx.Client, disk: Path) -> None:
    subprocess.run(["/usr/bin/mount", "-o", "remount,ro", str(disk)], check=True)
    for answer in (http.get("/readyz"), http.post("/v1/experiments", json=document()), upload(http, "one")):
        assert answer.status_code in {503, 507}
        assert "Traceback" not in answer.text
    subprocess.run(["/usr/bin/mount", "-o", "remount,rw", str(disk)], check=True)
    assert http.get("/readyz").status_code == 200


def test_doctor_frees_a_full_disk(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=disk / "data")
    settings.make_folders()
    migrate(str_of(settings))
    monkeypatch.setenv("FITTINGROOM_DATA_DIR", str(settings.data_dir))
    left = disk / "data" / "storage" / "exp_0000000000007000800000000000000f" / "checkpoints"
    left.mkdir(parents=True)
    (left / "old.npz").write_bytes(b"\0" * 8_000_000)
    scratch = settings.temporary_dir / "of_a_process_that_died"
    scratch.write_bytes(b"\0" * 500_000)
    os.utime(scratch, (0, 0))
    fill(disk, 0)
    found = json.loads(CliRunner().invoke(build(), ["doctor", "--json"]).stdout)
    assert "full" in found["parts"]["storage"]
    fixed = CliRunner().invoke(build(), ["doctor", "--fix", "--json"])
    assert fixed.exception is None or isinstance(fixed.exception, SystemExit), fixed.exception
    assert [finding["is_fixed"] for finding in json.loads(fixed.stdout)["findings"]] == [True, True]
    assert not scratch.exists()
    assert not (left / "old.npz").exists()
    with contextlib.closing(Database(settings.database_location)) as database:
        database.try_write()
