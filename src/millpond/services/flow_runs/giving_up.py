"""Ending a flow by name whose next turn cannot be worked out or stored: its definition was deleted, say."""

from uuid import UUID

from millpond.engine.events import ChildEnded
from millpond.model.jobs import Claim, Completion
from millpond.services.flow_runs.inbox import tell
from millpond.services.flow_runs.run import Run
from millpond.services.job_endings import Ended, follow_ends
from millpond.store import flow_runs as store
from millpond.store import queue as queue_store
from millpond.store.pool import Database


async def end_flow(database: Database, cause: Completion | Claim, result: str) -> None:
    """End the flow that was claimed, or whose step has ended: the step as it did, the flow as a failure with `result`.

    The flow around it hears of a failed step. Raises what the database says to the step's own result.
    """
    claim = cause.claim if isinstance(cause, Completion) else cause
    flow_job = claim.parent_job if isinstance(cause, Completion) else claim.job_id
    assert flow_job is not None
    async with database.statement() as connection:
        stored = await store.get_run(connection, claim.workspace_id, flow_job)
    around = stored.job.parent_job if stored is not None and stored.job.is_step else None
    async with database.transaction() as transaction:
        held: list[UUID] = [job_id for job_id in (around, flow_job) if job_id is not None]
        await store.lock_runs(transaction, claim.workspace_id, held)
        ended: list[Ended] = []
        if isinstance(cause, Completion) and await queue_store.complete_jobs(transaction, [cause]):
            ended.append(Ended.of(claim.workspace_id, claim))
        if stored is not None:
            key = await queue_store.end_unreadable(transaction, claim.workspace_id, flow_job, result)
            ended.append(Ended(claim.workspace_id, flow_job, key, is_root=not stored.job.is_step))
        if stored is not None and around is not None:
            event = ChildEnded(Run.place_of(stored.job), "failure")
            await tell(transaction, claim.workspace_id, around, event)
        await follow_ends(transaction, ended)
