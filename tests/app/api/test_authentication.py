"""Keys: who gets in, what they see, how much they may ask for."""

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update

from app.api import authentication
from app.api.authentication import KEY_CACHE_SECONDS, Authenticator
from app.api.rate_limits import RateLimits
from fittingroom.client.sync_client import Client, ProblemError
from models.errors import DatabaseUnavailableError
from models.planning.plan import plan_experiment
from models.sql.api_keys import ApiKey, Scope, revoke_key
from models.sql.database import Database
from models.sql.database import clock as database_clock
from models.sql.plans.submissions import Accepted, Submission, add_experiments
from models.sql.tables import ApiKeyTable, CohortTable
from models.sql.worker_registry import add_worker, update_worker
from tests.factories import document, spec
from tests.serving import Clock, MakeKey, early_in_a_minute, submit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of the key cache."""
    clock = Clock()
    monkeypatch.setattr("app.api.authentication.time", clock)
    return clock


def test_request_without_a_key_is_401_once_a_key_exists(http: httpx.Client, make_key: MakeKey, clock: Clock) -> None:
    mine = submit(http)
    _, key = make_key(project="default")
    clock.advance(KEY_CACHE_SECONDS)
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


def test_request_beyond_the_scope_of_a_key_is_403(http: httpx.Client, make_key: MakeKey) -> None:
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


def test_expired_or_revoked_key_is_401(http: httpx.Client, make_key: MakeKey, database: Database, clock: Clock) -> None:
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
    clock.advance(KEY_CACHE_SECONDS)
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
    early_in_a_minute()
    statuses = [http.get("/v1/experiments", headers=often).status_code for _ in range(8)]
    assert statuses == [200] * 5 + [429] * 3
    assert 1 <= int(http.get("/v1/experiments", headers=often).headers["retry-after"]) <= 60
    _, some = make_key(project="three", max_unended_trials=3)
    sizes = [http.post("/v1/experiments", json=document(seeds=[0, 1]), headers=some) for _ in range(2)]
    assert [answer.status_code for answer in sizes] == [202, 429]
    assert "quota of unfinished trials exceeded" in sizes[1].json()["detail"]
    http.post(f"{sizes[0].headers['location']}/cancel", headers=some)
    assert http.post("/v1/experiments", json=document(seeds=[0, 1]), headers=some).status_code == 202


def test_concurrent_submits_stay_within_the_quota(http: httpx.Client, make_key: MakeKey) -> None:
    _, some = make_key(project="four", max_unended_trials=3)
    with ThreadPoolExecutor(25) as pool:
        answers = list(
            pool.map(lambda _: http.post("/v1/experiments", json=document(), headers=some).status_code, range(25))
        )
    assert sorted(answers) == [202] * 3 + [429] * 22


@pytest.mark.stores
def test_concurrent_processes_stay_within_the_quota(database_url: str, make_key: MakeKey) -> None:
    """Each has a connection of its own, as several processes have."""
    make_key(project="four", max_unended_trials=3)
    validated = spec()
    submission = Submission("four", validated, plan_experiment(validated), max_unended_trials=3)

    def store(_: int) -> int:
        database = Database(database_url)
        with database.writing() as session:
            answers = add_experiments(session, [submission])
        database.close()
        return sum(isinstance(answer, Accepted) for answer in answers)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(store, range(8))) == 3


def test_long_poll_and_stream_end_when_the_key_is_revoked(
    http: httpx.Client, make_key: MakeKey, database: Database
) -> None:
    key_id, key = make_key()
    _, other = make_key()
    place = http.post("/v1/experiments", json=document(device="gpu"), headers=key).headers["location"]

    begun = threading.Semaphore(0)

    def listen(headers: dict[str, str]) -> bytes:
        with http.stream("GET", f"{place}/events", headers=headers) as stream:
            pieces = []
            for piece in stream.iter_bytes():
                pieces.append(piece)
                begun.release()
        return b"".join(pieces)

    def wait(headers: dict[str, str]) -> int:
        return http.get(f"{place}?wait=60&version=1", headers=headers).status_code

    with ThreadPoolExecutor(4) as pool:
        listening, waiting = pool.submit(listen, key), pool.submit(wait, key)
        others = pool.submit(listen, other), pool.submit(wait, other)
        for _ in range(2):
            begun.acquire()
        started = time.monotonic()
        with database.writing() as session:
            revoke_key(session, key_id)
        assert waiting.result() == 401
        assert b"event: end" not in listening.result()
        seconds = time.monotonic() - started
        assert seconds < 60, "they did not wait for their own time"
        sys.stderr.write(f"let go after {seconds:.2f} s\n")
        assert not any(one.done() for one in others)
        http.post(f"{place}/cancel", headers=other).raise_for_status()
        assert b"event: end" in others[0].result()
        assert others[1].result() == 200


def test_long_poll_begun_during_a_key_check_continues(
    http: httpx.Client, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check that is under way did not ask for the new one's key."""
    monkeypatch.setattr(authentication, "CHECK_SECONDS", 0.0)
    keys = [make_key()[1] for _ in range(4)]
    place = http.post("/v1/experiments", json=document(device="gpu"), headers=keys[0]).headers["location"]

    def wait(number: int) -> int:
        return http.get(f"{place}?wait=0.01&version=1", headers=keys[number % 4]).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(wait, range(400))) == {200}


