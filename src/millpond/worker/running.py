"""A job in a slot: its task, and why it was ended if it was."""

import asyncio
import time

from millpond.model.jobs import Cancellation, Claim
from millpond.worker.execution import Ending, canceled_completion


class RunningJob:
    """A claimed job while its process runs."""

    def __init__(self, claim: Claim, task: asyncio.Task[Ending]) -> None:
        self.claim = claim
        self.claimed_at = time.monotonic()
        self._task = task
        self._cancellation: Cancellation | None = None
        self._abandoned = False

    def cancel(self, why: Cancellation) -> None:
        """Kill the process; the job ends cancelled."""
        if self._cancellation is None and not self._abandoned:
            self._cancellation = why
            self._task.cancel()

    def abandon(self) -> None:
        """Kill the process and record nothing: the claim is somebody else's by now, or goes back to the queue."""
        if not self._abandoned:
            self._abandoned = True
            self._task.cancel()

    async def ended(self) -> Ending | None:
        """How the job ended; None when it was abandoned."""
        try:
            ending = await self._task
        except asyncio.CancelledError:
            if self._abandoned:
                return None
            if self._cancellation is not None:
                return Ending(
                    canceled_completion(self.claim, self._cancellation), lock_error=self._cancellation.reason
                )
            self._task.cancel()
            raise
        return None if self._abandoned else ending
