"""The processes that draw pictures on behalf of the API, so that none of them can hold it up."""

import base64
from collections.abc import Callable

from anyio import CapacityLimiter, to_thread

from models.child_processes import AnsweringProcess
from models.errors import PlotUnavailableError

PROCESSES = 2
DRAWING_SECONDS = 20.0
"""Timeout of a plot, in seconds; the first of a process also loads Matplotlib."""

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Environment of a process: each thread of OpenBLAS reserves 40 MB of addresses, 2 GB on a machine of 48 cores."""


class DrawingProcesses:
    """Draws some pictures at a time, and one of each project. Who waits for one keeps no thread."""

    def __init__(self) -> None:
        self._idle = [AnsweringProcess("app.plots", DRAWING_SECONDS, _ONE_THREAD) for _ in range(PROCESSES)]
        self._all = list(self._idle)
        self._processes = CapacityLimiter(PROCESSES)
        self._turns: dict[str, CapacityLimiter] = {}

    async def draw(self, project: str, select: Callable[[], bytes]) -> bytes:
        """Draw a picture.

        Args:
            project: who asks for it.
            select: reads what to draw: a `Picture` as JSON. Called in a thread, when the picture's turn has come.

        Raises:
            PlotUnavailableError: it takes too long, or too much memory.
        """
        turn = self._turns.setdefault(project, CapacityLimiter(1))

        def make() -> bytes:
            process = self._idle.pop()
            try:
                process.start()
                answer = process.ask({}, select())
            finally:
                self._idle.append(process)
            if answer is None:
                raise PlotUnavailableError(
                    f"the picture took more than {DRAWING_SECONDS:g} s; ask for one metric, or for fewer trials"
                )
            if "error" in answer:
                raise PlotUnavailableError(f"the picture could not be drawn: {answer['error']}")
            return base64.b64decode(answer["picture"])

        async with turn:
            return await to_thread.run_sync(make, limiter=self._processes)

    def close(self) -> None:
        """End the processes, whatever they draw."""
        for process in self._all:
            process.close()
