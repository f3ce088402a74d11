"""Flows whose steps share a directory, as rows a test writes and claims it plays; no flow runs."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from millpond.base.ids import new_job_id
from millpond.model.jobs import Claim, JobKind, NewJob
from millpond.store import queue as store
from millpond.store.pool import Database
from millpond.store.shared_directories import FlowKey

WORKSPACE = "main"


@dataclass
class SharedFlow:
    """A flow job in the queue."""

    database: Database
    job: NewJob

    @property
    def key(self) -> FlowKey:
        return FlowKey(WORKSPACE, self.job.id)

    def claim(self, step_id: str = "a", *, same_worker: bool = True) -> Claim:
        """A step of it, as a worker holds it."""
        return Claim(
            workspace_id=WORKSPACE,
            job_id=new_job_id(),
            lease_token=1,
            kind="flowscript",
            args="{}",
            tag="python3",
            created_by="henri",
            permissioned_as="u/henri",
            email="henri@example.com",
            runnable_path=None,
            script_hash=None,
            language="python3",
            raw_code=None,
            raw_lock="",
            entrypoint=None,
            timeout_s=None,
            parent_job=self.job.id,
            root_job=self.job.root_job or self.job.id,
            flow_step_id=step_id,
            schedule_path=None,
            scheduled_for=datetime.now(UTC),
            rescues=0,
            same_worker=same_worker,
        )

    async def step(
        self, kind: JobKind = "flowscript", *, pinned_to: str | None, tag: str = "python3"
    ) -> UUID:
        """A step of it in the queue."""
        return await _push(self.database, _job(kind, parent=self.job, pinned_to=pinned_to, tag=tag))

    async def inner(self, *, same_worker: bool = True, **definition: object) -> "SharedFlow":
        """A flow that is a step of it."""
        job = _job("flow", parent=self.job, same_worker=same_worker, definition=definition)
        await _push(self.database, job)
        return SharedFlow(self.database, job)

    async def end(self, ended_secs_ago: float = 0) -> None:
        """The flow leaves the queue."""
        async with self.database.transaction() as transaction:
            await transaction.execute("DELETE FROM job_queue WHERE job_id = $1", self.job.id)
            await transaction.execute(
                "INSERT INTO job_completed (workspace_id, job_id, status, duration_ms, completed_at) "
                "VALUES ($1, $2, 'success', 0, now() - make_interval(secs => $3))",
                WORKSPACE,
                self.job.id,
                ended_secs_ago,
            )


async def shared_flow(
    database: Database, *, pinned_to: str | None = None, same_worker: bool = True, **shared_directory: object
) -> SharedFlow:
    """A `same_worker` flow; `shared_directory` is what its definition says of it."""
    definition: dict[str, object] = {"modules": [], "same_worker": same_worker}
    if shared_directory:
        definition["shared_directory"] = shared_directory
    job = _job("flowpreview", definition=definition, pinned_to=pinned_to)
    await _push(database, job)
    return SharedFlow(database, job)


def _job(
    kind: JobKind,
    *,
    parent: NewJob | None = None,
    definition: dict[str, object] | None = None,
    same_worker: bool = False,
    pinned_to: str | None = None,
    tag: str = "flow",
) -> NewJob:
    return NewJob(
        id=new_job_id(),
        workspace_id=WORKSPACE,
        kind=kind,
        args="{}",
        tag=tag,
        created_by="henri",
        permissioned_as="u/henri",
        email="henri@example.com",
        parent_job=parent.id if parent else None,
        root_job=(parent.root_job or parent.id) if parent else None,
        flow_step_id="s" if parent else None,
        raw_flow=json.dumps(definition) if definition else None,
        same_worker=same_worker,
        pinned_to=pinned_to,
    )


async def _push(database: Database, job: NewJob) -> UUID:
    async with database.transaction() as transaction:
        await store.push_jobs(transaction, [job])
    return job.id
