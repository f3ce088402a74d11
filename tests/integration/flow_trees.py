"""Flow jobs and their steps, put into the database as they stand at one moment: no worker takes part."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec

from millpond.base.ids import new_job_id
from millpond.engine.status import FlowStatus, initial_status
from millpond.model.jobs import Cancellation, JobKind, NewJob
from millpond.services.queue import Queue
from millpond.store import queue as store
from millpond.store.pool import Database
from millpond.store.queue import WorkerRegistration
from tests.conftest import Instance

Modules = Sequence[Mapping[str, Any]]


async def push(
    database: Database,
    kind: JobKind = "preview",
    *,
    by: str = "admin",
    parent: UUID | None = None,
    **facts: Any,
) -> UUID:
    """A job of any kind, waiting; its id. A child belongs to the root of its parent."""
    root = None if parent is None else await _root_of(database, parent)
    job = NewJob(
        id=new_job_id(),
        workspace_id="main",
        kind=kind,
        args="{}",
        tag="flow" if kind.startswith("flow") else "python3",
        created_by=by,
        permissioned_as=f"u/{by}",
        email="admin@localhost" if by == "admin" else f"{by}@example.com",
        parent_job=parent,
        root_job=root,
        step_place=facts.get("flow_step_id"),
        **facts,
    )
    async with database.transaction() as transaction:
        await store.push_jobs(transaction, [job])
    return job.id


async def push_flow(
    database: Database,
    modules: Modules = (),
    *,
    status: FlowStatus | None = None,
    kind: JobKind = "flowpreview",
    **facts: Any,
) -> UUID:
    """A flow that is tested, with where it stands; its id."""
    written = msgspec.json.encode({"modules": modules}).decode() if kind == "flowpreview" else None
    flow_job = await push(database, kind, raw_flow=written, **facts)
    await set_status(database, flow_job, status or initial_status(len(modules), preprocess=False))
    return flow_job


async def set_status(database: Database, flow_job: UUID, status: FlowStatus | None) -> None:
    """Move a flow to where it shall stand; None: it has not begun."""
    async with database.statement() as connection:
        await connection.execute(
            "INSERT INTO flow_status (workspace_id, job_id, status) VALUES ('main', $1, $2::json)"
            " ON CONFLICT (workspace_id, job_id) DO UPDATE SET status = excluded.status",
            flow_job,
            None if status is None else msgspec.json.encode(status).decode(),
        )
        await connection.execute("UPDATE job_queue SET state = 'waiting' WHERE job_id = $1", flow_job)


async def end(database: Database, job_id: UUID) -> None:
    """End a job."""
    async with database.transaction() as transaction:
        await store.end_canceled(transaction, "main", job_id, "{}", Cancellation("admin", "enough"))


async def token_of(instance: Instance, job_id: UUID) -> str:
    """Let a worker run a job; the job's token."""
    worker = WorkerRegistration(
        id=uuid4(),
        name=str(uuid4()),
        host="test",
        process_id=1,
        tags=[],
        slots=1,
        version="0",
        sandbox="none",
    )
    await Queue(instance.database).register(worker)
    async with instance.database.statement() as connection:
        await connection.execute("UPDATE job_queue SET tag = $2 WHERE job_id = $1", job_id, str(job_id))
        (claim,) = await store.claim_jobs(connection, worker.id, "process", [str(job_id)], 1, "none", None)
    return instance.services.identities.issue_job_token("main", job_id, claim.lease_token)


async def _root_of(database: Database, job_id: UUID) -> UUID:
    async with database.statement() as connection:
        return UUID(
            str(await connection.fetch_value("SELECT coalesce(root_job, id) FROM job WHERE id = $1", job_id))
        )
