"""Ending jobs before their time (compat facts, flows 2.10 and 3.7)."""

from uuid import UUID

from millpond.base.errors import NotFound
from millpond.model.actors import Actor
from millpond.model.jobs import Cancellation
from millpond.model.results import canceled_result
from millpond.services.authorization import authorize
from millpond.services.jobs import require_access
from millpond.store import jobs as job_store
from millpond.store import queue as store
from millpond.store.pool import Database, Transaction

DEFAULT_REASON = "unexplicited reasons"


class Cancellations:
    """Use cases that cancel."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cancel(self, actor: Actor, job_id: UUID, reason: str | None, *, force: bool = False) -> str:
        """Cancel a job and its children; the message clients show.

        A waiting job ends at once. A running one is killed by its worker; `force` ends it without waiting for that.
        Raises NotFound, PermissionDenied.
        """
        authorize(actor, "jobs", "write", str(job_id))
        why = Cancellation(actor.username, reason or DEFAULT_REASON)
        async with self._database.transaction() as transaction:
            access = await job_store.get_access(transaction, actor.workspace_id, job_id)
            if access is None:
                raise NotFound(f"queued job id {job_id} does not exist")
            require_access(actor, job_id, access, to_change=True)
            below = await store.children_of(transaction, actor.workspace_id, job_id)
            ended = await self._end(transaction, actor.workspace_id, job_id, why, force=force)
            for child in below:
                await self._end(transaction, actor.workspace_id, child, why, force=force)
        return str(job_id) if ended else f"queued job id {job_id} is already completed"

    async def cancel_selection(self, actor: Actor, job_ids: list[UUID], *, force: bool) -> list[UUID]:
        """Cancel several; the ids of those that were still in the queue. Raises PermissionDenied, NotFound."""
        authorize(actor, "jobs", "write")
        return [
            job_id
            for job_id in job_ids
            if await self.cancel(actor, job_id, "cancel all", force=force) == str(job_id)
        ]

    async def _end(
        self, transaction: Transaction, workspace_id: str, job_id: UUID, why: Cancellation, *, force: bool
    ) -> bool:
        result = canceled_result(why.by, why.reason)
        if await store.cancel_queued(transaction, workspace_id, job_id, result, why):
            return True
        if force:
            return await store.take_over_running(transaction, workspace_id, job_id, result, why)
        return await store.flag_running(transaction, workspace_id, job_id, why)
