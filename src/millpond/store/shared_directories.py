"""Queries on the flows whose steps share a directory."""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

import msgspec

from millpond.model.flows import SharedDirectory
from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("shared_directories")

REMEMBERED_DAYS = 7


class FlowKey(NamedTuple):
    """A flow job."""

    workspace_id: str
    flow_job: UUID


class SharingFlow(NamedTuple):
    """The flow job a directory belongs to, and how its definition wants it kept."""

    flow_job: UUID
    settings: SharedDirectory


class Hold(NamedTuple):
    """Who holds the directory of a flow, and whether that is new."""

    held_by: str
    is_new: bool


async def flow_of(transaction: Transaction, workspace_id: str, flow_job: UUID) -> SharingFlow | None:
    """Whose directory the steps of a `same_worker` flow job share; None when there is no such job."""
    row = await transaction.fetch_row(_SQL["flow_of"], workspace_id, flow_job)
    if row is None:
        return None
    settings = msgspec.json.decode(row["settings"] or "null", type=SharedDirectory | None)
    return SharingFlow(row["id"], settings or SharedDirectory())


async def hold(transaction: Transaction, flow: FlowKey, held_by: str) -> Hold:
    """Have a worker hold the directory of a flow, unless one holds it already."""
    row = await transaction.fetch_row(_SQL["hold"], flow.workspace_id, flow.flow_job, held_by)
    assert row is not None
    return Hold(row["held_by"], row["is_new"])


async def let_go(transaction: Transaction, flow: FlowKey, held_by: str) -> None:
    """A worker has removed the directory of a flow that has ended; nothing changes when another holds it."""
    await transaction.execute(_SQL["let_go"], flow.workspace_id, flow.flow_job, held_by)


async def delete_ended(transaction: Transaction, limit: int) -> int:
    """Forget directories of flows that ended long ago, for maintenance; how many, at most `limit`."""
    return await transaction.execute(_SQL["delete_ended"], limit, REMEMBERED_DAYS)


async def list_kept(transaction: Transaction, flows: Iterable[FlowKey]) -> set[FlowKey]:
    """Those of some flows that go on, or ended too lately for their directory to be removed."""
    columns = [list(column) for column in zip(*flows, strict=True)] or [[], []]
    rows = await transaction.fetch(_SQL["list_kept"], *columns)
    return {FlowKey(row["workspace_id"], row["job_id"]) for row in rows}
