"""The client, sync and async, against a real API; and a network that loses answers between them."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from fittingroom import AsyncClient
from fittingroom.client import sync_client
from fittingroom.client.connection import StreamPosition
from fittingroom.client.sync_client import Client, ProblemError
from fittingroom.views.resources import ExperimentHistoryView, TrialHistoryView
from fittingroom.views.states import ExperimentState, TrialState
from models.settings import Settings
from models.sql.database import Database
from tests.factories import SWEEP, document
from tests.serving import later, served
from tests.training import Writer, train


@pytest.fixture
def client(http: httpx.Client) -> Iterator[Client]:
    with Client(str(http.base_url)) as client:
        yield client


class Lossy:
    """Forwards connections to a port; of the first ones the request arrives, and the answer is lost."""

    def __init__(self, port: int, losses: int) -> None:
        self._port, self.losses = port, losses
        self.asked: list[str] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def cut(self) -> None:
        """End all connections as they are."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _serve(self, connection: socket.socket) -> None:
        self._open.append(connection)
        with connection, socket.create_connection(("127.0.0.1", self._port)) as upstream:
            loses, self.losses = self.losses > 0, max(0, self.losses - 1)
            threading.Thread(target=self._pump, args=(connection, upstream), daemon=True).start()
            if loses:
                upstream.recv(1)  # it was answered
                connection.shutdown(socket.SHUT_RDWR)
            else:
                self._pump(upstream, connection)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                if piece.startswith((b"GET", b"POST")):
                    self.asked.append(piece.split(b"\r\n")[0].decode())
                target.sendall(piece)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def lossy(http: httpx.Client) -> Iterator[Lossy]:
    assert http.base_url.port is not None
    between = Lossy(http.base_url.port, losses=2)
    yield between
    between.close()


def test_submit_with_lost_answers_is_made_once(lossy: Lossy, http: httpx.Client) -> None:
    with Client(lossy.url) as client:
        view = client.submit(document())
    assert lossy.losses == 0
    items = http.get("/v1/experiments").json()["items"]
    assert [item["id"] for item in items] == [view.id]


