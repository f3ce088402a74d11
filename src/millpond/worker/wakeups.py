"""What wakes a worker: jobs pushed, and cancellations asked for. Losing one costs time, never a job."""

import asyncio
from typing import get_args

from millpond.model.jobs import Lane
from millpond.store.pool import Database


class Wakeups:
    """One event a lane, and a call for cancellations."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lanes: dict[str, asyncio.Event] = {lane: asyncio.Event() for lane in get_args(Lane)}
        self.cancellation = asyncio.Event()

    def event(self, lane: Lane) -> asyncio.Event:
        """Set when something may be claimed from the lane."""
        return self._lanes[lane]

    def wake_all(self) -> None:
        """Let every claim loop look around."""
        for event in self._lanes.values():
            event.set()

    async def run(self) -> None:
        """Listen until cancelled."""
        async with asyncio.TaskGroup() as listeners:
            listeners.create_task(
                self._database.listen("millpond_queue", self._pushed), name="listen for jobs"
            )
            listeners.create_task(
                self._database.listen("millpond_cancel", self._cancelled), name="listen for cancellations"
            )

    def _pushed(self, lane: str) -> None:
        event = self._lanes.get(lane)
        if event is None:
            self.wake_all()
        else:
            event.set()

    def _cancelled(self, _: str) -> None:
        self.cancellation.set()
