"""Ending jobs outside of their workers: each by its kind, and whoever waits for it is told.

Also what follows any end, wherever it was recorded: runs marked for it are forgotten, and permits are free.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from millpond.engine.events import CancelAsked, ChildEnded
from millpond.engine.references import Place
from millpond.engine.status import Canceled
from millpond.model.jobs import FLOW_KINDS, Cancellation, Claim
from millpond.model.results import canceled_result
from millpond.services.flow_runs.forced_ends import mark_canceled
from millpond.services.flow_runs.inbox import tell
from millpond.store import concurrency, deletions
from millpond.store import flows as flow_store
from millpond.store import queue as store
from millpond.store import scripts as script_store
from millpond.store.pool import Transaction
from millpond.store.queue import LeftClaim, QueuedFacts


class Ended(NamedTuple):
    """A job that left the queue. `is_root`: a flow or a marked script that is no step, whose end starts the clocks of
    what is to be forgotten."""

    workspace_id: str
    job_id: UUID
    concurrency_key: str | None
    is_root: bool

    @classmethod
    def of(cls, workspace_id: str, job: Claim | LeftClaim | QueuedFacts) -> "Ended":
        """A job that was held, or found in the queue."""
        is_marked = job.kind in FLOW_KINDS or job.delete_after_s is not None
        is_root = job.step_attempt is None and is_marked
        return cls(workspace_id, job.job_id, job.concurrency_key, is_root)


async def follow_ends(transaction: Transaction, ended: Sequence[Ended]) -> None:
    """Do what follows the ends of jobs, last in the transaction that recorded them: it holds concurrency keys, which
    everybody locks after rows of the queue."""
    for job in ended:
        if job.is_root:
            await deletions.wipe_tree_now(transaction, job.workspace_id, job.job_id)
    await concurrency.release(
        transaction, [(job.workspace_id, job.job_id, job.concurrency_key) for job in ended]
    )


async def end_tree(
    transaction: Transaction, workspace_id: str, job_id: UUID, why: Cancellation, *, force: bool
) -> bool:
    """Cancel a job and what it started: what waits ends, what runs is asked to end, or with `force` ends too.

    A flow that has begun is told, and ends its steps itself; with `force` it ends here, with all below it. False when the
    job was not in the queue. Call it last in its transaction.
    """
    end = end_by_force if force else end_jobs
    found, ended = await end(transaction, workspace_id, job_id, why)
    await follow_ends(transaction, ended)
    return found


async def end_jobs(
    transaction: Transaction, workspace_id: str, job_id: UUID, why: Cancellation
) -> tuple[bool, list[Ended]]:
    """As `end_tree` without `force`, but what follows the ends that come back is left to the caller."""
    await store.lock_flows_around(transaction, workspace_id, job_id, whole=False)
    # Locked before anything is decided: between two looks a job may go from running back to queued.
    tree = await store.lock_tree(transaction, workspace_id, job_id, whole=False)
    ended = [
        Ended.of(workspace_id, queued)
        for queued in tree
        if await _end(transaction, workspace_id, queued, why)
    ]
    return _holds(tree, job_id), ended


async def end_by_force(
    transaction: Transaction, workspace_id: str, job_id: UUID, why: Cancellation
) -> tuple[bool, list[Ended]]:
    """As `end_tree` with `force`, but what follows the ends that come back is left to the caller.

    All below the job ends here and now, flows and their steps too: there may be no worker to do it.
    """
    await store.lock_flows_around(transaction, workspace_id, job_id, whole=True)
    tree = await store.lock_tree(transaction, workspace_id, job_id, whole=True)
    gone = [queued.job_id for queued in tree]
    if gone:
        result = canceled_result(why.by, why.reason)
        await store.end_all_canceled(transaction, workspace_id, gone, result, why)
        flows = [queued.job_id for queued in tree if queued.kind in FLOW_KINDS]
        await mark_canceled(transaction, workspace_id, flows, why)
        for queued in _heard_of(tree):
            await tell_of_end(transaction, workspace_id, queued, "canceled", _message(why), why)
    return _holds(tree, job_id), [Ended.of(workspace_id, queued) for queued in tree]


def _holds(tree: Sequence[QueuedFacts], job_id: UUID) -> bool:
    return any(queued.job_id == job_id for queued in tree)


def _heard_of(tree: Collection[QueuedFacts]) -> list[QueuedFacts]:
    """Those of jobs that end together whose end concerns others: not steps, say, of flows that end with them."""
    gone = {queued.job_id for queued in tree}
    return [queued for queued in tree if queued.step_attempt is None or queued.parent_job not in gone]


def _message(why: Cancellation) -> str:
    return f"Job canceled: {why.reason} by {why.by}"


async def _end(transaction: Transaction, workspace_id: str, queued: QueuedFacts, why: Cancellation) -> bool:
    """Whether the job has left the queue."""
    if queued.kind in FLOW_KINDS and queued.has_begun:
        await tell(transaction, workspace_id, queued.job_id, CancelAsked(why.by, why.reason))
        return False
    if queued.state == "running":
        await store.flag_running(transaction, workspace_id, queued.job_id, why)
        return False
    result = canceled_result(why.by, why.reason)
    await store.end_canceled(transaction, workspace_id, queued.job_id, result, why)
    await tell_of_end(transaction, workspace_id, queued, "canceled", _message(why), why)
    return True


async def tell_of_end(
    transaction: Transaction,
    workspace_id: str,
    ended: QueuedFacts | LeftClaim,
    status: str,
    message: str,
    why: Cancellation | None = None,
) -> None:
    """A job has ended in this transaction: its flow hears of it, and what was deployed, that it has no lock.

    `why` is that of a job found in the queue; a claim carries its own.
    """
    if isinstance(ended, LeftClaim):
        why = ended.cancellation
    if ended.step_attempt is not None and ended.step_place is not None and ended.parent_job is not None:
        place = Place(ended.step_place, ended.step_attempt, ended.step_index)
        canceled = Canceled(why.by, why.reason) if why is not None else None
        event = ChildEnded(place, "canceled" if status == "canceled" else "failure", canceled=canceled)
        await tell(transaction, workspace_id, ended.parent_job, event)
    if ended.kind == "dependencies" and ended.script_hash is not None:
        await script_store.record_lock(transaction, workspace_id, ended.script_hash, None, message)
    if ended.kind == "flowdependencies" and ended.flow_version is not None:
        await flow_store.record_locks(transaction, workspace_id, ended.flow_version, None, message)
