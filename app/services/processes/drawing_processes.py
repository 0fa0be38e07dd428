"""The processes that draw pictures on behalf of the API, so that none of them can hold it up."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from anyio import from_thread

from app.services.fair_turns import FairTurns
from models.child_processes import AnsweringProcess, NoAnswerError
from models.errors import PlotUnavailableError

PROCESSES = 2
DRAWING_SECONDS = 20.0
"""Timeout of a plot, in seconds; the first of a process also loads Matplotlib."""

WAITING_AT_MOST = 32
"""Number of pictures of one project that wait or are drawn."""

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Environment of a process: each thread of OpenBLAS reserves 40 MB of addresses, 2 GB on a machine of 48 cores."""


HasLeft = Callable[[], Awaitable[bool]]
"""Returns True if a client has closed its connection."""


@dataclass
class _Drawing:
    """A picture that waits or is being drawn, for all who asked for it."""

    viewers: list[HasLeft] = field(default_factory=list)
    task: asyncio.Task[bytes] | None = None

    async def is_wanted(self) -> bool:
        """Return True if a client still waits for it."""
        for has_left in self.viewers:
            if not await has_left():
                return True
        return False


class DrawingProcesses:
    """Draws some pictures at a time, and one of each project."""

    def __init__(self) -> None:
        self._idle = [AnsweringProcess("app.plots", DRAWING_SECONDS, _ONE_THREAD) for _ in range(PROCESSES)]
        self._all = list(self._idle)
        self._turns = FairTurns(PROCESSES)
        self._drawings: dict[str, dict[str, _Drawing]] = {}

    async def draw(self, project: str, etag: str, select: Callable[[], bytes], has_left: HasLeft) -> bytes:
        """Draw a picture, once for all who ask for it at a time.

        Args:
            project: who asks for it.
            etag: identifies the picture within its project.
            select: reads what to draw: a `Picture` as JSON. Called in a thread, when the picture's turn has come.
            has_left: a picture that no client waits for when its turn has come is not drawn.

        Raises:
            PlotUnavailableError: it takes too long, or too much memory; or too many of the project's are waiting.
        """
        drawings = self._drawings.setdefault(project, {})
        drawing = drawings.get(etag)
        if drawing is None:
            if len(drawings) >= WAITING_AT_MOST:
                raise PlotUnavailableError(f"{len(drawings)} plots of this project are waiting; ask again soon")
            drawing = drawings[etag] = _Drawing()
            drawing.task = asyncio.create_task(self._draw_wanted(project, etag, drawing, select))
            drawing.task.add_done_callback(lambda _: self._forget(project, etag, drawing))
        drawing.viewers.append(has_left)
        assert drawing.task is not None  # noqa: S101 - for mypy
        return await asyncio.shield(drawing.task)  # others wait for it too

    async def _draw_wanted(self, project: str, etag: str, drawing: _Drawing, select: Callable[[], bytes]) -> bytes:
        async def is_wanted() -> bool:
            if await drawing.is_wanted():
                return True
            self._forget(project, etag, drawing)  # before another client could join it
            return False

        def draw() -> bytes:
            if not from_thread.run(is_wanted):
                raise PlotUnavailableError("every client that asked for this plot has left")
            return self._draw(select)

        return await self._turns.run(project, draw)

    def _forget(self, project: str, etag: str, drawing: _Drawing) -> None:
        if self._drawings[project].get(etag) is drawing:
            del self._drawings[project][etag]

    def _draw(self, select: Callable[[], bytes]) -> bytes:
        process = self._idle.pop()
        try:
            process.start()
            answer = process.ask({}, select())
        except NoAnswerError as error:
            if not error.is_late:
                raise PlotUnavailableError(f"the picture could not be drawn: {error}; ask again soon") from None
            raise PlotUnavailableError(
                f"the picture took more than {DRAWING_SECONDS:g} s; ask for one metric, or for fewer trials"
            ) from None
        finally:
            self._idle.append(process)
        if "error" in answer:
            raise PlotUnavailableError(f"the picture could not be drawn: {answer['error']}")
        return base64.b64decode(answer["picture"])

    def close(self) -> None:
        """End the processes, whatever they draw."""
        for process in self._all:
            process.close()
