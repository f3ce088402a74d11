"""Queries that read jobs: one, its result, its log, and lists."""

from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

import msgspec

from millpond.base.ids import hash_to_hex
from millpond.model.actors import Actor
from millpond.model.jobs import FLOW_KINDS, Job, JobFilters
from millpond.store.columns import raw
from millpond.store.composition import Composition
from millpond.store.pool import Row, Transaction
from millpond.store.queries import load
from millpond.store.visibility import visibility

_SQL = load("jobs")


class JobAccess(NamedTuple):
    """What decides who may see a job."""

    id: UUID
    created_by: str
    runnable_path: str | None
    visible_to_owner: bool
    kind: str
    script_hash: int | None
    is_step: bool


class JobProgress(NamedTuple):
    """Where a job stands."""

    running: bool
    percent: int | None
    status: str | None
    started: bool
    memory_peak_bytes: int | None


class StoredResult(NamedTuple):
    """How a completed job ended."""

    status: str
    result: str | None
    started_at: datetime | None
    duration_ms: int
    deleted: bool


class LogPiece(NamedTuple):
    """A chunk of a log or stream."""

    chunk: int
    start_character: int
    content: str


async def get_job(transaction: Transaction, workspace_id: str, job_id: UUID) -> Job | None:
    """One job, its result included, its log left out."""
    row = await transaction.fetch_row(_SQL["get_job"], workspace_id, job_id)
    return None if row is None else _job(row, carried=True, code=row)


async def get_lineage(transaction: Transaction, workspace_id: str, job_id: UUID) -> list[JobAccess]:
    """What decides who may see a job: the job first, then those it was started by; empty when there is no such job."""
    rows = await transaction.fetch(_SQL["get_lineage"], workspace_id, job_id)
    return [JobAccess(**{name: row[name] for name in JobAccess._fields}) for row in rows]


async def get_progress(transaction: Transaction, workspace_id: str, job_id: UUID) -> JobProgress | None:
    """Where a job stands."""
    row = await transaction.fetch_row(_SQL["get_progress"], workspace_id, job_id)
    if row is None:
        return None
    return JobProgress(
        _is_running(row), row["percent"], row["status"], row["started"], row["memory_peak_bytes"]
    )


async def get_result(transaction: Transaction, workspace_id: str, job_id: UUID) -> StoredResult | None:
    """How a job ended; None while it has not."""
    row = await transaction.fetch_row(_SQL["get_result"], workspace_id, job_id)
    return None if row is None else StoredResult(**{name: row[name] for name in StoredResult._fields})


async def get_answer(transaction: Transaction, workspace_id: str, job_id: UUID) -> StoredResult | None:
    """What a synchronous caller gets: how the job ended, or the early result of a flow; None while there is neither."""
    row = await transaction.fetch_row(_SQL["get_answer"], workspace_id, job_id)
    return None if row is None else StoredResult(**{name: row[name] for name in StoredResult._fields})


async def get_args(transaction: Transaction, workspace_id: str, job_id: UUID) -> str | None:
    """The arguments, JSON text."""
    return cast("str | None", await transaction.fetch_value(_SQL["get_args"], workspace_id, job_id))


async def set_percent(transaction: Transaction, workspace_id: str, job_id: UUID, percent: int) -> bool:
    """Record progress; False when the job does not run."""
    return await transaction.execute(_SQL["set_percent"], workspace_id, job_id, percent) == 1


async def read_log(
    transaction: Transaction,
    workspace_id: str,
    job_id: UUID,
    *,
    kind: str = "log",
    from_chunk: int = 0,
    from_character: int = 0,
) -> list[LogPiece]:
    """Chunks reaching beyond a character, in order."""
    rows = await transaction.fetch(_SQL["read_log"], workspace_id, job_id, kind, from_chunk, from_character)
    return [LogPiece(row["chunk"], row["start_character"], row["content"]) for row in rows]