def test_service_that_is_gone_for_long_is_waited_for(
    lossy: Lossy, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is a time, not a number of attempts."""
    monkeypatch.setattr("fittingroom.client.retries._growing", lambda _: 0.01)
    lossy.losses = 50
    with Client(lossy.url) as client:
        client.submit(document())
    assert lossy.losses == 0
    assert len(http.get("/v1/experiments").json()["items"]) == 1


def test_async_submit_with_lost_answers_is_made_once(lossy: Lossy, http: httpx.Client) -> None:
    async def submit() -> str:
        async with AsyncClient(lossy.url) as client:
            return (await client.submit(document())).id

    found = asyncio.run(submit())
    assert [item["id"] for item in http.get("/v1/experiments").json()["items"]] == [found]


def test_zero_patience_raises_transport_error(lossy: Lossy) -> None:
    with Client(lossy.url, patience=0) as client, pytest.raises(httpx.TransportError):
        client.submit(document())


def test_a_refusal_is_not_asked_again(lossy: Lossy) -> None:
    lossy.losses = 0
    with Client(lossy.url) as client, pytest.raises(ProblemError) as refused:
        client.submit({"name": "x"})
    assert refused.value.status == 422
    assert refused.value.problem["errors"]
    assert len(lossy.asked) == 1


def test_a_database_that_is_gone_is_asked_again_when_the_service_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fittingroom.client.retries.MAX_WAIT_SECONDS", 0.5)  # the service says 5
    settings = Settings(data_dir=tmp_path, database_url="postgresql://nobody@127.0.0.1:1/nothing")
    with served(settings) as http:
        assert http.base_url.port is not None
        between = Lossy(http.base_url.port, losses=0)
        started = time.monotonic()
        with Client(between.url, patience=3) as client, pytest.raises(ProblemError) as refused:
            client.list_workers()
        assert time.monotonic() - started > 0.5
        between.close()
    assert refused.value.status == 503
    assert refused.value.retry_after_seconds == 5
    assert len(between.asked) >= 2


def test_every_answer_of_an_experiment(client: Client, database: Database, tmp_path: Path) -> None:
    assert len(client.plan(document(**SWEEP)).trials) == 2
    view = client.submit(document(**SWEEP))
    train(database, view.id, {1: [0.7, 0.6, 0.65], 2: [0.9, "NaN"]})
    ended = client.wait(view.id, timeout=5)
    assert ended.state.value == "completed"
    first, second = client.list_trials(view.id)
    assert client.get_trial(first.id).spec["seed"] == 0
    assert client.get_trial_history(first.id) == {
        "epoch": [1, 2, 3],
        "loss": [0.7, 0.6, 0.65],
        "val_loss": [0.7, 0.6, 0.65],
    }
    assert str(client.get_trial_history(second.id)["loss"]) == "[0.9, nan]"
    frame = client.frame(view.id)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["trial_id", "trial", "label", "epoch", "loss", "val_loss"]
    assert frame.groupby("trial")["loss"].min().tolist() == [0.6, 0.9]
    assert client.compare(view.id).candidates[0].label == first.label
    assert client.get_plot(view.id, "loss", file_format="png", scale="log").startswith(b"\x89PNG")
    assert [found.id for found in client.list_experiments(name="a test")] == [view.id]
    assert list(client.list_experiments(state="queued")) == []
    assert client.list_workers() == []
    table = tmp_path / "homes.csv"
    table.write_text("size,price\n0.7,2.4\n0.2,1.4\n0.9,1.8\n0.4,1.5\n")
    assert client.upload_dataset(table, "homes", target="price", task="regression").rows == 4
    table.write_text('"a, b",floor,"the ""c""",price\n1,2,3,2.4\n4,5,6,1.4\n')
    options = {"ignore": ["a, b", 'the "c"'], "categorical": ["floor"]}
    assert client.upload_dataset(table, "flats", target="price", **options).feature_names == ["floor=2", "floor=5"]
    table.write_bytes("größe;preis;ort\n1.000,5;7,5;-\n2,5;NA;None\n3;8,5;Köln\n".encode("cp1252"))
    german = client.upload_dataset(
        table, "german", target="preis", separator=";", decimal=",", thousands=".", charset="cp1252", missing=["-"],
        drop_missing_target=True, description="homes, in German",
    )  # fmt: skip
    assert (german.rows, german.dropped_rows, german.description) == (2, 1, "homes, in German")
    assert german.columns[0].maximum == 1000.5
    assert (german.columns[1].missing, german.columns[1].categories) == (1, ["Köln"])
    table.write_text("a,t\n1,None\n2,NA\n")
    assert client.upload_dataset(table, "words", target="t", default_missing=False).class_names == ["NA", "None"]
    assert "homes" in [dataset.name for dataset in client.list_datasets()]
    client.delete_dataset("homes")
    with pytest.raises(ProblemError, match="no weights"):
        client.predict(first.id, [[0.0] * 10])
    client.delete(view.id)
    with pytest.raises(ProblemError, match="404"):
        client.get_experiment(view.id)


def test_pause_resume_cancel(client: Client) -> None:
    view = client.submit(document())
    assert client.pause(view.id).paused_at is not None
    assert client.resume(view.id).paused_at is None
    assert client.cancel(view.id) == 1
    assert client.wait(view.id, timeout=5).state.value == "cancelled"


def test_extend(client: Client, database: Database) -> None:
    view = client.submit(document(**SWEEP))
    with pytest.raises(ProblemError, match="has not ended"):
        client.extend(view.id, epochs=6)
    train(database, view.id, {1: [0.7, 0.6], 2: [0.9, 0.8]})
    made = [client.extend(view.id, epochs=6, top=1, name="on", idempotency_key="on") for _ in range(2)]
    assert made[0].id == made[1].id
    assert [trial.epochs_planned for trial in client.list_trials(made[0].id)] == [6]
    with pytest.raises(ProblemError, match="trained all combinations"):
        client.extend(view.id, trials=3)


def test_pages_are_turned(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fittingroom.client.sync_client.PAGE", 2)
    ids = [client.submit(document()).id for _ in range(5)]
    assert [view.id for view in client.list_experiments()] == ids[::-1]


def test_wait_beyond_the_timeout_raises(client: Client) -> None:
    view = client.submit(document())
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="still queued"):
        client.wait(view.id, timeout=0.3)
    assert time.monotonic() - started < 60


def test_stream_resumes_after_a_lost_connection(http: httpx.Client, lossy: Lossy, database: Database) -> None:
    lossy.losses = 0
    with Client(lossy.url) as client:
        view = client.submit(document(fit={"epochs": 9, "validation_split": 0.3}))
        writer = Writer(database, view.id)
        seen: list[int] = []
        versions: list[int] = []
        with later(0.3, lambda: [writer.write() for _ in range(3)]):
            for event in client.stream(view.id):
                seen += [epoch for trial in event.trials for epoch in trial.history["epoch"]]  # type: ignore[misc]
                versions.append(event.version)
                if len(seen) == 3:
                    lossy.cut()
                    writer.write()
                    writer.end()
        assert seen == [1, 2, 3, 4]
        assert versions == sorted(set(versions))
    streams = [asked for asked in lossy.asked if "/events" in asked]
    assert len(streams) > 1
    assert http.get(f"/v1/experiments/{view.id}").json()["state"] == "completed"


def test_a_service_that_is_gone_for_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fittingroom.client.retries.LOST_SECONDS", 0.5)
    with Client("http://127.0.0.1:1") as client, pytest.raises(httpx.ConnectError):
        list(client.stream("exp_1"))


def test_404_is_not_retried(client: Client) -> None:
    with pytest.raises(ProblemError, match="404"):
        list(client.stream(f"exp_{'0' * 32}"))


def test_frame_before_and_after_the_first_epoch(client: Client, database: Database) -> None:
    view = client.submit(document(**SWEEP))
    assert len(client.frame(view.id)) == 0
    Writer(database, view.id).write(0)
    frame = client.frame(view.id)
    assert frame["epoch"].tolist() == [1]
    assert frame["epoch"].dtype.kind == "i"


def test_async_client_follows_an_experiment(http: httpx.Client, database: Database) -> None:
    async def everything() -> dict[str, Any]:
        async with AsyncClient(str(http.base_url)) as client:
            view = await client.submit(document(**SWEEP))
            await asyncio.to_thread(train, database, view.id, {1: [0.7, 0.6], 2: [0.9, 0.8]})
            events = [event async for event in client.stream(view.id)]
            ended = await client.wait(view.id, timeout=5)
            first, _ = await client.list_trials(view.id)
            return {
                "state": ended.state.value,
                "epochs": [trial.history["epoch"] for trial in events[-1].trials],
                "history": await client.get_trial_history(first.id),
                "leader": (await client.compare(view.id)).candidates[0].label,
                "listed": [found.id async for found in client.list_experiments()] == [view.id],
                "rows": len(await client.frame(view.id)),
            }

    assert asyncio.run(everything()) == {
        "state": "completed",
        "epochs": [[1, 2], [1, 2]],
        "history": {"epoch": [1, 2], "loss": [0.7, 0.6], "val_loss": [0.7, 0.6]},
        "leader": "learning_rate=0.1",
        "listed": True,
        "rows": 4,
    }


def test_the_synchronous_client_is_generated_from_the_asynchronous_one(tmp_path: Path) -> None:
    generated = tmp_path / "client.py"
    script = Path(__file__).parents[3] / "scripts" / "make-sync-client"
    subprocess.run([sys.executable, script, generated], check=True)
    current = Path(sync_client.__file__)
    assert generated.read_text() == current.read_text(), "run `make client`"


def test_csv_with_a_lost_answer_is_retried(lossy: Lossy, client: Client, database: Database) -> None:
    view = client.submit(document(**SWEEP))
    train(database, view.id, {1: [0.7, 0.6], 2: [0.9, 0.8]})
    with Client(lossy.url) as cut_off:
        assert "".join(cut_off.get_csv(view.id)) == "".join(client.get_csv(view.id))
    assert (lossy.losses, len(lossy.asked)) == (0, 3)


def _event(version: int, **trials: tuple[int, int, int]) -> ExperimentHistoryView:
    """Return an event with, of each trial, the epochs from one number to another, at a version of the trial."""
    return ExperimentHistoryView(
        experiment_id="exp_1", state=ExperimentState.RUNNING, version=version,
        trials=[
            TrialHistoryView(
                trial_id=name, number=0, label=name, state=TrialState.RUNNING, stop_reason=None, epochs_completed=last,
                version=trial_version,
                history={"epoch": list(range(first, last + 1)), "loss": [0.5] * (last + 1 - first)},
            )
            for name, (trial_version, first, last) in trials.items()
        ],
    )  # fmt: skip


def _epochs(event: ExperimentHistoryView | None) -> dict[str, Any] | None:
    return event and {trial.trial_id: trial.history["epoch"] for trial in event.trials}


def test_a_long_answer_that_breaks_off_is_not_given_twice() -> None:
    position = StreamPosition(3)
    assert _epochs(position.advance(_event(3, a=(5, 1, 2)))) == {"a": [1, 2]}
    assert position.after == 3  # the connection breaks: the answer is not whole, and is asked for again
    assert position.advance(_event(3, a=(5, 1, 2))) is None
    assert _epochs(position.advance(_event(3, a=(6, 1, 3), b=(5, 1, 1)))) == {"a": [3], "b": [1]}
    assert _epochs(position.advance(_event(7))) == {}
    assert position.after == 7
    assert _epochs(position.advance(_event(8, a=(8, 4, 4)))) == {"a": [4]}
