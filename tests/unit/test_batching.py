"""Many small writes become few, and each caller hears how its own went."""

import asyncio
from collections.abc import Sequence

import pytest

from millpond.worker.batching import Batcher


class Writer:
    """Doubles numbers; refuses a batch that holds a negative one. It waits for `let_through`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.let_through = asyncio.Event()
        self.let_through.set()

    async def write(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.let_through.wait()
        if any(item < 0 for item in items):
            raise ValueError("negative")
        return [item * 2 for item in items]


async def test_a_lone_item_is_written_at_once() -> None:
    writer = Writer()
    batcher = Batcher(writer.write, most=10, name="test")
    assert await batcher.submit(1) == 2
    assert await batcher.submit(2) == 4
    assert writer.batches == [[1], [2]]


async def test_what_comes_during_a_write_goes_out_together() -> None:
    writer = Writer()
    writer.let_through.clear()
    batcher = Batcher(writer.write, most=3, name="test")
    first = asyncio.create_task(batcher.submit(0))
    await until(lambda: writer.batches == [[0]])
    others = [asyncio.create_task(batcher.submit(number)) for number in range(1, 6)]
    await until(lambda: len(batcher._pending) == 5)
    writer.let_through.set()
    assert await asyncio.gather(first, *others) == [0, 2, 4, 6, 8, 10]
    assert writer.batches == [[0], [1, 2, 3], [4, 5]]


async def test_a_failed_write_reaches_each_of_its_callers_and_no_other() -> None:
    writer = Writer()
    writer.let_through.clear()
    batcher = Batcher(writer.write, most=2, name="test")
    tasks = [asyncio.create_task(batcher.submit(number)) for number in (-1, 1, 2, 3)]
    await until(lambda: bool(writer.batches))
    writer.let_through.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError, ValueError, int, int]
    with pytest.raises(ValueError, match="negative"):
        await batcher.submit(-5)
    assert await batcher.submit(5) == 10


async def test_a_caller_that_gives_up_holds_nobody_up() -> None:
    writer = Writer()
    writer.let_through.clear()
    batcher = Batcher(writer.write, most=10, name="test")
    tasks = [asyncio.create_task(batcher.submit(number)) for number in (1, 2)]
    await until(lambda: bool(writer.batches))
    tasks[0].cancel()
    writer.let_through.set()
    assert await tasks[1] == 4
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]


async def until(holds: object) -> None:
    """Let other tasks run until the condition holds."""
    assert callable(holds)
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0)
