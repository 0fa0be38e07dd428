"""Histories that are too long to be held: sent as they are read, in parts, or thinned."""

import asyncio
import csv
import json
import threading
from collections.abc import Iterator
from functools import partialmethod
from typing import Any

import httpx
import pydantic_core
import pytest

from app.services.fair_turns import FairTurns
from app.services.reads import histories
from app.services.reads.response_cache import CachedResponse
from app.services.reads.thinning import Thinning
from fittingroom import Client
from fittingroom.views.resources import ExperimentHistoryView
from models.sql.database import Database
from tests.serving import submit
from tests.training import Writer, train

RATES = {"optimizer": {"name": "sgd", "learning_rate": {"choice": [0.1, 0.01, 0.001]}}, "seeds": [0, 1]}
LENGTHS = {1: 40, 2: 1, 3: 17, 4: 40, 5: 25, 6: 8}
"""Epochs of each trial, by number."""
FIT = {"epochs": 40, "validation_split": 0.3}


def loss(number: int, epoch: int) -> float:
    """Return a value that differs for each epoch of each trial."""
    return 1 / epoch + number / 7


@pytest.fixture
def trained(http: httpx.Client, database: Database) -> str:
    """Return an experiment of six trials of different lengths."""
    experiment_id = submit(http, **RATES, fit=FIT)
    losses = {number: [loss(number, epoch) for epoch in range(1, last + 1)] for number, last in LENGTHS.items()}
    train(database, experiment_id, losses)
    return experiment_id


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every history one that is too long to be held."""
    monkeypatch.setattr("app.services.reads.cached_reads.LONG_BYTES", 0)
    monkeypatch.setattr(histories, "ROWS_AT_ONCE", 30)
    monkeypatch.setattr(histories, "TRIALS_AT_ONCE", 4)


def events_in(text: str) -> Iterator[dict[str, str]]:
    """Yield the events of a whole stream."""
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = [line.partition(": ") for line in block.splitlines() if not line.startswith(":")]
        if fields:
            yield {name: value for name, _, value in fields}


@pytest.mark.parametrize("query", ["", "?after=2", "?after=3", "?points=5", "?after=100"])
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_history_is_the_same_sent_whole_or_in_pieces(
    http: httpx.Client, trained: str, query: str, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.reads.cached_reads.LONG_SECONDS", 60)
    path, headers = f"/v1/experiments/{trained}/history{query}", {"Accept": accept}
    with monkeypatch.context() as context:
        context.setattr("app.services.reads.cached_reads.LONG_BYTES", 0)
        context.setattr(histories, "ROWS_AT_ONCE", 30)
        context.setattr(histories, "MAX_EPOCHS_AT_ONCE", -1)
        context.setattr(CachedResponse, "size", 2**40)  # too large to be kept for the next request
        pieces = http.get(path, headers=headers)
    whole = http.get(path, headers=headers)
    assert ("content-length" in pieces.headers, "content-length" in whole.headers) == (False, True)
    assert whole.content == pieces.content
    if accept == "application/json":
        ExperimentHistoryView.model_validate_json(whole.content)


@pytest.mark.usefixtures("short_pieces")
def test_long_history_that_has_not_changed_is_not_read(
    http: httpx.Client, trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v1/experiments/{trained}/history"
    etag = http.get(path).headers["etag"]
    monkeypatch.setattr(histories, "read_epochs", None)
    assert http.get(path, headers={"If-None-Match": etag}).status_code == 304


def test_stream_of_an_experiment_that_is_deleted_ends_without_a_fault(
    http: httpx.Client, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    experiment_id = submit(http, **RATES, fit=FIT)
    Writer(database, experiment_id).write()
    with http.stream("GET", f"/v1/experiments/{experiment_id}/events") as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("id: ")
        httpx.post(http.base_url.join(f"/v1/experiments/{experiment_id}/cancel")).raise_for_status()
        httpx.delete(http.base_url.join(f"/v1/experiments/{experiment_id}")).raise_for_status()
        assert "event: end" not in list(lines)
    assert "Traceback" not in caplog.text


def test_one_projects_long_answers_leave_a_turn_for_anothers() -> None:
    async def read() -> None:
        turns, release, begun = FairTurns(2), threading.Event(), []

        def piece(project: str) -> None:
            begun.append(project)
            assert release.wait(30)

        loud = [asyncio.create_task(turns.run("loud", lambda: piece("loud"))) for _ in range(5)]
        while begun != ["loud"]:  # noqa: ASYNC110 - a thread says it
            await asyncio.sleep(0.001)
        quiet = asyncio.create_task(turns.run("quiet", lambda: piece("quiet")))
        while begun != ["loud", "quiet"]:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        release.set()
        await asyncio.gather(quiet, *loud)

    asyncio.run(asyncio.wait_for(read(), 60))


@pytest.mark.usefixtures("short_pieces")
def test_long_history_has_every_epoch_and_is_sent_in_pieces(http: httpx.Client, trained: str) -> None:
    with http.stream("GET", f"/v1/experiments/{trained}/history") as answer:
        assert "content-length" not in answer.headers
        found = json.loads(b"".join(answer.iter_raw()))
    assert {trial["number"]: len(trial["history"]["epoch"]) for trial in found["trials"]} == LENGTHS
    for trial in found["trials"]:
        values = zip(trial["history"]["epoch"], trial["history"]["loss"], strict=True)
        assert all(value == loss(trial["number"], epoch) for epoch, value in values)


@pytest.mark.stores
@pytest.mark.usefixtures("short_pieces")
def test_table_has_a_line_for_each_epoch(http: httpx.Client, trained: str) -> None:
    answer = http.get(f"/v1/experiments/{trained}/history", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert list(rows[0]) == ["trial_id", "trial", "label", "epoch", "loss", "val_loss"]
    found = [(int(row["trial"]), int(row["epoch"]), float(row["loss"])) for row in rows]
    assert found == [(n, epoch, loss(n, epoch)) for n, last in LENGTHS.items() for epoch in range(1, last + 1)]


@pytest.mark.stores
def test_history_leaves_out_epochs_written_during_the_read(
    database: Database, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "TRIALS_AT_ONCE", 1)
    writer = Writer(database, submit(http, **RATES, fit=FIT))
    for _ in range(3):
        writer.write(*range(6))
    experiment_id = writer.trials[0].experiment_id
    history = histories.find_history(database, "default", experiment_id)
    pages = history.trials.pages()
    lengths = []
    for _ in range(6):
        [trial] = next(pages)
        lengths.append(len(trial.history["epoch"]))
        writer.write(*range(6))
    assert lengths == [3] * 6
    assert history.about.version < histories.find_history(database, "default", experiment_id).about.version


@pytest.mark.stores
def test_no_more_is_read_than_was_written_since(
    http: httpx.Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trials that are far ahead are not read from where one begins that is behind."""
    writer = Writer(database, submit(http, **RATES, fit=FIT))
    for _ in range(30):
        writer.write(*range(5))
    version = histories.find_history(database, "default", writer.trials[0].experiment_id).about.version
    writer.write(*range(6))
    parsed: list[int] = []

    def from_json(text: str) -> Any:
        found = pydantic_core.from_json(text)
        parsed.append(len(found))
        return found

    monkeypatch.setattr("models.sql.histories.from_json", from_json)
    history = histories.find_history(database, "default", writer.trials[0].experiment_id, version)
    writer.write(*range(6))  # a slow client's page would grow with all that is trained meanwhile
    [page] = history.trials.pages()
    assert {trial.number: trial.history["epoch"] for trial in page} == {n: [31] for n in range(1, 6)} | {6: [1]}
    assert sum(parsed) == 6