def test_workers_list_hides_cohorts_of_other_projects(
    http: httpx.Client, make_key: MakeKey, database: Database
) -> None:
    (_, one), (_, two) = make_key(), make_key(project="two")
    http.post("/v1/experiments", json=document(), headers=one).raise_for_status()
    with database.writing() as session:
        cohort_id = session.scalars(select(CohortTable.id)).one()
        add_worker(session, "w", host="h", process_id=1, queues=["any"], devices=["cpu:0"], versions={})
        update_worker(session, "w", cohort_id=cohort_id)
    for headers, shown in ((one, cohort_id), (two, None)):
        [worker] = http.get("/v1/workers", headers=headers).json()["items"]
        assert (worker["cohort_id"], worker["is_idle"]) == (shown, False)


def test_key_is_looked_up_once_for_all_its_callers(
    database: Database, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key_id, headers = make_key()
    key = headers["Authorization"].removeprefix("Bearer ")
    look_up, begun, may_end = Authenticator._look_up, threading.Semaphore(0), threading.Event()  # noqa: SLF001 - what is counted
    faults = [DatabaseUnavailableError("away")]

    def slow(self: Authenticator, digest: str | None) -> ApiKey | None:
        begun.release()
        assert may_end.wait(30)
        if faults:
            raise faults.pop()
        return look_up(self, digest)

    monkeypatch.setattr(Authenticator, "_look_up", slow)

    async def come_together(authenticator: Authenticator) -> list[ApiKey | BaseException]:
        may_end.clear()
        callers = [asyncio.create_task(authenticator.authenticate(key, Scope.READ)) for _ in range(5)]
        await asyncio.to_thread(begun.acquire)
        callers[0].cancel()
        may_end.set()
        return await asyncio.gather(*callers, return_exceptions=True)

    async def run() -> None:
        authenticator = Authenticator(database, RateLimits("filesystem://", tmp_path))
        cancelled, *others = await come_together(authenticator)
        assert isinstance(cancelled, asyncio.CancelledError)
        assert [type(found) for found in others] == [DatabaseUnavailableError] * 4
        cancelled, *others = await come_together(authenticator)
        assert isinstance(cancelled, asyncio.CancelledError)
        assert [found.id for found in others if isinstance(found, ApiKey)] == [key_id] * 4
        assert not begun.acquire(blocking=False)

    asyncio.run(run())


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
