"""Queries on the queue: pushing, claiming, completing, cancelling, and the workers' leases."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

import msgspec

from millpond.model.jobs import Cancellation, Claim, Completion, Lane, NewJob, lane_of
from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("queue")

LABEL_SEPARATOR = "\x1f"

_PUSHED = (
    "workspace_id", "id", "kind", "args", "tag", "created_by", "permissioned_as", "email", "runnable_path",
    "script_hash", "language", "raw_code", "raw_lock", "entrypoint", "priority", "timeout_s", "parent_job",
    "root_job", "flow_step_id", "trigger_kind", "schedule_path", "scheduled_for", "visible_to_owner",
    "flow_version", "raw_flow", "flow_path", "step_place", "step_attempt", "step_index", "flow_branch",
    "depth", "same_worker", "is_test", "cache_ttl_s", "delete_after_s", "concurrency_key",
    "concurrent_limit", "concurrency_window_s", "pinned_to",
)  # fmt: skip
_CLAIMED = tuple(Claim.__struct_fields__)


class WorkerRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that comes up."""

    id: UUID
    name: str
    host: str
    process_id: int
    tags: list[str]
    slots: int
    version: str
    sandbox: str


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it is listed."""

    id: UUID
    name: str
    host: str
    tags: list[str]
    slots: int
    version: str
    sandbox: str
    started_at: datetime
    last_ping_at: datetime
    jobs_done: int
    draining: bool


class HeldJob(NamedTuple):
    """A job the database thinks a worker runs."""

    job_id: UUID
    lease_token: int
    cancellation: Cancellation | None


class LeftClaim(NamedTuple):
    """A claim left with a worker that runs it no more."""

    workspace_id: str
    job_id: UUID
    lease_token: int
    rescues: int
    cancellation: Cancellation | None
    kind: str
    script_hash: int | None
    flow_version: int | None
    parent_job: UUID | None
    step_place: str | None
    step_attempt: int | None
    step_index: int | None
    concurrency_key: str | None
    delete_after_s: int | None


class QueuedFacts(NamedTuple):
    """What decides how a job in the queue is cancelled. What has a `step_attempt` is a step of its parent, a flow."""

    job_id: UUID
    state: str
    has_begun: bool
    kind: str
    script_hash: int | None
    flow_version: int | None
    parent_job: UUID | None
    step_place: str | None
    step_attempt: int | None
    step_index: int | None
    concurrency_key: str | None
    delete_after_s: int | None


class LogChunk(NamedTuple):
    """A piece of a job's log or result stream."""

    workspace_id: str
    job_id: UUID
    lease_token: int
    kind: str
    chunk: int
    start_character: int
    content: str


class Seat(NamedTuple):
    """A worker that takes jobs up as they are pushed."""

    worker_id: UUID
    sandbox: str


class Entry(NamedTuple):
    """A job about to be pushed, and what becomes of it at once.

    `starts`: it is leased to the pushing worker. `begun`: it is a flow whose first turn was this one. `ended`: status and
    result of a job that never waits. `flow_status` is where a flow begins, JSON; None: it has not.
    """

    job: NewJob
    starts: bool = False
    begun: bool = False
    ended: tuple[str, str] | None = None
    flow_status: str | None = None


class Lease(NamedTuple):
    """What a worker holds of a job it was given as it was pushed."""

    lease_token: int
    scheduled_for: datetime


async def push_jobs(transaction: Transaction, jobs: Sequence[NewJob]) -> None:
    """Put jobs into the queue, all or none; workers are woken when the transaction commits."""
    await push_entries(transaction, [Entry(job) for job in jobs], None)


async def push_entries(
    transaction: Transaction, entries: Sequence[Entry], seat: Seat | None
) -> dict[UUID, Lease]:
    """Record jobs and what becomes of them at once, all or none; the leases of those that start."""
    columns = [[getattr(entry.job, name) for entry in entries] for name in _PUSHED]
    rows = await transaction.fetch(
        _SQL["push_jobs"],
        *columns,
        [lane_of(entry.job.kind) for entry in entries],
        seat.worker_id if seat else None,
        seat.sandbox if seat else None,
        [entry.starts for entry in entries],
        [entry.begun for entry in entries],
        [entry.ended[0] if entry.ended else None for entry in entries],
        [entry.ended[1] if entry.ended else None for entry in entries],
        [entry.flow_status for entry in entries],
    )
    return {
        row["job_id"]: Lease(row["lease_token"], row["scheduled_for"])
        for row in rows
        if row["job_id"] is not None
    }


