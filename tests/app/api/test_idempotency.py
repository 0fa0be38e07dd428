"""A submit that is safe to repeat."""

import concurrent.futures
import datetime as dt

import httpx
import pytest
from sqlalchemy import update

from models.sql.database import Database
from models.sql.plans.submissions import IDEMPOTENCY_SECONDS
from models.sql.tables import IdempotencyKeyTable
from tests.factories import document

pytestmark = pytest.mark.stores

KEY = {"Idempotency-Key": "nightly-2026-11-24/7"}


def count(http: httpx.Client) -> int:
    return len(http.get("/v1/experiments", params={"limit": 100}).json()["items"])


def test_the_same_submit_is_answered_the_same_and_makes_nothing(http: httpx.Client) -> None:
    first = http.post("/v1/experiments", json=document(), headers=KEY)
    http.post(f"{first.headers['location']}/cancel")
    again = http.post("/v1/experiments", json=document(), headers=KEY)
    assert (again.status_code, again.json()) == (202, first.json())
    assert (again.headers["location"], again.headers["etag"]) == (first.headers["location"], first.headers["etag"])
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert count(http) == 1


def test_another_submit_under_the_same_key_is_refused(http: httpx.Client) -> None:
    first = http.post("/v1/experiments", json=document(), headers=KEY)
    other = http.post("/v1/experiments", json=document(name="another"), headers=KEY)
    assert other.status_code == 422
    assert first.json()["id"] in other.json()["detail"]
    assert other.json()["errors"][0]["pointer"] == "Idempotency-Key"
    assert count(http) == 1
    for bad in ("", "x" * 256, "with space", "ümlaut".encode()):
        assert http.post("/v1/experiments", json=document(), headers={"Idempotency-Key": bad}).status_code == 422
    assert count(http) == 1


def test_twins_at_once_make_one_experiment(http: httpx.Client) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: http.post("/v1/experiments", json=document(), headers=KEY), range(16)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert count(http) == 1


def test_a_key_is_forgotten_after_a_day(http: httpx.Client, database: Database) -> None:
    http.post("/v1/experiments", json=document(), headers=KEY)
    with database.writing() as session:
        yesterday = IdempotencyKeyTable.created_at
        row = session.query(IdempotencyKeyTable).one()
        earlier = row.created_at - dt.timedelta(seconds=IDEMPOTENCY_SECONDS + 1)
        session.execute(update(IdempotencyKeyTable).where(yesterday == row.created_at).values(created_at=earlier))
    assert http.post("/v1/experiments", json=document(name="another"), headers=KEY).status_code == 202
    assert count(http) == 2
