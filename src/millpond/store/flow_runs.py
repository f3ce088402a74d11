"""Queries on running flows: where they stand, what is said to them, and what their children came to."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

from millpond.model.flow_runs import FlowJob, StoredRun
from millpond.store.pool import Row, Transaction
from millpond.store.queries import load
from millpond.store.queue import LABEL_SEPARATOR

_SQL = load("flow_runs")

_FACTS = tuple(name for name in FlowJob.__struct_fields__ if name != "args")


class Advance(NamedTuple):
    """Where a flow stands after a turn. `wake_secs` None: only what is said to it wakes it; `keeps_wake`: as before."""

    job_id: UUID
    version: int
    status: str
    args: str | None
    early_result: str | None
    wake_secs: float | None
    keeps_wake: bool


class FinishedRun(NamedTuple):
    """How a flow ended."""

    job_id: UUID
    status: str
    result: str
    labels: list[str] | None
    canceled_by: str | None = None
    canceled_reason: str | None = None


class ChildOutcome(NamedTuple):
    """A child job; `status` and `result` None: it has not ended."""

    id: UUID
    args: str
    status: str | None
    result: str | None


class ChildRow(NamedTuple):
    """A child job as lists of a flow's steps show it."""

    id: UUID
    step_place: str
    step_attempt: int
    step_index: int | None
    status: str | None
    duration_ms: int | None
    started_at: datetime | None


class LiveChild(NamedTuple):
    """A child that has not ended, held."""

    job_id: UUID
    state: str
    kind: str
    step_place: str
    step_attempt: int
    step_index: int | None
    concurrency_key: str | None
    has_begun: bool


async def get_run(transaction: Transaction, workspace_id: str, job_id: UUID) -> StoredRun | None:
    """A flow job with where it stands; None when there is no such flow job."""
    row = await transaction.fetch_row(_SQL["get_run"], workspace_id, job_id)
    return None if row is None else _run(row)


async def advance_runs(transaction: Transaction, workspace_id: str, advances: Sequence[Advance]) -> bool:
    """Store where flows stand; False when something happened to one of them meanwhile, and all must be undone."""
    ordered = sorted(advances)
    if len(ordered) > 1:
        await transaction.fetch(_SQL["lock_runs"], workspace_id, [advance.job_id for advance in ordered])
    columns = [list(column) for column in zip(*ordered, strict=True)]
    rows = await transaction.fetch(_SQL["advance_runs"], [workspace_id] * len(ordered), *columns)
    return len(rows) == len(ordered)


async def lock_runs(transaction: Transaction, workspace_id: str, job_ids: Sequence[UUID]) -> None:
    """Hold flows until the transaction ends, before anything of theirs in the queue is."""
    await transaction.fetch(_SQL["lock_runs"], workspace_id, list(job_ids))


async def settle_runs(
    transaction: Transaction, workspace_id: str, resting: Sequence[tuple[UUID, str | None]]
) -> None:
    """Let flows wait, as their statuses say, without a worker: or for the one they are pinned to from now on."""
    job_ids, pins = zip(*resting, strict=True)
    await transaction.execute(_SQL["settle_runs"], workspace_id, list(job_ids), list(pins))


async def finish_runs(transaction: Transaction, workspace_id: str, finished: Sequence[FinishedRun]) -> None:
    """End flows."""
    await transaction.execute(
        _SQL["finish_runs"],
        workspace_id,
        [run.job_id for run in finished],
        [run.status for run in finished],
        [run.result for run in finished],
        [LABEL_SEPARATOR.join(run.labels) if run.labels else None for run in finished],
        [run.canceled_by for run in finished],
        [run.canceled_reason for run in finished],
    )


async def label_finished(
    transaction: Transaction, workspace_id: str, job_id: UUID, labels: Sequence[str]
) -> None:
    """Label a flow that ended in the turn it began in."""
    await transaction.execute(_SQL["label_finished"], workspace_id, job_id, LABEL_SEPARATOR.join(labels))


