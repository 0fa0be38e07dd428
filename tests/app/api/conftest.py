"""Fixtures of the API's tests."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from models.sql.database import Database
from models.sql.tables import Base
from tests.app.ingestion.uploads import reading_in_process
from tests.serving import submit


@pytest.fixture(scope="module")
def _ended_experiment(shared_http: httpx.Client) -> None:
    """Rows that a wrong request could change; ended, so that the reaper leaves them as they are."""
    shared_http.post(f"/v1/experiments/{submit(shared_http)}/cancel").raise_for_status()


@pytest.fixture
def database_unchanged(_ended_experiment: None, shared_http: httpx.Client, shared_database: Database) -> Iterator[None]:
    """Check that a test changes no row of the module's database, and that the server answers afterwards."""

    def rows() -> list[Any]:
        with shared_database.reading() as session:
            return [session.execute(table.select()).all() for table in Base.metadata.sorted_tables]

    before = rows()
    assert any(before)
    yield
    assert rows() == before
    assert shared_http.get("/livez").status_code == 200


@pytest.fixture
def reader_in_process() -> Iterator[None]:
    """Let the test's server read uploads in this process: starting Python for each takes a second."""
    with reading_in_process():
        yield
