"""Storage quota and usage of a project: counted, shown, enforced."""

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from sqlalchemy import select, update

from app.services import datasets as datasets_service
from app.services import kept_bytes
from models.settings import Settings
from models.sql.database import Database
from models.sql.tables import DatasetTable, TrialTable
from tests.app.ingestion.uploads import npz, parquet, reading_in_process
from tests.factories import document
from tests.serving import Clock, MakeKey, assert_problem, served

NPZ = {"Content-Type": "application/x-npz"}
MAX_BYTES = 100_000


@pytest.fixture
def small(settings: Settings, database_url: str) -> Iterator[httpx.Client]:
    """Yield a service whose projects may keep little."""
    changed = Settings(data_dir=settings.data_dir, database_url=database_url, max_project_bytes=MAX_BYTES)
    with reading_in_process(), served(changed) as http:
        yield http


def upload(http: httpx.Client, name: str, rows: int, key: dict[str, str] | None = None) -> httpx.Response:
    rng = np.random.default_rng(len(name))
    content = npz(x=rng.normal(size=(rows, 10)), y=np.arange(rows) % 2)
    return http.post("/v1/datasets", params={"name": name}, content=content, headers=NPZ | (key or {}))


def stored(http: httpx.Client, key: dict[str, str] | None = None) -> int:
    return int(http.get("/v1/usage", headers=key).json()["stored_bytes"])


def test_usage_counts_datasets_weights_and_trials(small: httpx.Client, database: Database) -> None:
    assert small.get("/v1/usage").json() == {
        "project": "default", "stored_bytes": 0, "max_stored_bytes": MAX_BYTES, "unended_trials": 0,
        "max_unended_trials": None,
    }  # fmt: skip
    assert upload(small, "one", 100).status_code == 201
    with database.reading() as session:
        of_dataset = session.scalars(select(DatasetTable.stored_bytes)).one()
    assert 100 * 48 < of_dataset < 100 * 48 + 2_000
    small.post("/v1/experiments", json=document(seeds=[0, 1])).raise_for_status()
    assert small.get("/v1/usage").json()["unended_trials"] == 2
    assert stored(small) == of_dataset
    with database.writing() as session:
        session.execute(update(TrialTable).where(TrialTable.seed == 0).values(artifact="x.npz"))
        parameters = session.scalars(select(TrialTable.parameter_count).limit(1)).one()
    assert stored(small) == of_dataset + 4 * parameters
    small.delete("/v1/datasets/one").raise_for_status()
    assert stored(small) == 4 * parameters


def test_upload_beyond_the_storage_quota_is_refused(small: httpx.Client, make_key: MakeKey) -> None:
    (_, one), (_, two) = make_key(scope="admin"), make_key(project="two")
    assert upload(small, "first", 1_500, one).status_code == 201
    before = stored(small, one)
    refused = upload(small, "second", 1_500, one)
    assert_problem(refused, 507)
    assert "delete datasets" in refused.json()["detail"]
    assert stored(small, one) == before
    assert upload(small, "mine", 1_500, two).status_code == 201, "each project has its own"
    assert upload(small, "first", 1_500, one).status_code == 200, "the same again changes nothing"
    small.delete("/v1/datasets/first", headers=one).raise_for_status()
    assert upload(small, "second", 1_500, one).status_code == 201


def test_submit_of_a_full_project_answers_507(
    small: httpx.Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(kept_bytes, "time", clock)
    once = {"Idempotency-Key": "once"}
    stored = small.post("/v1/experiments", json=document(), headers=once)
    assert stored.status_code == 202
    assert small.post("/v1/experiments/batch", json=[document()], headers={"Idempotency-Key": "bulk"}).json()["items"]
    with database.writing() as session:
        session.execute(update(TrialTable).values(artifact="x.npz", parameter_count=MAX_BYTES))
    clock.advance(kept_bytes.USAGE_CACHE_SECONDS + 1)
    refused = small.post("/v1/experiments", json=document())
    assert_problem(refused, 507)
    assert "delete datasets or experiments" in refused.json()["detail"]
    bulk = small.post("/v1/experiments/batch", json=[document(), document()]).json()
    assert [item["status"] for item in bulk["items"]] == [507, 507]
    assert_problem(small.post("/v1/experiments/batch?atomic=true", json=[document()]), 507)
    repeated = small.post("/v1/experiments", json=document(), headers=once)
    assert (repeated.status_code, repeated.json()["id"]) == (202, stored.json()["id"]), "it stores nothing"
    bulk = small.post(
        "/v1/experiments/batch", json=[document(), document()], headers={"Idempotency-Key": "bulk"}
    ).json()
    assert [item["status"] for item in bulk["items"]] == [202, 507]
    assert small.post("/v1/experiments/plan", json=document()).status_code == 200


def test_small_file_that_becomes_large_is_refused(
    small: httpx.Client, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """Packed well, a little file may hold millions of equal numbers."""
    monkeypatch.setattr(datasets_service, "ALWAYS_STORED_BYTES", 10_000)
    rows = 2_000
    content = parquet(a=[1.0] * rows, b=[2.0] * rows, target=[0, 1] * (rows // 2))
    assert len(content) * datasets_service.MAX_GROWTH < rows * 16 + 200_000
    monkeypatch.setattr(datasets_service, "MAX_GROWTH", 2)
    headers = {"Content-Type": "application/vnd.apache.parquet"}
    refused = small.post("/v1/datasets?name=bomb", content=content, headers=headers)
    assert_problem(refused, 422)
    assert "from a file of" in refused.json()["detail"]
    assert list((settings.data_dir / "storage").rglob("*.npz")) == []
    assert io.BytesIO(content).read(4) == b"PAR1"
