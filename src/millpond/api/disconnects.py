"""Notices a client that goes away while it waits for an answer."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from litestar import Request

T = TypeVar("T")


async def while_connected(request: Request[Any, Any, Any], answer: Coroutine[Any, Any, T]) -> T | None:
    """The awaited answer, or None when the client closed its connection first. Raises what the answer raises.

    The body must have been read before.
    """
    answering = asyncio.create_task(answer, name="answer")
    leaving = asyncio.create_task(_left(request), name="client leaves")
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await answering if answering.done() else None
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


async def _left(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
