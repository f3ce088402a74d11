"""What steps of a flow tell each other: values by key, kept with the outermost flow (compat facts, storage 4.1).

Any job of the flow's tree names the flow. Written while the flow runs, readable for as long as its job is kept.
"""

from uuid import UUID

import msgspec

from millpond.base.errors import NotFound
from millpond.model.actors import Actor
from millpond.model.flow_user_states import Number, check_key, check_size, raised
from millpond.model.jobs import FLOW_KINDS
from millpond.services.authorization import authorize
from millpond.services.job_access import Lineage, require_change_job, require_read_job
from millpond.store import flow_user_states as store
from millpond.store import jobs as job_store
from millpond.store.columns import raw
from millpond.store.pool import Database, Transaction

NOT_A_FLOW = "Flow job not found"


class FlowUserStates:
    """Use cases of flow user states."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, actor: Actor, job_id: UUID, key: str) -> str:
        """The value of a key, JSON text; `null` for a key, a job or a flow that is not there. Raises PermissionDenied."""
        authorize(actor, "jobs", "read", str(job_id))
        check_key(key)
        async with self._database.statement() as connection:
            try:
                flow_job = await _flow_of(connection, actor, job_id, to_change=False)
            except NotFound:
                return "null"
            return await store.get_value(connection, actor.workspace_id, flow_job, key) or "null"

    async def list_values(self, actor: Actor, job_id: UUID) -> dict[str, msgspec.Raw]:
        """All keys in order, with their values. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(job_id))
        async with self._database.statement() as connection:
            flow_job = await _flow_of(connection, actor, job_id, to_change=False)
            values = await store.list_values(connection, actor.workspace_id, flow_job)
        return {key: raw(value) for key, value in values.items()}

    async def set_value(self, actor: Actor, job_id: UUID, key: str, value: str) -> None:
        """Keep a value, JSON text, under a key; the last writer wins. Raises NotFound once the flow has ended."""
        authorize(actor, "jobs", "write", str(job_id))
        check_size(check_key(key), value)
        async with self._database.statement() as connection:
            flow_job = await _flow_of(connection, actor, job_id, to_change=True)
            if not await store.set_value(connection, actor.workspace_id, flow_job, key, value):
                raise _ended(flow_job)

    async def delete(self, actor: Actor, job_id: UUID, key: str) -> None:
        """Forget a key; no matter whether it was there. Raises NotFound once the flow has ended."""
        authorize(actor, "jobs", "write", str(job_id))
        check_key(key)
        async with self._database.transaction() as transaction:
            flow_job = await _running_flow_of(transaction, actor, job_id)
            await store.delete_value(transaction, actor.workspace_id, flow_job, key)

    async def increment(self, actor: Actor, job_id: UUID, key: str, by: Number) -> Number:
        """Raise a counter, which begins at 0, and return it; of two who do so at once neither is lost.

        Raises InvalidInput when the key holds no number, NotFound once the flow has ended.
        """
        authorize(actor, "jobs", "write", str(job_id))
        check_key(key)
        async with self._database.transaction() as transaction:
            flow_job = await _running_flow_of(transaction, actor, job_id)
            stored = await store.lock_value(transaction, actor.workspace_id, flow_job, key)
            total = raised(key, stored, by)
            text = msgspec.json.encode(total).decode()
            await store.set_value(transaction, actor.workspace_id, flow_job, key, text)
        return total


async def _running_flow_of(transaction: Transaction, actor: Actor, job_id: UUID) -> UUID:
    flow_job = await _flow_of(transaction, actor, job_id, to_change=True)
    if not await store.hold_flow(transaction, actor.workspace_id, flow_job):
        raise _ended(flow_job)
    return flow_job


async def _flow_of(connection: Transaction, actor: Actor, job_id: UUID, *, to_change: bool) -> UUID:
    """The outermost flow above a job, or the job itself. Raises NotFound when there is none, PermissionDenied."""
    line = await _own_line(connection, actor, job_id)
    if line is None:
        require = require_change_job if to_change else require_read_job
        try:
            line = await require(connection, actor, job_id)
        except NotFound:
            raise NotFound(NOT_A_FLOW) from None
    flows = [job.id for job in line if job.kind in FLOW_KINDS]
    if not flows:
        raise NotFound(NOT_A_FLOW)
    return flows[-1]


async def _own_line(connection: Transaction, actor: Actor, job_id: UUID) -> Lineage | None:
    """The line of the running job that asks, when the job asked for stands in it: a step may speak for its flow."""
    if actor.job is None:
        return None
    line = await job_store.get_lineage(connection, actor.workspace_id, actor.job.job_id)
    return line if any(job.id == job_id for job in line) else None


def _ended(flow_job: UUID) -> NotFound:
    return NotFound(f"{NOT_A_FLOW}: flow {flow_job} has ended, its user states can only be read")