async def read_log_tail(transaction: Transaction, workspace_id: str, job_id: UUID, characters: int) -> str:
    """The last characters of a log."""
    rows = await transaction.fetch(_SQL["read_log_tail"], workspace_id, job_id, characters)
    return "".join(row["content"] for row in rows)[-characters:]


async def read_tree_logs(transaction: Transaction, workspace_id: str, root_job: UUID, most_jobs: int) -> str:
    """The logs of a job and of all below it, joined in the order the jobs were pushed."""
    rows = await transaction.fetch(_SQL["read_tree_logs"], workspace_id, root_job, most_jobs)
    return "".join(row["content"] for row in rows)


async def list_queued(
    transaction: Transaction, actor: Actor, filters: JobFilters, limit: int, offset: int
) -> list[Job]:
    """Visible jobs that wait or run."""
    query = Composition(_SQL, "list_queued", actor.workspace_id, filters.include_args)
    _add_common(query, actor, filters)
    query.add_if_given("filter_queued_started_before", filters.started_before)
    query.add_if_given("filter_queued_started_after", filters.started_after)
    query.add_if_given("filter_queued_worker", filters.worker)
    query.add_if_given("filter_running", filters.running)
    query.add_if_given("filter_scheduled_for_before_now", filters.scheduled_for_before_now)
    return await _fetch(transaction, query, filters, limit, offset)


async def list_completed(
    transaction: Transaction, actor: Actor, filters: JobFilters, limit: int, offset: int
) -> list[Job]:
    """Visible jobs that ended."""
    query = Composition(_SQL, "list_completed", actor.workspace_id, filters.include_args)
    _add_common(query, actor, filters)
    query.add_if_given("filter_started_before", filters.started_before)
    query.add_if_given("filter_started_after", filters.started_after)
    query.add_if_given("filter_completed_before", filters.completed_before)
    query.add_if_given("filter_completed_after", filters.completed_after)
    query.add_if_given("filter_worker", filters.worker)
    query.add_if_given("filter_statuses", statuses_of(filters))
    query.add_if_given("filter_labels", [filters.label] if filters.label else None)
    query.add_if_given("filter_result", filters.result)
    return await _fetch(transaction, query, filters, limit, offset)


def statuses_of(filters: JobFilters) -> list[str] | None:
    """The statuses that the filters leave; None for all."""
    wanted = {"success", "failure", "canceled", "skipped"}
    if filters.status is not None:
        wanted &= {filters.status}
    if filters.success is not None:
        wanted &= {"success", "skipped"} if filters.success else {"failure", "canceled"}
    if filters.is_skipped is not None:
        wanted &= {"skipped"} if filters.is_skipped else {"success", "failure", "canceled"}
    return None if len(wanted) == 4 else sorted(wanted)


async def count_queued(transaction: Transaction, workspace_id: str) -> int:
    """Jobs that are due and wait."""
    return cast("int", await transaction.fetch_value(_SQL["count_queued"], workspace_id))


async def count_completed(
    transaction: Transaction, workspace_id: str, within_secs: int | None, statuses: list[str] | None
) -> int:
    """Jobs that ended within so many seconds, or at all."""
    seconds = None if within_secs is None else float(within_secs)
    return cast(
        "int", await transaction.fetch_value(_SQL["count_completed"], workspace_id, seconds, statuses)
    )


async def queue_position(transaction: Transaction, workspace_id: str, scheduled_for_ms: int) -> int:
    """Due jobs before an instant, milliseconds since 1970."""
    return cast(
        "int", await transaction.fetch_value(_SQL["queue_position"], workspace_id, float(scheduled_for_ms))
    )


async def queued_scheduled_for(transaction: Transaction, workspace_id: str, job_id: UUID) -> datetime | None:
    """When a waiting job is due; None when it is not in the queue."""
    return cast(
        "datetime | None", await transaction.fetch_value(_SQL["queued_scheduled_for"], workspace_id, job_id)
    )


async def wipe_completed(transaction: Transaction, workspace_id: str, job_id: UUID) -> bool:
    """Forget args, result and log of a completed job; False when it has not completed."""
    return await transaction.execute(_SQL["wipe_completed"], workspace_id, job_id) == 1


