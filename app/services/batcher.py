"""Batches concurrent requests: what is asked while one call runs is answered by the next."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
T = TypeVar("T")


def read_exception(task: "asyncio.Future[Any]") -> None:
    """Read how a task ended, as those who asked for it may all have gone: asyncio would log a traceback."""
    if not task.cancelled():
        task.exception()


class Batcher(Generic[Item, Answer]):
    """Calls a blocking function, one call at a time, with all items asked meanwhile; for one event loop."""

    def __init__(
        self, answer: Callable[[Sequence[Item]], Sequence[Answer | Exception]], name: str, max_items: int
    ) -> None:
        """Set up.

        Args:
            answer: returns an answer for each item, or the exception for the one who asked.
            name: of its thread.
            max_items: maximum number of items per call.
        """
        self._answer, self._max_items = answer, max_items
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._running: asyncio.Task[None] | None = None
        self._is_closed = False

    async def ask(self, item: Item) -> Answer:
        """Return the answer for an item. A caller that is cancelled takes nothing back.

        Raises:
            RuntimeError: this batcher is closed.
        """
        if self._is_closed:
            raise RuntimeError("the service is shutting down")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await asyncio.shield(future)

    async def run(self, function: Callable[[Sequence[Item]], T], items: Sequence[Item]) -> T:
        """Call a function in the thread of the batches, between two of them."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, items)

    def close(self, *, wait: bool) -> None:
        """Take no more items; with `wait`, finish the running call."""
        self._is_closed = True
        self._thread.shutdown(wait=wait, cancel_futures=not wait)

    async def _run(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[: self._max_items], self._waiting[self._max_items :]
                await self._answer_group(group)
        finally:
            self._running = None

    async def _answer_group(self, group: Sequence[tuple[Item, "asyncio.Future[Answer]"]]) -> None:
        try:
            answers = await self.run(self._answer, [item for item, _ in group])
            pairs = list(zip((future for _, future in group), answers, strict=True))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whoever asked gets it
            fault = error if isinstance(error, Exception) else RuntimeError("the service is shutting down")
            pairs = [(future, fault) for _, future in group]
        for future, answer in pairs:
            if isinstance(answer, Exception):
                future.set_exception(answer)
                read_exception(future)
            else:
                future.set_result(answer)
