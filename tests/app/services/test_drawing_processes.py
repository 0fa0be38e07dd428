"""Pictures are drawn in processes that cannot hold up the API, or another project."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.main import create_app
from app.plots.pictures import Curve, CurvesPicture, write_picture
from app.services import drawing_processes
from app.services.drawing_processes import PROCESSES, DrawingProcesses
from models.child_processes import AnsweringProcess
from models.settings import Settings
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


def test_one_projects_pictures_leave_a_process_for_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    Held.asked, Held.release = [], threading.Event()
    monkeypatch.setattr(drawing_processes, "AnsweringProcess", Held)

    async def draw() -> None:
        processes = DrawingProcesses()
        flood = [asyncio.create_task(processes.draw("loud", lambda: b"loud")) for _ in range(20)]
        while b"loud" not in Held.asked:  # noqa: ASYNC110 - a thread says it
            await asyncio.sleep(0.001)
        quiet = asyncio.create_task(processes.draw("quiet", lambda: b"quiet"))
        while b"quiet" not in Held.asked:  # noqa: ASYNC110 - a thread says it
            await asyncio.sleep(0.001)
        assert Held.asked == [b"loud", b"quiet"]
        Held.release.set()
        assert await asyncio.gather(quiet, *flood) == [b""] * 21

    asyncio.run(asyncio.wait_for(draw(), 60))
    assert PROCESSES == 2


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
        assert answer is not None
        assert answer["error"].startswith("ValidationError")
        child = process._process  # noqa: SLF001 - that it is the same one
        answer = process.ask({}, PICTURE)
        assert answer is not None
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
