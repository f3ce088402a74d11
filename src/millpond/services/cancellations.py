"""Ending jobs before their time (compat facts, flows 2.10 and 3.7)."""

from uuid import UUID

from millpond.base.errors import NotFound, PermissionDenied
from millpond.model.actors import Actor
from millpond.model.jobs import Cancellation
from millpond.services.authorization import authorize
from millpond.services.job_access import Lineage, require_change_job
from millpond.services.job_endings import end_tree
from millpond.store.pool import Database

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
        if await self._cancel(actor, job_id, reason, force=force):
            return str(job_id)
        return f"queued job id {job_id} is already completed"

    async def abandon(self, actor: Actor, job_id: UUID, launched: str) -> None:
        """Cancel a job whose launcher went away while it waited; needs no more than launching did."""
        authorize(actor, "jobs", "run", launched)
        await self._cancel(actor, job_id, "http connection broke", force=False)

    async def cancel_selection(self, actor: Actor, job_ids: list[UUID], *, force: bool) -> list[UUID]:
        """Cancel several; the ids of those that were in the queue, and that the actor may cancel."""
        authorize(actor, "jobs", "write")
        ended = []
        for job_id in job_ids:
            try:
                if await self._cancel(actor, job_id, "cancel all", force=force):
                    ended.append(job_id)
            except (NotFound, PermissionDenied):
                continue
        return ended

    async def _cancel(self, actor: Actor, job_id: UUID, reason: str | None, *, force: bool) -> bool:
        why = Cancellation(actor.username, reason or DEFAULT_REASON)
        async with self._database.transaction() as transaction:
            try:
                line = await require_change_job(transaction, actor, job_id)
            except NotFound:
                raise NotFound(f"queued job id {job_id} does not exist") from None
            return await end_tree(
                transaction, actor.workspace_id, _target(line, job_id, force=force), why, force=force
            )


def _target(line: Lineage, job_id: UUID, *, force: bool) -> UUID:
    """What is ended: the job, or, when a step is to be ended by force, the outermost flow it belongs to."""
    if not force or not line[0].is_step:
        return job_id
    return next((job.id for job in line if not job.is_step), job_id)
