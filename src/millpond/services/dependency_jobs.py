"""Pushes the jobs that resolve a deployed script's dependencies to a lock."""

from uuid import UUID

from millpond.base.ids import new_job_id
from millpond.model.actors import Actor
from millpond.model.jobs import NewJob
from millpond.services.authorization import authorize
from millpond.store import queue as store
from millpond.store.columns import json_text
from millpond.store.pool import Transaction

DEPENDENCY_TAG = "dependency"


class DependencyJobs:
    """Use cases on dependency jobs."""

    async def push_dependency_job(
        self,
        transaction: Transaction,
        actor: Actor,
        *,
        script_hash: int,
        path: str,
        language: str,
        code: str,
        tag: str | None,
        deployment_message: str | None,
    ) -> UUID:
        """Push the job inside the deployment's transaction: both happen or neither."""
        authorize(actor, "scripts", "write", path)
        job = NewJob(
            id=new_job_id(),
            workspace_id=actor.workspace_id,
            kind="dependencies",
            args=json_text({"deployment_message": deployment_message} if deployment_message else {}),
            tag=tag or DEPENDENCY_TAG,
            created_by=actor.username,
            permissioned_as=actor.permissioned_as,
            email=actor.email,
            runnable_path=path,
            script_hash=script_hash,
            language=language,
            raw_code=code,
        )
        await store.push_jobs(transaction, [job])
        return job.id
