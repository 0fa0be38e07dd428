"""Batches of concurrent requests."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from app.services.batcher import Batcher


class Doubler:
    """A blocking function that records its calls, the first of which waits."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.began, self.may_end = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.calls.append(list(numbers))
        if len(self.calls) == 1:
            self.began.set()
            assert self.may_end.wait(30)
        if 13 in numbers:
            raise ConnectionError("the database is gone")
        return [ValueError("negative") if number < 0 else 2 * number for number in numbers]


async def ask_during_first_call(batcher: Batcher[int, int], double: Doubler, numbers: Sequence[int]) -> list[object]:
    first = asyncio.create_task(batcher.ask(1))
    await asyncio.to_thread(double.began.wait, 30)
    others = [asyncio.create_task(batcher.ask(number)) for number in numbers]
    await asyncio.sleep(0)  # they have asked now
    double.may_end.set()
    return list(await asyncio.gather(first, *others, return_exceptions=True))


def test_items_asked_during_a_call_share_the_next_one() -> None:
    double = Doubler()
    batcher = Batcher(double, "doubler", max_items=3)
    answers = asyncio.run(ask_during_first_call(batcher, double, [2, 3, 4, 5]))
    assert answers == [2, 4, 6, 8, 10]
    assert double.calls == [[1], [2, 3, 4], [5]]
    batcher.close(wait=True)


def test_exception_for_one_item_leaves_the_others_answered() -> None:
    double = Doubler()
    batcher = Batcher(double, "doubler", max_items=10)
    one, two, negative = asyncio.run(ask_during_first_call(batcher, double, [2, -1]))
    assert (one, two) == (2, 4)
    assert isinstance(negative, ValueError)


def test_failed_call_raises_for_all_its_items_and_the_next_call_runs() -> None:
    double = Doubler()
    batcher = Batcher(double, "doubler", max_items=2)
    answers = asyncio.run(ask_during_first_call(batcher, double, [13, 2, 3]))
    assert answers[0] == 2
    assert [type(answer) for answer in answers[1:3]] == [ConnectionError, ConnectionError]
    assert answers[3] == 6


def test_cancelled_caller_takes_nothing_back() -> None:
    double = Doubler()
    batcher = Batcher(double, "doubler", max_items=10)

    async def leave() -> int:
        gone = asyncio.create_task(batcher.ask(1))
        await asyncio.to_thread(double.began.wait, 30)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        double.may_end.set()
        return await batcher.ask(2)

    assert asyncio.run(leave()) == 4
    assert double.calls == [[1], [2]]


def test_wrong_number_of_answers_raises_and_the_next_call_runs() -> None:
    calls: list[int] = []

    def answer(numbers: Sequence[int]) -> list[int | Exception]:
        calls.append(len(numbers))
        return list(numbers[1:] if len(calls) == 1 else numbers)

    async def ask() -> int:
        batcher = Batcher(answer, "wrong", max_items=10)
        with pytest.raises(ValueError, match="zip"):
            await batcher.ask(1)
        return await batcher.ask(2)

    assert asyncio.run(ask()) == 2


def test_close_fails_waiting_items_and_refuses_new_ones() -> None:
    double = Doubler()

    async def close() -> list[object]:
        batcher = Batcher(double, "doubler", max_items=1)
        asked = [asyncio.create_task(batcher.ask(number)) for number in (1, 2)]
        await asyncio.to_thread(double.began.wait, 30)
        batcher.close(wait=False)
        double.may_end.set()
        found = list(await asyncio.gather(*asked, return_exceptions=True))
        with pytest.raises(RuntimeError, match="shutting down"):
            await batcher.ask(3)
        return found

    first, second = asyncio.run(close())
    assert first == 2
    assert isinstance(second, RuntimeError)
