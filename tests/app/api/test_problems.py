"""Everything that goes wrong is a problem document."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from app.api import problems
from models.errors import (
    BrokerUnavailableError,
    DuplicateRowError,
    FittingRoomError,
    UnforeseenError,
    UsageFault,
)
from models.settings import Settings
from models.sql.database import Database
from tests.factories import document
from tests.serving import served

NOBODY = "0" * 32


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/experiments/exp_1", 404),
        ("GET", f"/v1/experiments/exp_{NOBODY}", 404),
        ("GET", f"/v1/experiments/exp_{NOBODY}/trials", 404),
        ("GET", f"/v1/experiments/exp_{NOBODY}/history", 404),
        ("GET", f"/v1/experiments/exp_{NOBODY}/plot.svg", 404),
        ("POST", f"/v1/experiments/exp_{NOBODY}/cancel", 404),
        ("GET", f"/v1/experiments/trl_{NOBODY}", 404),
        ("GET", f"/v1/trials/trl_{NOBODY}", 404),
        ("GET", f"/v1/trials/trl_{NOBODY}/history", 404),
        ("POST", f"/v1/trials/trl_{NOBODY}/cancel", 404),
        ("GET", "/v1/trials/%00", 404),
        ("GET", "/v1/experiments/..%2f..%2fetc", 404),
        ("GET", "/v1/datasets/iris", 404),
        ("DELETE", "/v1/experiments", 405),
        ("GET", "/v1/experiments?limit=0", 422),
        ("GET", "/v1/experiments?limit=many", 422),
        ("GET", "/v1/experiments?cursor=%21", 422),
        ("GET", "/v1/experiments?cursor=4pyT", 422),
        ("GET", "/v1/experiments?cursor=YWJj", 422),
        ("GET", "/v1/experiments?state=done", 422),
        ("GET", "/v1/experiments?name=%00", 422),
        ("GET", "/v1/experiments?tag=%00", 422),
    ],
)
def test_problem(shared_http: httpx.Client, method: str, path: str, status: int) -> None:
    answer = shared_http.request(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert len(problem["detail"]) > len("Not Found")


def test_a_method_that_is_not_taken_names_those_that_are(shared_http: httpx.Client) -> None:
    for path, allowed in {
        "/v1/experiments": "GET, POST", f"/v1/experiments/exp_{NOBODY}": "DELETE, GET", "/livez": "GET",
        f"/v1/trials/trl_{NOBODY}/predict": "POST", "/v1/experiments/plan": "POST",
    }.items():  # fmt: skip
        answer = shared_http.put(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed), path


def test_every_error_of_the_service_has_a_status() -> None:
    """But for those that no request can meet."""
    internal = {DuplicateRowError, BrokerUnavailableError, UsageFault, UnforeseenError}

    def subclasses(kind: type[FittingRoomError]) -> set[type[FittingRoomError]]:
        return {kind for child in kind.__subclasses__() for kind in {child, *subclasses(child)}}

    ours = {kind for kind in subclasses(FittingRoomError) if kind.__module__.startswith(("app.api", "models.errors"))}
    assert {kind for kind in ours if kind.status == 500} == internal
    assert {kind.status for kind in ours} <= {500} | set(problems._DESCRIPTIONS)  # noqa: SLF001 - of the OpenAPI document


def test_a_database_that_is_gone_answers_503(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url="postgresql://nobody@127.0.0.1:1/nothing")
    with served(settings) as http:
        for path in ("/v1/experiments", "/readyz", "/v1/workers"):
            answer = http.get(path)
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            assert answer.headers["content-type"] == "application/problem+json"
        assert http.get("/livez").status_code == 200


def test_damaged_database_file_answers_503(tmp_path: Path) -> None:
    file = tmp_path / "damaged.db"
    file.write_bytes(b"no database" * 100)
    with served(Settings(data_dir=tmp_path, database_url=f"sqlite:///{file}")) as http:
        answer = http.get("/v1/experiments")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]


def test_an_error_of_our_own_shows_no_traceback(shared_http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret inner workings")

    monkeypatch.setattr("app.services.datasets.Datasets.list_schemas", fail)
    answer = shared_http.get("/v1/datasets")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


def test_database_without_tables_names_the_migrate_command(tmp_path: Path) -> None:
    with served(Settings(data_dir=tmp_path)) as http:
        for answer in (http.get("/readyz"), http.get("/v1/experiments"), http.post("/v1/experiments", json=document())):
            assert answer.status_code == 503
            assert "fittingroom migrate" in answer.json()["detail"]


def test_a_database_of_a_later_version_is_not_ready(http: httpx.Client, database: Database) -> None:
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert "9999" in answer.json()["detail"]
