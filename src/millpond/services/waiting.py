"""Waiting for jobs to end: one listener a process, any number of waiters."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

from millpond.base.errors import WaitTimedOut
from millpond.model.actors import Actor
from millpond.services.authorization import authorize
from millpond.store import jobs as store
from millpond.store.jobs import StoredResult
from millpond.store.pool import Database

LOOK_EVERY_SECS = 2.0


class CompletionWatch:
    """Tells waiters of this process that a job has ended. Notifications only wake: every waiter looks for itself too."""

    def __init__(self, database: Database, on_completed: Callable[[UUID], None]) -> None:
        self._database = database
        self._on_completed = on_completed
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._database.listen("millpond_completed", self._receive)

    async def wait(self, actor: Actor, job_id: UUID, launched: str, timeout_secs: float) -> StoredResult:
        """How a job ended that the actor has just launched, once it has, or a flow's early result.

        Raises WaitTimedOut; the job goes on.
        `launched` names what it runs, as launching does (`scripts:<path>`): who may run it may have its result.
        """
        authorize(actor, "jobs", "run", launched)
        woken = asyncio.Event()
        self._waiting[job_id].add(woken)
        try:
            async with asyncio.timeout(timeout_secs):
                while True:
                    async with self._database.statement() as connection:
                        stored = await store.get_answer(connection, actor.workspace_id, job_id)
                    if stored is not None:
                        return stored
                    with suppress(TimeoutError):
                        await asyncio.wait_for(woken.wait(), LOOK_EVERY_SECS)
                    woken.clear()
        except TimeoutError:
            raise WaitTimedOut(f"timeout after {timeout_secs:g}s") from None
        finally:
            self._waiting[job_id].discard(woken)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    def _receive(self, payload: str) -> None:
        # An empty payload follows a (re)connect: anything may have ended meanwhile.
        ended = [UUID(text) for text in payload.split(",")] if payload else list(self._waiting)
        for job_id in ended:
            if payload:
                self._on_completed(job_id)
            for woken in self._waiting.get(job_id, ()):
                woken.set()
