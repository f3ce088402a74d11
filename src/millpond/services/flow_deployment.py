"""Saving a flow: a new version, its place, and the job that locks its code, in one transaction."""

from uuid import UUID

from millpond.base.errors import Conflict, NotFound
from millpond.base.ids import new_job_id
from millpond.model.actors import Actor
from millpond.model.flow_documents import NewFlow, PreparedFlow
from millpond.model.jobs import NewJob
from millpond.services.authorization import authorize, require_owner, require_write
from millpond.services.dependency_jobs import DEPENDENCY_TAG
from millpond.services.flow_preparation import prepare
from millpond.store import flows as store
from millpond.store import queue as queue_store
from millpond.store.pool import Database, Transaction


class FlowDeployment:
    """The use cases of deploying."""

    def __init__(self, database: Database, languages: frozenset[str]) -> None:
        self._database = database
        self._languages = languages

    async def create(self, actor: Actor, new: NewFlow) -> None:
        """Store the first version of a path. Raises InvalidInput, Conflict when the path is taken, PermissionDenied."""
        authorize(actor, "flows", "write", new.path)
        flow = prepare(actor, new, self._languages)
        require_write(actor, "flow", flow.path, {})
        job_id = _lock_job_id(flow)
        async with self._database.transaction() as transaction:
            version = await store.insert_flow(transaction, actor, flow, job_id)
            if version is None:
                raise _taken(flow.path)
            await _push_lock_job(transaction, actor, flow, version, job_id)

    async def update(self, actor: Actor, path: str, new: NewFlow) -> None:
        """Store the next version of a flow, which is then in use, and move it when `new` names another path.

        History, permissions and stars move along. Raises InvalidInput, NotFound, Conflict when the new path is
        taken, PermissionDenied.
        """
        authorize(actor, "flows", "write", path)
        flow = prepare(actor, new, self._languages)
        job_id = _lock_job_id(flow)
        async with self._database.transaction() as transaction:
            extra_perms = await store.lock_flow(transaction, actor.workspace_id, path)
            if extra_perms is None:
                raise NotFound(f"Flow {path} not found")
            require_write(actor, "flow", path, extra_perms)
            if flow.path != path:
                await _move(transaction, actor, path, flow.path)
            version = await store.insert_version(transaction, actor, flow, job_id)
            await _push_lock_job(transaction, actor, flow, version, job_id)


async def _move(transaction: Transaction, actor: Actor, path: str, new_path: str) -> None:
    authorize(actor, "flows", "write", new_path)
    require_owner(actor, "flow", path)
    require_write(actor, "flow", new_path, {})
    if await store.flow_exists(transaction, actor.workspace_id, new_path):
        raise _taken(new_path)
    await store.move_flow(transaction, actor.workspace_id, path, new_path)


def _lock_job_id(flow: PreparedFlow) -> UUID | None:
    return new_job_id() if flow.to_lock else None


async def _push_lock_job(
    transaction: Transaction, actor: Actor, flow: PreparedFlow, version: int, job_id: UUID | None
) -> None:
    """Have the steps without a lock resolved, when there are some: until then runs resolve them themselves."""
    if job_id is None:
        return
    job = NewJob(
        id=job_id,
        workspace_id=actor.workspace_id,
        kind="flowdependencies",
        args="{}",
        tag=DEPENDENCY_TAG,
        created_by=actor.username,
        permissioned_as=actor.permissioned_as,
        email=actor.email,
        runnable_path=flow.path,
        flow_version=version,
    )
    await queue_store.push_jobs(transaction, [job])


def _taken(path: str) -> Conflict:
    return Conflict(f"Flow {path} already exists")
