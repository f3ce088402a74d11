"""Waiting for conditions: the only way the chaos tests wait."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_SECS = 0.05


async def eventually(condition: Callable[[], Awaitable[T]], timeout_secs: float, what: str) -> T:
    """The first true value of `condition`. Raises AssertionError naming `what` and the last value after the timeout."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + timeout_secs
    while not (value := await condition()):
        if loop.time() >= give_up:
            raise AssertionError(f"Not within {timeout_secs:g} s: {what} (at last {value!r})")
        await asyncio.sleep(LOOK_EVERY_SECS)
    return value