async def tell_early(transaction: Transaction, job_ids: Sequence[UUID]) -> None:
    """Wake those who wait for flows that have an early result."""
    await transaction.execute(_SQL["tell_early"], list(job_ids))


async def post_messages(
    transaction: Transaction, workspace_id: str, flow_job: UUID, events: Sequence[str]
) -> bool:
    """Say things to a flow, JSON events; False when it is no flow, or has ended."""
    if await transaction.fetch_row(_SQL["touch_run"], workspace_id, flow_job) is None:
        return False
    return bool(await transaction.fetch_value(_SQL["post_messages"], workspace_id, flow_job, list(events)))


async def keep_items(
    transaction: Transaction,
    workspace_id: str,
    flow_job: UUID,
    module: str,
    attempt: int,
    items: Sequence[str],
) -> None:
    """Store what a loop goes over, JSON texts."""
    await transaction.execute(_SQL["keep_items"], workspace_id, flow_job, module, attempt, list(items))


async def get_items(
    transaction: Transaction,
    workspace_id: str,
    flow_job: UUID,
    module: str,
    attempt: int,
    first: int,
    count: int,
) -> list[str]:
    """Items `first` to `first + count - 1` of a loop; empty for a loop that goes over nothing, `while` say."""
    rows = await transaction.fetch(_SQL["get_items"], workspace_id, flow_job, module, attempt, first, count)
    return [row["item"] for row in rows]


async def get_child(
    transaction: Transaction,
    workspace_id: str,
    flow_job: UUID,
    module: str,
    attempt: int,
    index: int | None,
) -> ChildOutcome | None:
    """The child job at a place, if it was pushed."""
    if index is None:
        row = await transaction.fetch_row(_SQL["get_child"], workspace_id, flow_job, module, attempt)
    else:
        row = await transaction.fetch_row(
            _SQL["get_numbered_child"], workspace_id, flow_job, module, attempt, index
        )
    if row is None:
        return None
    return ChildOutcome(row["id"], row["args"] or "{}", row["status"], row["result"])


async def join_results(
    transaction: Transaction,
    workspace_id: str,
    flow_job: UUID,
    module: str,
    attempt: int,
    first: int,
    count: int,
) -> str:
    """The results of several children in order, joined by commas."""
    values = (workspace_id, flow_job, module, attempt, first, count)
    return cast("str | None", await transaction.fetch_value(_SQL["join_results"], *values)) or ""


async def list_children(transaction: Transaction, workspace_id: str, flow_job: UUID) -> list[ChildRow]:
    """All children of a flow."""
    rows = await transaction.fetch(_SQL["list_children"], workspace_id, flow_job)
    return [ChildRow(**{name: row[name] for name in ChildRow._fields}) for row in rows]


async def lock_live_children(transaction: Transaction, workspace_id: str, flow_job: UUID) -> list[LiveChild]:
    """Children that have not ended, held until the transaction ends."""
    rows = await transaction.fetch(_SQL["lock_live_children"], workspace_id, flow_job)
    return [LiveChild(**{name: row[name] for name in LiveChild._fields}) for row in rows]


async def append_line(transaction: Transaction, workspace_id: str, flow_job: UUID, line: str) -> None:
    """Add a line to the log of a flow."""
    await transaction.execute(_SQL["append_line"], workspace_id, flow_job, line + "\n")


def _run(row: Row) -> StoredRun:
    job = FlowJob(args=row["args"] or "{}", **{name: row[name] for name in _FACTS})
    return StoredRun(
        job=job,
        version=row["version"],
        status=row["status"],
        args=row["replaced_args"] or job.args,
        is_live=row["is_live"],
        is_due=bool(row["is_due"]),
        is_late=bool(row["is_late"]),
        wake_at=row["wake_at"],
        messages=row["messages"],
    )
