"""Ending jobs outside of their workers: each by its kind, and whoever waits for it is told."""

from uuid import UUID

from millpond.engine.events import CancelAsked, ChildEnded
from millpond.engine.references import Place
from millpond.model.jobs import FLOW_KINDS, Cancellation
from millpond.model.results import canceled_result
from millpond.services.flow_runs.inbox import tell
from millpond.store import flows as flow_store
from millpond.store import queue as store
from millpond.store import scripts as script_store
from millpond.store.pool import Transaction
from millpond.store.queue import LeftClaim, QueuedFacts


async def end_tree(
    transaction: Transaction, workspace_id: str, job_id: UUID, why: Cancellation, *, force: bool
) -> bool:
    """Cancel a job and what it started: what waits ends, what runs is asked to end, or with `force` ends too.

    A flow that has begun is told, and ends its steps itself. False when the job was not in the queue.
    """
    await store.lock_flows_around(transaction, workspace_id, job_id)
    # Locked before anything is decided: between two looks a job may go from running back to queued.
    tree = await store.lock_tree(transaction, workspace_id, job_id)
    for queued in tree:
        await _end(transaction, workspace_id, queued, why, force=force)
    return any(queued.job_id == job_id for queued in tree)


async def _end(
    transaction: Transaction, workspace_id: str, queued: QueuedFacts, why: Cancellation, *, force: bool
) -> None:
    if queued.kind in FLOW_KINDS and queued.has_begun:
        asked = CancelAsked(why.by, why.reason, force=force)
        await tell(transaction, workspace_id, queued.job_id, asked)
        return
    if queued.state == "running" and not force:
        await store.flag_running(transaction, workspace_id, queued.job_id, why)
        return
    result = canceled_result(why.by, why.reason)
    await store.end_canceled(transaction, workspace_id, queued.job_id, result, why)
    message = f"Job canceled: {why.reason} by {why.by}"
    await tell_of_end(transaction, workspace_id, queued, "canceled", message)


async def tell_of_end(
    transaction: Transaction, workspace_id: str, ended: QueuedFacts | LeftClaim, status: str, message: str
) -> None:
    """A job has ended in this transaction: its flow hears of it, and what was deployed, that it has no lock."""
    if ended.step_attempt is not None and ended.step_place is not None and ended.parent_job is not None:
        place = Place(ended.step_place, ended.step_attempt, ended.step_index)
        event = ChildEnded(place, "canceled" if status == "canceled" else "failure")
        await tell(transaction, workspace_id, ended.parent_job, event)
    if ended.kind == "dependencies" and ended.script_hash is not None:
        await script_store.record_lock(transaction, workspace_id, ended.script_hash, None, message)
    if ended.kind == "flowdependencies" and ended.flow_version is not None:
        await flow_store.record_locks(transaction, workspace_id, ended.flow_version, None, message)
