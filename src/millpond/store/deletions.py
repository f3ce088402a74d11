"""Forgetting what runs were given, returned and printed: `delete_after_use` and `delete_after_secs`.

The clock of a job begins when its root run ends. What is forgotten of a flow is all of it, down to the last step.
"""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

import msgspec

from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("deletions")

RESULT_GRACE_SECS = 10
"""How long the result of a root run stays when it is to be deleted at once: whoever waits for it still has to read it."""

STILL_RUNNING_SECS = 30.0
BATCH = 100


async def wipe_tree_now(transaction: Transaction, workspace_id: str, root_job: UUID) -> int:
    """A root run, a flow or a script by itself, has ended: forget what is to be forgotten now; the number of jobs.

    For what is to be forgotten later, or has not ended, the time is noted, and `wipe_due` does it. Call it in the
    transaction of the completion. Without jobs to forget it is one query.
    """
    marked = await _marked(transaction, workspace_id, root_job)
    if not marked:
        return 0
    delays = {
        job_id: max(after, RESULT_GRACE_SECS if job_id == root_job else 0) for job_id, after in marked.items()
    }
    now = [job_id for job_id, delay in delays.items() if delay == 0]
    wiped, unfinished = await _wipe(transaction, workspace_id, now) if now else (0, [])
    later = {job_id: delay for job_id, delay in delays.items() if delay > 0 or job_id in unfinished}
    if later:
        seconds = [float(delay) for delay in later.values()]
        await transaction.execute(_SQL["schedule"], workspace_id, list(later), seconds)
    return wiped


async def wipe_due(transaction: Transaction, most: int = BATCH) -> int:
    """Forget jobs whose time has come, for maintenance; how many of up to `most` were looked at."""
    rows = await transaction.fetch(_SQL["lock_due"], most)
    due: defaultdict[str, list[UUID]] = defaultdict(list)
    for row in rows:
        due[row["workspace_id"]].append(row["job_id"])
    for workspace_id, job_ids in due.items():
        _, unfinished = await _wipe(transaction, workspace_id, job_ids)
        done = [job_id for job_id in job_ids if job_id not in unfinished]
        await transaction.execute(_SQL["unschedule"], workspace_id, done)
        await transaction.execute(_SQL["postpone"], workspace_id, unfinished, STILL_RUNNING_SECS)
    return len(rows)


async def forget_results_of(transaction: Transaction, workspace_id: str, job_ids: Sequence[UUID]) -> None:
    """Forget the copies of jobs' results that are kept for equal runs."""
    await transaction.execute(_SQL["forget_results_of"], workspace_id, list(job_ids))


async def to_clean(transaction: Transaction, workspace_id: str, root_job: UUID) -> list[UUID]:
    """The steps of a run that are forgotten after it, for `cleanup_module.flow_jobs_to_clean`, oldest first."""
    marked = await _marked(transaction, workspace_id, root_job)
    return [job_id for job_id in marked if job_id != root_job]


async def _marked(transaction: Transaction, workspace_id: str, root_job: UUID) -> dict[UUID, int]:
    rows = await transaction.fetch(_SQL["marked_jobs"], workspace_id, root_job)
    return {row["id"]: row["delete_after_s"] for row in rows}


async def _wipe(transaction: Transaction, workspace_id: str, tops: Sequence[UUID]) -> tuple[int, list[UUID]]:
    """Wipe what has ended of jobs and all below them; the number of rows, and the tops of which something runs."""
    rows = await transaction.fetch(_SQL["trees_of"], workspace_id, list(tops))
    ended = sorted({row["id"] for row in rows if row["ended"]})
    wiped = await transaction.execute(_SQL["wipe_jobs"], workspace_id, ended)
    for query in (
        "forget_results_of",
        "forget_items",
        "forget_messages",
        "forget_user_states",
        "wipe_approvals",
    ):
        await transaction.execute(_SQL[query], workspace_id, ended)
    for row in await transaction.fetch(_SQL["flow_statuses"], workspace_id, ended):
        status = None if row["status"] is None else _without_values(row["status"])
        await transaction.execute(_SQL["wipe_flow_status"], workspace_id, row["job_id"], status)
    return wiped, sorted({row["top"] for row in rows if not row["ended"]})


def _without_values(status: str) -> str:
    """A flow's status whose constants, mocks and errors say, are empty objects."""
    return msgspec.json.encode(_emptied(msgspec.json.decode(status))).decode()


def _emptied(value: object) -> object:
    if isinstance(value, list):
        return [_emptied(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "json" and "value" in value:
        return value | {"value": {}}
    return {name: _emptied(item) for name, item in value.items()}