async def worker_is_draining(transaction: Transaction, workspace_id: str, job_id: UUID) -> bool:
    """Whether the worker that runs a job drains; False when none runs it."""
    return bool(await transaction.fetch_value(_SQL["worker_is_draining"], workspace_id, job_id))


async def now(transaction: Transaction) -> datetime:
    """The instant, by the database."""
    return cast("datetime", await transaction.fetch_value(_SQL["now"]))


async def database_clock(transaction: Transaction) -> int:
    """Milliseconds since 1970, by the database."""
    return cast("int", await transaction.fetch_value(_SQL["database_clock"]))


def _add_common(query: Composition, actor: Actor, filters: JobFilters) -> None:
    sees_all, own, folders, _ = visibility(actor)
    if not sees_all:
        query.add("filter_visible", actor.username, own, folders)
    for name in (
        "created_by",
        "parent_job",
        "script_path_exact",
        "script_path_start",
        "schedule_path",
        "script_hash",
        "created_before",
        "created_after",
        "job_kinds",
        "args",
        "tag",
        "trigger_kind",
        "is_flow_step",
        "has_null_parent",
        "is_not_schedule",
    ):
        query.add_if_given(f"filter_{name}", getattr(filters, name))
    query.add_if_given("filter_before_id" if filters.order_desc else "filter_after_id", filters.before_id)


async def _fetch(
    transaction: Transaction, query: Composition, filters: JobFilters, limit: int, offset: int
) -> list[Job]:
    query.add("newest_first" if filters.order_desc else "oldest_first", limit, offset)
    rows = await transaction.fetch(query.query, *query.values)
    return [_job(row, carried=filters.include_args, code=None) for row in rows]


def _is_running(row: Row) -> bool:
    """A flow runs from its first turn on, also while it waits."""
    return row["state"] == "running" or (row["kind"] in FLOW_KINDS and row["started_at"] is not None)


def _job(row: Row, *, carried: bool, code: Row | None) -> Job:
    status = row["status"]
    completed = status is not None
    return Job(
        type="CompletedJob" if completed else "QueuedJob",
        id=row["id"],
        workspace_id=row["workspace_id"],
        job_kind=row["kind"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        permissioned_as=row["permissioned_as"],
        email=row["email"],
        tag=row["tag"],
        visible_to_owner=row["visible_to_owner"],
        canceled=row["canceled_by"] is not None,
        is_flow_step=row["flow_step_id"] is not None,
        same_worker=msgspec.UNSET if completed else row["same_worker"],
        running=msgspec.UNSET if completed else _is_running(row),
        success=status in ("success", "skipped") if completed else msgspec.UNSET,
        is_skipped=status == "skipped" if completed else msgspec.UNSET,
        script_path=row["runnable_path"],
        script_hash=None if row["script_hash"] is None else hash_to_hex(row["script_hash"]),
        language=row["language"],
        args=raw(row["args"]) if carried else msgspec.UNSET,
        result=raw(row["result"]) if carried and completed else msgspec.UNSET,
        raw_code=code["raw_code"] if code else None,
        raw_lock=code["raw_lock"] if code else None,
        started_at=row["started_at"],
        scheduled_for=None if completed else row["scheduled_for"],
        completed_at=row["completed_at"],
        duration_ms=row["duration_ms"],
        parent_job=row["parent_job"],
        root_job=row["root_job"],
        flow_step_id=row["flow_step_id"],
        trigger_kind=row["trigger_kind"],
        schedule_path=row["schedule_path"],
        priority=row["priority"] or None,
        timeout=row["timeout_s"],
        mem_peak=None if row["memory_peak_bytes"] is None else row["memory_peak_bytes"] // 1024,
        canceled_by=row["canceled_by"],
        canceled_reason=row["canceled_reason"],
        labels=row["labels"],
        worker=row["worker_id"],
        sandbox=row["sandbox"],
        deleted=row["deleted"] or None,
    )
