"""Many experiments in one call."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from app.services import batches, experiments, submission_writer
from fittingroom.specs.experiment import ExperimentSpec
from models.errors import DatabaseFullError, DatasetGoneError, KeyReusedError, QuotaError
from models.sql.plans.submissions import Submission, add_experiments
from tests.app.api.malformed_bodies import keras_json
from tests.factories import document

pytestmark = pytest.mark.stores

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
BAD = document(optimizer={"name": "sgd", "learning_rate": -1})


def lines(*documents: Any) -> bytes:
    return b"\n".join(json.dumps(item).encode() for item in documents)


def count(http: httpx.Client) -> int:
    ids, cursor = set(), None
    while True:
        page = http.get("/v1/experiments", params={"limit": 100} | ({"cursor": cursor} if cursor else {})).json()
        ids |= {item["id"] for item in page["items"]}
        cursor = page["next_cursor"]
        if cursor is None:
            return len(ids)


@pytest.mark.parametrize("as_lines", [True, False])
def test_each_is_answered_on_its_own(http: httpx.Client, as_lines: bool) -> None:  # noqa: FBT001 - a parameter
    documents = [document(name="a"), BAD, {}, document(name="b"), 7]
    if as_lines:
        answer = http.post("/v1/experiments/batch", content=lines(*documents), headers=NDJSON)
    else:
        answer = http.post("/v1/experiments/batch", json=documents)
    assert answer.status_code == 200
    view = answer.json()
    assert (view["accepted"], view["refused"]) == (2, 3)
    assert [(item["index"], item["status"]) for item in view["items"]] == [
        (0, 202), (1, 422), (2, 422), (3, 202), (4, 422),
    ]  # fmt: skip
    assert view["items"][1]["errors"][0]["pointer"] == "/optimizer/learning_rate"
    names = [http.get(item["location"]).json()["name"] for item in view["items"] if item["status"] == 202]
    assert names == ["a", "b"]
    assert count(http) == 2


@pytest.mark.parametrize("as_lines", [True, False])
def test_odd_item_is_refused_alone(http: httpx.Client, as_lines: bool) -> None:  # noqa: FBT001 - a parameter
    documents = [document(name="a"), json.loads(keras_json(module=[])), document(name="b")]
    content, headers = (lines(*documents), NDJSON) if as_lines else (json.dumps(documents), JSON)
    items = http.post("/v1/experiments/batch", content=content, headers=headers).json()["items"]
    assert [item["status"] for item in items] == [202, 422, 202]


def test_item_that_meets_an_error_of_our_own_is_answered_alone(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = experiments.Service.submission

    def fail(service: experiments.Service, spec: ExperimentSpec, key: str | None = None) -> Submission:
        if spec.name == "bad":
            raise TypeError("secret inner workings")
        return submission(service, spec, key)

    monkeypatch.setattr(experiments.Service, "submission", fail)
    documents = [document(name=name) for name in ("a", "bad", "b")]
    answer = http.post("/v1/experiments/batch", json=documents)
    assert [item["status"] for item in answer.json()["items"]] == [202, 500, 202]
    assert "secret" not in answer.text
    assert http.post("/v1/experiments/batch?atomic=true", json=documents).status_code == 500
    assert count(http) == 2


def test_answers_come_line_by_line_where_asked_for(http: httpx.Client) -> None:
    documents = [document(name=f"{number}") for number in range(250)]
    answer = http.post("/v1/experiments/batch", json=documents, headers={"Accept": "application/x-ndjson"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    items = [json.loads(line) for line in answer.text.splitlines()]
    assert [(item["index"], item["status"]) for item in items] == [(number, 202) for number in range(250)]
    assert count(http) == 250


def test_all_or_none(http: httpx.Client) -> None:
    documents = [document(name=f"{number}") for number in range(150)]
    refused = http.post("/v1/experiments/batch?atomic=true", json=[*documents, BAD])
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/150/optimizer/learning_rate"
    cut = http.post(
        "/v1/experiments/batch?atomic=true",
        content=json.dumps(documents)[:-1],
        headers={"Content-Type": "application/json"},
    )
    assert cut.status_code == 422
    assert count(http) == 0
    assert http.post("/v1/experiments/batch?atomic=true", json=documents).json()["accepted"] == 150
    assert count(http) == 150


def test_wide_sweeps_are_planned_few_at_a_time_within_a_transaction(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends a transaction that says nothing for a minute."""
    chunks: list[int] = []

    def counting(session: Session, chunk: Sequence[Submission]) -> Any:
        chunks.append(len(chunk))
        return add_experiments(session, chunk)

    monkeypatch.setattr(submission_writer, "add_experiments", counting)
    rates = {"choice": [0.1, 0.2, 0.3, 0.4]}
    wide = document(optimizer={"name": "sgd", "learning_rate": rates}, seeds=list(range(100)))
    answer = http.post("/v1/experiments/batch?atomic=true", json=[wide] * 7)
    assert answer.json()["accepted"] == 7
    assert chunks == [3, 3, 1]


