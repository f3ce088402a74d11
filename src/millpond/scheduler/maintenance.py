"""Maintenance ticks of the leader: rescue of dead workers' jobs, partitions, forgetting what has expired."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from millpond.base.log import get_logger
from millpond.services.pinned_jobs import PinnedJobs
from millpond.services.queue import Queue
from millpond.store import concurrency, deletions, job_secrets, result_cache, shared_directories
from millpond.store import instance as instance_store
from millpond.store.pool import Database

log = get_logger()

# One more than the keys of `store/migrate.py` and of `lock_settings`: those must never wait for a leader.
LEADER_KEY = 0x4D494C4E
TICK_SECS = 2.0
LEADER_RETRY_SECS = 5.0
PINS_EVERY_SECS = 5.0
PARTITIONS_EVERY_SECS = 3600.0
CLEANING_EVERY_SECS = 300.0
RETRY_SECS = 30.0
BATCH = 1000
"""Rows forgotten in one transaction: what others wait for is never held long."""


class Maintenance:
    """Runs on every server; works on the one that leads. All of it is safe when two lead for a moment."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue
        self._pinned_jobs = PinnedJobs(database)
        self._due: dict[str, float] = {}

    async def run(self) -> None:
        """Tick until cancelled; a tick that fails is logged, and the next comes all the same."""
        while True:
            try:
                async with self._database.session_lock(LEADER_KEY) as leads:
                    while leads:
                        await self._tick()
                        await asyncio.sleep(TICK_SECS)
            except Exception as error:  # noqa: BLE001  # the door of a maintenance tick
                log.warning("maintenance_tick_failed", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(LEADER_RETRY_SECS)

    async def _tick(self) -> None:
        await self._queue.rescue()
        await self._every(PINS_EVERY_SECS, "pins", self._move_lost_pins)
        await self._every(TICK_SECS, "deletions", self._wipe_due)
        await self._every(PARTITIONS_EVERY_SECS, "partitions", self._make_partitions)
        await self._every(CLEANING_EVERY_SECS, "job secrets", self._forget_job_secrets)
        await self._every(CLEANING_EVERY_SECS, "limits", self._forget_past_limits)

    async def _every(self, seconds: float, name: str, work: Callable[[], Awaitable[None]]) -> None:
        now = time.monotonic()
        if now < self._due.get(name, 0):
            return
        # What fails is tried again soon, and does not keep the other duties from their turn meanwhile.
        self._due[name] = now + RETRY_SECS
        await work()
        self._due[name] = now + seconds

    async def _move_lost_pins(self) -> None:
        await self._pinned_jobs.move_lost()

    async def _make_partitions(self) -> None:
        await instance_store.ensure_partitions(self._database)

    async def _forget_job_secrets(self) -> None:
        async with self._database.statement() as connection:
            await job_secrets.delete_of_ended_jobs(connection)

    async def _wipe_due(self) -> None:
        more = True
        while more:
            async with self._database.transaction() as transaction:
                more = await deletions.wipe_due(transaction) == deletions.BATCH

    async def _forget_past_limits(self) -> None:
        for delete in (result_cache.delete_expired, concurrency.delete_past, shared_directories.delete_ended):
            more = True
            while more:
                async with self._database.statement() as connection:
                    more = await delete(connection, BATCH) == BATCH
