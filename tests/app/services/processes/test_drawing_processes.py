"""Pictures are drawn in processes that cannot hold up the API, or another project."""

import asyncio
import socket
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.main import create_app
from app.plots.pictures import Curve, CurvesPicture, write_picture
from app.services.processes import drawing_processes
from app.services.processes.drawing_processes import PROCESSES, WAITING_AT_MOST, DrawingProcesses
from models import child_processes
from models.child_processes import AnsweringProcess, NoAnswerError
from models.errors import PlotUnavailableError
from models.settings import Settings
from tests.e2e.service import until
from tests.serving import assert_problem, served, submit

PICTURE = write_picture(CurvesPicture("x", [Curve("a", "a", "loss", [1, 2], [0.5, 0.25])]))


class Held:
    """Stands for a process that draws until it is released."""

    asked: list[bytes]
    release: threading.Event

    def __init__(self, *_: object) -> None: ...

    def start(self) -> None: ...

    def ask(self, _: Mapping[str, Any], body: bytes = b"") -> dict[str, Any]:
        self.asked.append(body)
        assert self.release.wait(30)
        return {"picture": ""}

    def close(self) -> None: ...


async def stays() -> bool:
    return False


async def has_left() -> bool:
    return True


async def until_asked(picture: bytes) -> None:
    while picture not in Held.asked:  # noqa: ASYNC110 - a thread says it
        await asyncio.sleep(0.001)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    Held.asked, Held.release = [], threading.Event()
    monkeypatch.setattr(drawing_processes, "AnsweringProcess", Held)


@pytest.mark.usefixtures("held")
def test_draw_is_shared_by_concurrent_requests_and_skipped_for_closed_connections() -> None:
    async def draw() -> None:
        processes = DrawingProcesses()
        first = asyncio.create_task(processes.draw("p", "first", lambda: b"first", stays))
        await until_asked(b"first")
        alone = asyncio.create_task(processes.draw("p", "alone", lambda: b"alone", has_left))
        both = [
            asyncio.create_task(processes.draw("p", "shared", lambda: b"shared", leaves))
            for leaves in (has_left, stays)
        ]
        await asyncio.sleep(0)  # all of them have asked
        Held.release.set()
        assert await asyncio.gather(first, *both) == [b""] * 3
        with pytest.raises(PlotUnavailableError, match="has left"):
            await alone
        assert Held.asked == [b"first", b"shared"]
        assert processes._drawings == {"p": {}}  # noqa: SLF001 - nothing is kept

    asyncio.run(asyncio.wait_for(draw(), 60))


@pytest.mark.usefixtures("held")
def test_pictures_of_one_project_that_wait_are_limited() -> None:
    async def draw() -> None:
        processes = DrawingProcesses()
        flood = [
            asyncio.create_task(processes.draw("loud", str(n), lambda: b"loud", stays)) for n in range(WAITING_AT_MOST)
        ]
        await until_asked(b"loud")
        with pytest.raises(PlotUnavailableError, match=f"{WAITING_AT_MOST} plots of this project are waiting"):
            await processes.draw("loud", "one more", lambda: b"loud", stays)
        again = asyncio.create_task(processes.draw("loud", "3", lambda: b"loud", stays))
        quiet = asyncio.create_task(processes.draw("quiet", "", lambda: b"quiet", stays))
        await until_asked(b"quiet")
        Held.release.set()
        await asyncio.gather(again, quiet, *flood)

    asyncio.run(asyncio.wait_for(draw(), 60))


@pytest.mark.parametrize("deaths", [1, 2])
def test_process_that_dies_of_a_question_is_started_anew_once(monkeypatch: pytest.MonkeyPatch, deaths: int) -> None:
    dying = [sys.executable, "-c", "input()"]
    commands = [*[dying] * deaths, child_processes.module_command("app.plots")]
    monkeypatch.setattr(child_processes, "module_command", lambda _: commands.pop(0))
    process = AnsweringProcess("app.plots", 60.0)
    try:
        if deaths == 1:
            assert "picture" in process.ask({}, PICTURE)
        else:
            with pytest.raises(NoAnswerError, match="ended before it answered"):
                process.ask({}, PICTURE)
    finally:
        process.close()
    assert len(commands) == deaths - 1


