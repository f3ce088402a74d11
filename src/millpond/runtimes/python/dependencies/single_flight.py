"""One run of a piece of work for all who ask for it at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class _Flight(Generic[Result]):
    def __init__(self, task: asyncio.Task[Result]) -> None:
        self.task = task
        self.waiting = 0


class SingleFlight(Generic[Result]):
    """Shares running work by key. Nothing is remembered once it has ended."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[Result]] = {}

    async def run(self, key: str, start: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result, or the error, of the run under `key`, started unless one is under way.

        The run is cancelled, and awaited, when the last of those waiting for it is cancelled.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = _Flight(asyncio.create_task(start(), name=f"shared:{key[:16]}"))
            self._flights[key] = flight
            flight.task.add_done_callback(lambda _: self._end(key, flight))
        flight.waiting += 1
        try:
            await asyncio.wait([flight.task])
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                # Forgotten first: who comes now starts anew instead of joining a dying run.
                self._land(key, flight)
                flight.task.cancel()
                await asyncio.wait([flight.task])
        return flight.task.result()

    def _end(self, key: str, flight: _Flight[Result]) -> None:
        self._land(key, flight)
        if not flight.task.cancelled():
            # Looked at here, as all who waited for it may have been cancelled.
            flight.task.exception()

    def _land(self, key: str, flight: _Flight[Result]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
