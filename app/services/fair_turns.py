"""Work that takes long, a limited number at a time and one of each project."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

P = ParamSpec("P")
T = TypeVar("T")


class FairTurns:
    """Runs functions in threads of its own. A project has one turn at a time; a waiting request holds no thread."""

    def __init__(self, at_once: int) -> None:
        """Args: at_once: number of functions that run at a time."""
        self._all = CapacityLimiter(at_once)
        self._of_project: dict[str, CapacityLimiter] = {}

    async def run(self, project: str, function: Callable[[], T]) -> T:
        """Run a function when its project's turn has come."""
        async with self._of_project.setdefault(project, CapacityLimiter(1)):
            return await to_thread.run_sync(function, limiter=self._all)