@pytest.mark.usefixtures("held")
def test_one_projects_pictures_leave_a_process_for_anothers() -> None:
    async def draw() -> None:
        processes = DrawingProcesses()
        flood = [asyncio.create_task(processes.draw("loud", str(n), lambda: b"loud", stays)) for n in range(20)]
        await until_asked(b"loud")
        quiet = asyncio.create_task(processes.draw("quiet", "", lambda: b"quiet", stays))
        await until_asked(b"quiet")
        assert Held.asked == [b"loud", b"quiet"]
        Held.release.set()
        assert await asyncio.gather(quiet, *flood) == [b""] * 21

    asyncio.run(asyncio.wait_for(draw(), 60))
    assert PROCESSES == 2


@pytest.mark.usefixtures("held")
def test_picture_is_not_drawn_for_a_connection_that_is_closed(tmp_path: Path, database_url: str) -> None:
    settings = Settings(data_dir=tmp_path / "data", database_url=database_url)
    application = create_app(settings)
    with served(settings, application) as http, ThreadPoolExecutor() as threads:
        paths = [f"/v1/experiments/{submit(http, name=name)}/plot.svg" for name in ("first", "second", "third")]
        first = threads.submit(http.get, paths[0])
        until(lambda: len(Held.asked) == 1)
        drawings = application.state.drawing._drawings["default"]  # noqa: SLF001 - that it waits
        with socket.create_connection((http.base_url.host, http.base_url.port)) as leaving:
            leaving.sendall(f"GET {paths[1]} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            until(lambda: len(drawings) == 2)
        third = threads.submit(http.get, paths[2])
        until(lambda: len(drawings) == 3)
        Held.release.set()
        assert (first.result().status_code, third.result().status_code) == (200, 200)
    assert [name for body in Held.asked for name in (b"first", b"second", b"third") if name in body] == [
        b"first", b"third",
    ]  # fmt: skip


def test_picture_that_takes_too_long_is_refused_and_the_next_is_drawn(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing_processes, "DRAWING_SECONDS", 0.01)
    application = create_app(Settings(data_dir=tmp_path / "data", database_url=database_url))
    with served(Settings(data_dir=tmp_path / "data", database_url=database_url), application) as http:
        path = f"/v1/experiments/{submit(http)}/plot.svg"
        refused = http.get(path)
        assert_problem(refused, 503)
        assert "the picture took more than" in refused.json()["detail"]
        for process in application.state.drawing._all:  # noqa: SLF001 - a limit that can be kept
            process._seconds = 60.0  # noqa: SLF001
        assert http.get(path).status_code == 200


def test_picture_that_cannot_be_drawn_is_said_and_the_process_goes_on() -> None:
    process = AnsweringProcess("app.plots", 60.0)
    try:
        answer = process.ask({}, b'{"kind": "curves", "title": 7}')
        assert answer["error"].startswith("ValidationError")
        child = process._process  # noqa: SLF001 - that it is the same one
        answer = process.ask({}, PICTURE)
        assert answer["picture"]
        assert process._process is child  # noqa: SLF001
    finally:
        process.close()


def test_process_that_was_killed_is_started_again() -> None:
    process = AnsweringProcess("app.plots", 60.0)
    try:
        assert process.ask({}, PICTURE)
        child = process._process  # noqa: SLF001 - as the kernel would kill it
        assert child is not None
        child.kill()
        child.wait()
        assert process.ask({}, PICTURE)
    finally:
        process.close()
    assert process._process is None  # noqa: SLF001 - nothing is left behind


def test_drawing_process_has_one_thread_of_openblas() -> None:
    """Threads reserve addresses, and the process is limited in these: on 48 cores it could not start."""
    processes = DrawingProcesses()
    try:
        process = processes._all[0]  # noqa: SLF001 - its environment
        assert process._environment == {"OPENBLAS_NUM_THREADS": "1"}  # noqa: SLF001
    finally:
        processes.close()