@pytest.mark.usefixtures("short_pieces")
def test_history_of_an_experiment_deleted_meanwhile_breaks_off(
    http: httpx.Client, trained: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    is_deleted = threading.Event()
    reads: list[None] = []

    def read_epochs(*arguments: Any, **options: Any) -> Any:
        reads.append(None)
        if len(reads) > 2:  # the first look at how long it is, and the first piece that is sent
            assert is_deleted.wait(30)
        return known(*arguments, **options)

    known = histories.read_epochs
    monkeypatch.setattr(histories, "read_epochs", read_epochs)
    with http.stream("GET", f"/v1/experiments/{trained}/history") as answer:
        pieces = answer.iter_raw()
        next(pieces)
        httpx.delete(http.base_url.join(f"/v1/experiments/{trained}")).raise_for_status()
        is_deleted.set()
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            list(pieces)
    assert "Traceback" not in caplog.text


@pytest.mark.usefixtures("short_pieces")
def test_events_of_a_long_history_come_in_parts(http: httpx.Client, trained: str) -> None:
    path = f"/v1/experiments/{trained}/events"
    *parts, last, end = events_in(http.get(path).text)
    assert end["event"] == "end"
    assert len(parts) >= 4
    assert {part["id"] for part in parts} == {"0"}, "whoever breaks off here must begin anew"
    assert json.loads(last["data"])["trials"] == []
    assert last["id"] == str(json.loads(last["data"])["version"]) != "0"
    found = [trial for part in parts for trial in json.loads(part["data"])["trials"]]
    assert {trial["number"]: len(trial["history"]["epoch"]) for trial in found} == LENGTHS
    assert http.get(path, headers={"Last-Event-ID": last["id"]}).status_code == 204


@pytest.mark.usefixtures("short_pieces")
def test_client_follows_a_long_history_in_parts(http: httpx.Client, trained: str) -> None:
    with Client(str(http.base_url)) as client:
        seen: dict[int, int] = {}
        for event in client.stream(trained):
            for trial in event.trials:
                seen[trial.number] = seen.get(trial.number, 0) + len(trial.history["epoch"])
        assert seen == LENGTHS
        assert {view.number: len(view.history["epoch"]) for view in client.get_histories(trained)} == LENGTHS
        table = "".join(client.get_csv(trained))
    assert len(table.splitlines()) == 1 + sum(LENGTHS.values())


def spiked(epochs: int, spike: int) -> list[float | str]:
    """Return a falling loss with one epoch far above and one far below, and one that is not a number."""
    values: list[float | str] = [1 / epoch for epoch in range(1, epochs + 1)]
    values[spike - 1], values[spike] = 50.0, -50.0
    values[epochs // 2] = "NaN"
    return values


@pytest.fixture
def long(http: httpx.Client, database: Database) -> str:
    """Two trials of a thousand epochs, and one of thirty."""
    rates = {"optimizer": {"name": "sgd", "learning_rate": {"choice": [0.1, 0.01, 0.001]}}}
    experiment_id = submit(http, **rates, fit=FIT | {"epochs": 1_000})
    train(database, experiment_id, {1: spiked(1_000, 700), 2: spiked(1_000, 333), 3: spiked(30, 9)})
    return experiment_id


def columns(http: httpx.Client, path: str) -> dict[int, dict[int, Any]]:
    """Return the loss of each epoch of each trial, by number."""
    return {
        trial["number"]: dict(zip(trial["history"]["epoch"], trial["history"]["loss"], strict=True))
        for trial in http.get(path).raise_for_status().json()["trials"]
    }


@pytest.mark.stores
def test_thinned_history_keeps_ends_spikes_and_non_finite_values(http: httpx.Client, long: str) -> None:
    path = f"/v1/experiments/{long}/history"
    whole, thinned = columns(http, path), columns(http, f"{path}?points=40")
    for number, spike in ((1, 700), (2, 333)):
        assert 20 <= len(thinned[number]) <= 45
        assert {1, spike, spike + 1, 501, 1_000} <= thinned[number].keys()
    assert thinned[3] == whole[3]
    for number, values in thinned.items():
        assert values.items() <= whole[number].items()
    trial_id = http.get(path).json()["trials"][0]["trial_id"]
    alone = http.get(f"/v1/trials/{trial_id}/history", params={"points": 40}).json()
    assert alone["history"]["epoch"] == list(thinned[1])


@pytest.mark.stores
def test_of_very_long_histories_evenly_spaced_epochs_are_read(
    http: httpx.Client, long: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Thinning, "__init__", partialmethod(Thinning.__init__, read_at_most=300))
    thinned = columns(http, f"/v1/experiments/{long}/history?points=100")
    best = 701
    assert {1, best, 1_000} <= thinned[1].keys()
    assert all(epoch % 10 == 1 or epoch in {best, 1_000} for epoch in thinned[1])
    assert 40 <= len(thinned[1]) <= 105
    assert len(thinned[3]) == 30


@pytest.mark.parametrize("points", ["1", "0", "-5", "x", "10001", "2.5"])
def test_points_that_cannot_be_are_refused(http: httpx.Client, trained: str, points: str) -> None:
    for path in (f"/v1/experiments/{trained}/history", f"/v1/trials/trl_{'0' * 32}/history"):
        assert http.get(path, params={"points": points}).status_code == 422