async def claim_jobs(
    transaction: Transaction,
    worker_id: UUID,
    lane: Lane,
    tags: list[str] | None,
    limit: int,
    sandbox: str,
    pin: str | None,
) -> list[Claim]:
    """Take up to `limit` due jobs for a worker whose lease stands."""
    rows = await transaction.fetch(_SQL["claim_jobs"], worker_id, lane, tags, limit, sandbox, pin)
    return [Claim(**{name: row[name] for name in _CLAIMED}) for row in rows]


async def next_due(
    transaction: Transaction, lane: Lane, tags: list[str] | None, pin: str | None
) -> float | None:
    """Seconds until the next waiting job is due, negative when it is overdue; None when none waits."""
    return cast("float | None", await transaction.fetch_value(_SQL["next_due"], lane, tags, pin))


async def complete_jobs(transaction: Transaction, completions: Sequence[Completion]) -> set[UUID]:
    """End jobs; the ids of those whose claim was still current."""
    # In the order of ids, as cancellations lock.
    completions = sorted(completions, key=lambda done: done.claim.job_id)
    rows = await transaction.fetch(
        _SQL["complete_jobs"],
        [done.claim.workspace_id for done in completions],
        [done.claim.job_id for done in completions],
        [done.claim.lease_token for done in completions],
        [done.status for done in completions],
        [done.result for done in completions],
        [done.memory_peak_bytes for done in completions],
        [LABEL_SEPARATOR.join(done.labels) if done.labels else None for done in completions],
        [done.canceled_by for done in completions],
        [done.canceled_reason for done in completions],
    )
    return {row["job_id"] for row in rows}


async def lock_tree(
    transaction: Transaction, workspace_id: str, job_id: UUID, *, whole: bool
) -> list[QueuedFacts]:
    """What is in the queue of a job and of all below it, held until the transaction ends.

    Unless `whole`, without what is below flows.
    """
    rows = await transaction.fetch(_SQL["lock_tree"], workspace_id, job_id, whole)
    return [QueuedFacts(**{name: row[name] for name in QueuedFacts._fields}) for row in rows]


async def lock_flows_around(
    transaction: Transaction, workspace_id: str, job_id: UUID, *, whole: bool
) -> None:
    """Hold the flows in and directly above a tree of jobs: what is said to them must come before their jobs are held."""
    held = -1
    while True:
        rows = await transaction.fetch(_SQL["lock_flows_around"], workspace_id, job_id, whole)
        # A turn that was waited for may have pushed flows that this look does not see yet; those of held flows push none.
        if not whole or len(rows) == held:
            return
        held = len(rows)


async def end_canceled(
    transaction: Transaction, workspace_id: str, job_id: UUID, result: str, why: Cancellation
) -> None:
    """End a job in the queue, whether it waits or runs."""
    await end_all_canceled(transaction, workspace_id, [job_id], result, why)


async def end_all_canceled(
    transaction: Transaction, workspace_id: str, job_ids: Sequence[UUID], result: str, why: Cancellation
) -> None:
    """End jobs in the queue, whether they wait or run."""
    await transaction.execute(_SQL["end_canceled"], workspace_id, list(job_ids), result, why.by, why.reason)


async def end_unreadable(
    transaction: Transaction, workspace_id: str, job_id: UUID, result: str
) -> str | None:
    """End a flow job that cannot go on, wherever it waits; its concurrency key, if it has one."""
    row = await transaction.fetch_row(_SQL["end_unreadable"], workspace_id, job_id, result)
    return None if row is None else cast("str | None", row["concurrency_key"])


async def flag_running(transaction: Transaction, workspace_id: str, job_id: UUID, why: Cancellation) -> bool:
    """Ask the holding worker to end a job; False when none holds it."""
    return bool(await transaction.fetch(_SQL["flag_running"], workspace_id, job_id, why.by, why.reason))


async def register_worker(transaction: Transaction, worker: WorkerRegistration, lease_secs: float) -> None:
    """Record a worker and its lease."""
    await transaction.execute(
        _SQL["register_worker"],
        worker.id,
        worker.name,
        worker.host,
        worker.process_id,
        worker.tags,
        worker.slots,
        worker.version,
        worker.sandbox,
        lease_secs,
    )


async def supersede_workers(transaction: Transaction, worker: WorkerRegistration) -> None:
    """End the leases of a worker's predecessors under the same name."""
    await transaction.execute(_SQL["supersede_worker"], worker.host, worker.name, worker.id)


