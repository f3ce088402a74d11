"""Who may see and change a job: whoever started it, owns what it runs, or may do so with a job above it."""

from uuid import UUID

from millpond.base.errors import NotFound, PermissionDenied
from millpond.model.actors import Actor
from millpond.model.permissions import can_read, can_write
from millpond.store import jobs as store
from millpond.store.jobs import JobAccess
from millpond.store.pool import Transaction

Lineage = list[JobAccess]
"""A job, then the jobs it was started by, nearest first."""


async def require_read_job(connection: Transaction, actor: Actor, job_id: UUID) -> Lineage:
    """The job and those above it. Raises NotFound; PermissionDenied unless the actor may see one of them.

    A running job besides sees itself, all below it, and all it was started by.
    """
    line = await _lineage(connection, actor, job_id)
    if _allows(actor, line, to_change=False) or await _stands_below(connection, actor, job_id):
        return line
    raise _denied(actor, line)


async def require_change_job(connection: Transaction, actor: Actor, job_id: UUID) -> Lineage:
    """The same for changes: of a job, or of anything below it. A running job may change itself and all below it."""
    line = await _lineage(connection, actor, job_id)
    if not _allows(actor, line, to_change=True):
        raise _denied(actor, line)
    return line


async def _lineage(connection: Transaction, actor: Actor, job_id: UUID) -> Lineage:
    line = await store.get_lineage(connection, actor.workspace_id, job_id)
    if not line:
        raise NotFound(f"Job not found: {job_id}")
    return line


async def _stands_below(connection: Transaction, actor: Actor, job_id: UUID) -> bool:
    if actor.job is None:
        return False
    own = await store.get_lineage(connection, actor.workspace_id, actor.job.job_id)
    return any(above.id == job_id for above in own)


def _allows(actor: Actor, line: Lineage, *, to_change: bool) -> bool:
    return actor.is_admin or any(_allows_one(actor, job, to_change=to_change) for job in line)


def _allows_one(actor: Actor, job: JobAccess, *, to_change: bool) -> bool:
    if job.created_by == actor.username or (actor.job is not None and actor.job.job_id == job.id):
        return True
    if not job.visible_to_owner or job.runnable_path is None:
        return False
    may = can_write if to_change else can_read
    return may(actor, job.runnable_path, {})


def _denied(actor: Actor, line: Lineage) -> PermissionDenied:
    return PermissionDenied(
        f"Job {line[0].id} was started by {line[0].created_by}; {actor.username} has no access to it"
    )
