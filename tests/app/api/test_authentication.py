"""Keys: who gets in, what they see, how much they may ask for."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from app.api.authentication import BELIEVED_SECONDS
from fittingroom.client.sync_client import Client, ProblemError
from models.sql.api_keys import revoke_key
from models.sql.database import Database
from models.sql.database import clock as database_clock
from models.sql.tables import ApiKeyTable
from tests.factories import document
from tests.serving import Clock, MakeKey, submit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which keys are remembered."""
    clock = Clock()
    monkeypatch.setattr("app.api.authentication.time", clock)
    return clock


def test_from_the_first_key_on_nobody_gets_in_without(http: httpx.Client, make_key: MakeKey, clock: Clock) -> None:
    mine = submit(http)
    _, key = make_key(project="default")
    clock.advance(BELIEVED_SECONDS)
    for headers in ({}, {"Authorization": "Bearer fr_wrong"}, {"Authorization": key["Authorization"][7:] + "x"}):
        for method, path in (("GET", "/v1/experiments"), ("POST", "/v1/experiments"), ("GET", "/v1/datasets")):
            refused = http.request(method, path, headers=headers, json=document() if method == "POST" else None)
            assert refused.status_code == 401, (method, path)
            assert refused.headers["www-authenticate"] == "Bearer"
            assert "key" in refused.json()["detail"]
    assert http.get("/livez").status_code == 200
    assert http.get(f"/v1/experiments/{mine}", headers=key).status_code == 200


def test_a_project_sees_its_own_only(http: httpx.Client, make_key: MakeKey) -> None:
    (_, one), (_, two) = make_key(scope="admin"), make_key(scope="admin", project="two")
    answer = http.post("/v1/experiments", json=document(), headers=one)
    path = answer.headers["location"]
    trial = http.get(f"{path}/trials", headers=one).json()["items"][0]["id"]
    reads = [path, f"/v1/trials/{trial}", f"/v1/plot.svg?trials={trial}"]
    reads += [f"{path}/{rest}" for rest in ("trials", "history", "events", "comparison", "plot.svg", "plot.png")]
    reads += [f"/v1/trials/{trial}/{rest}" for rest in ("history", "summary", "artifact")]
    writes = [f"{path}/cancel", f"{path}/pause", f"{path}/resume", f"/v1/trials/{trial}/cancel"]
    for method, paths in (("GET", reads), ("POST", writes), ("DELETE", [path])):
        for place in paths:
            answer = http.request(method, place, headers=two)
            assert answer.status_code == 404, (method, place)
            assert answer.json()["detail"].startswith("there is no ")
    assert http.get("/v1/experiments", headers=two).json()["items"] == []
    [seen] = http.get("/v1/experiments", headers=one).json()["items"]
    assert (seen["state"], seen["version"]) == ("queued", 1)


def test_scopes_say_what_a_key_may(http: httpx.Client, make_key: MakeKey) -> None:
    keys = {scope: make_key(scope)[1] for scope in ("read", "submit", "admin")}
    path = http.post("/v1/experiments", json=document(), headers=keys["submit"]).headers["location"]
    expected = {
        "read": {"GET": 200, "POST": 403, "DELETE": 403},
        "submit": {"GET": 200, "POST": 202, "DELETE": 403},
        "admin": {"GET": 200, "POST": 202, "DELETE": 204},
    }
    for scope, statuses in expected.items():
        for method, status in statuses.items():
            place = f"{path}/cancel" if method == "POST" else path
            answer = http.request(method, place, headers=keys[scope])
            assert answer.status_code == status, (scope, method)
            if status == 403:
                assert "scope" in answer.json()["detail"]


def test_a_key_ends_when_it_expires_or_is_revoked(
    http: httpx.Client, make_key: MakeKey, database: Database, clock: Clock
) -> None:
    short_id, short = make_key(expires_in_seconds=3_600.0)
    key_id, revoked = make_key()
    for key in (short, revoked):
        assert http.get("/v1/experiments", headers=key).status_code == 200
    with database.writing() as session:
        first = revoke_key(session, key_id)
        session.execute(update(ApiKeyTable).where(ApiKeyTable.id == short_id).values(expires_at=database_clock()))
    with database.writing() as session:
        assert revoke_key(session, key_id) == first
    for key in (short, revoked):
        assert http.get("/v1/experiments", headers=key).status_code == 200, "it is remembered for a while"
    clock.advance(BELIEVED_SECONDS)
    for key in (short, revoked):
        assert http.get("/v1/experiments", headers=key).status_code == 401


def test_make_key_expiry_is_so_many_seconds_from_now(make_key: MakeKey, database: Database) -> None:
    key_id, _ = make_key(expires_in_seconds=3_600.0)
    with database.reading() as session:
        row = session.get_one(ApiKeyTable, key_id)
        assert row.expires_at is not None
        assert abs((row.expires_at - row.created_at).total_seconds() - 3_600) < 60


def test_a_key_may_ask_so_often_and_have_so_much_to_do(http: httpx.Client, make_key: MakeKey) -> None:
    _, often = make_key(requests_per_minute=5)
    statuses = [http.get("/v1/experiments", headers=often).status_code for _ in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    assert 1 <= int(http.get("/v1/experiments", headers=often).headers["retry-after"]) <= 60
    _, some = make_key(project="three", max_unended_trials=3)
    sizes = [http.post("/v1/experiments", json=document(seeds=[0, 1]), headers=some) for _ in range(2)]
    assert [answer.status_code for answer in sizes] == [202, 429]
    assert "wait or run" in sizes[1].json()["detail"]
    http.post(f"{sizes[0].headers['location']}/cancel", headers=some)
    assert http.post("/v1/experiments", json=document(seeds=[0, 1]), headers=some).status_code == 202


def test_no_key_lies_in_the_database(make_key: MakeKey, database: Database, tmp_path: Path) -> None:
    _, headers = make_key()
    secret = headers["Authorization"].removeprefix("Bearer fr_")
    with database.reading() as session:
        rows = session.connection().exec_driver_sql("SELECT * FROM api_keys").all()
    assert secret not in repr(rows)
    database.close()
    assert not any(secret.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_the_client_shows_its_key(http: httpx.Client, make_key: MakeKey) -> None:
    _, headers = make_key()
    url = str(http.base_url)
    with Client(url, key=headers["Authorization"].removeprefix("Bearer ")) as client, Client(url) as stranger:
        first = client.submit(document(), idempotency_key="once")
        assert client.submit(document(), idempotency_key="once") == first
        with pytest.raises(ProblemError) as refused:
            stranger.get_experiment(first.id)
    assert refused.value.status == 401