async def heartbeat(
    transaction: Transaction, worker_id: UUID, lease_secs: float, jobs_done: int, *, draining: bool
) -> bool:
    """Renew a worker's lease; False when the worker is no longer known."""
    row = await transaction.fetch_row(_SQL["heartbeat"], worker_id, lease_secs, jobs_done, draining)
    return row is not None


async def held_jobs(transaction: Transaction, worker_id: UUID) -> list[HeldJob]:
    """What a worker runs, as the database sees it."""
    rows = await transaction.fetch(_SQL["held_jobs"], worker_id)
    return [
        HeldJob(row["job_id"], row["lease_token"], _cancellation(row["canceled_by"], row["canceled_reason"]))
        for row in rows
    ]


async def unregister_worker(transaction: Transaction, worker_id: UUID) -> None:
    """Forget a worker."""
    await transaction.execute(_SQL["unregister_worker"], worker_id)


async def release_jobs(
    transaction: Transaction,
    worker_id: UUID,
    *,
    count_rescue: bool,
    most_rescues: int,
    lease_tokens: list[int] | None = None,
) -> int:
    """Give a worker's jobs, or some of them, back to the queue; their number.

    Cancelled ones, and those rescued too often, stay.
    """
    rows = await transaction.fetch(
        _SQL["release_jobs"], worker_id, int(count_rescue), most_rescues, lease_tokens
    )
    return len(rows)


async def lock_lease(transaction: Transaction, worker_id: UUID) -> bool:
    """Whether a worker's lease stands; it is not renewed before the transaction ends."""
    return bool(await transaction.fetch_value(_SQL["lock_lease"], worker_id))


async def dead_workers(transaction: Transaction) -> list[UUID]:
    """Workers whose lease has run out."""
    return [row["id"] for row in await transaction.fetch(_SQL["dead_workers"])]


async def claims_of(
    transaction: Transaction, worker_id: UUID, lease_tokens: list[int] | None = None
) -> list[LeftClaim]:
    """Claims still naming a worker: all, or those of some lease tokens."""
    return [
        LeftClaim(
            cancellation=_cancellation(row["canceled_by"], row["canceled_reason"]),
            **{name: row[name] for name in LeftClaim._fields if name != "cancellation"},
        )
        for row in await transaction.fetch(_SQL["claims_of"], worker_id, lease_tokens)
    ]


async def end_claim(transaction: Transaction, claim: LeftClaim, status: str, result: str) -> bool:
    """End one claim of a dead worker; False when it was no longer current."""
    why = claim.cancellation
    rows = await transaction.fetch(
        _SQL["end_claim"],
        claim.workspace_id,
        claim.job_id,
        claim.lease_token,
        status,
        result,
        why.by if why else None,
        why.reason if why else None,
    )
    return bool(rows)


async def append_logs(transaction: Transaction, chunks: Sequence[LogChunk]) -> None:
    """Store log chunks of current claims; those of lost ones are left out."""
    await transaction.execute(_SQL["append_logs"], *[list(column) for column in zip(*chunks, strict=True)])


async def clear_log(transaction: Transaction, workspace_id: str, job_id: UUID) -> None:
    """Forget what an earlier attempt printed."""
    await transaction.execute(_SQL["clear_log"], workspace_id, job_id)


async def list_workers(transaction: Transaction, ping_since_secs: int) -> list[WorkerRow]:
    """Workers that pinged lately."""
    rows = await transaction.fetch(_SQL["list_workers"], float(ping_since_secs))
    return [WorkerRow(**{name: row[name] for name in WorkerRow.__struct_fields__}) for row in rows]


def _cancellation(by: str | None, reason: str | None) -> Cancellation | None:
    return None if by is None else Cancellation(by, reason or "")


class ScriptSource(NamedTuple):
    """What a claim of a deployed version runs; `lock` is None while it is being made."""

    code: str
    language: str
    lock: str | None
    envs: dict[str, str]
    labels: list[str]


async def script_source(transaction: Transaction, workspace_id: str, script_hash: int) -> ScriptSource | None:
    """The code of a deployed version; None when it was deleted."""
    row = await transaction.fetch_row(_SQL["script_source"], workspace_id, script_hash)
    if row is None:
        return None
    lines = msgspec.json.decode(row["envs"], type=list[str] | None) if row["envs"] else None
    envs = dict(line.split("=", 1) for line in lines or [] if "=" in line)
    return ScriptSource(row["content"], row["language"], row["lock"], envs, row["labels"] or [])