def test_a_batch_that_was_cut_off_is_repeated_safely(http: httpx.Client) -> None:
    documents = [document(name=f"{number}") for number in range(120)]
    key = {"Idempotency-Key": "night-1"}
    first = http.post("/v1/experiments/batch", content=lines(*documents[:70]), headers=NDJSON | key).json()
    whole = http.post("/v1/experiments/batch", content=lines(*documents), headers=NDJSON | key).json()
    assert whole["items"][:70] == first["items"]
    assert whole["accepted"] == count(http) == 120
    other = http.post("/v1/experiments/batch", content=lines(document(name="x")), headers=NDJSON | key).json()
    assert (other["items"][0]["status"], other["items"][0]["errors"][0]["pointer"]) == (422, "Idempotency-Key")
    atomic = http.post("/v1/experiments/batch?atomic=true", json=[document(name="x")], headers=key)
    assert atomic.status_code == 422
    assert count(http) == 120


def test_an_empty_batch_is_one(http: httpx.Client) -> None:
    for content in (b"[]", b" [ ] "):
        answer = http.post("/v1/experiments/batch", content=content, headers={"Content-Type": "application/json"})
        assert answer.json() == {"items": [], "accepted": 0, "refused": 0}
    assert http.post("/v1/experiments/batch", content=b"\n\n", headers=NDJSON).json()["items"] == []


@pytest.mark.parametrize(
    ("content", "accepted", "said"),
    [
        (b"{}", 0, "expected an array"),
        (b"", 0, "EOF"),
        (b"[" + lines(document()) + b",", 1, "EOF"),
        (b"[" + lines(document()) + b',{"name":1,"name":2}]', 1, "duplicate key"),
        (b"[" * 100_000, 0, "too deeply"),
        (b'["' + b"x" * 2_000_000 + b'"]', 0, "larger than"),
        (b'["\xff"]', 0, "UTF"),
    ],
)
def test_invalid_json_ends_a_batch_at_its_position(
    http: httpx.Client, content: bytes, accepted: int, said: str
) -> None:
    answer = http.post("/v1/experiments/batch", content=content, headers={"Content-Type": "application/json"})
    view = answer.json()
    if accepted == 0:  # nothing could be read of it
        assert (answer.status_code, count(http)) == (422, 0)
        assert said in view["detail"]
        return
    assert answer.status_code == 200
    assert (view["accepted"], view["refused"], count(http)) == (accepted, 1, accepted)
    assert said in view["items"][-1]["detail"]


def test_a_bad_line_costs_nothing_but_itself(http: httpx.Client) -> None:
    content = b"{\n" + lines(document()) + b'\n{"a":1,"a":2}\n\xff\n' + lines(document())
    view = http.post("/v1/experiments/batch", content=content, headers=NDJSON).json()
    assert [item["status"] for item in view["items"]] == [422, 202, 422, 422, 202]


def test_other_media_types_are_refused(http: httpx.Client) -> None:
    answer = http.post("/v1/experiments/batch", content=b"a,b", headers={"Content-Type": "text/csv"})
    assert answer.status_code == 422
    assert "application/x-ndjson" in answer.json()["detail"]


def test_refused_item_has_the_status_of_a_single_submit() -> None:
    for error in (DatasetGoneError(), QuotaError(1, 2, 2), KeyReusedError("k", "exp_1"), DatabaseFullError("")):
        assert batches._answer(0, error).status == error.status  # noqa: SLF001 - a race that no request can win at will
