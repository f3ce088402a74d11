"""Queries on flows that are ended outside of their own turns: by force, or with the flow around them."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("flow_endings")


async def read_statuses(
    transaction: Transaction, workspace_id: str, flow_jobs: Sequence[UUID]
) -> dict[UUID, str]:
    """Where flows stand, JSON; without those that have not begun."""
    rows = await transaction.fetch(_SQL["read_statuses"], workspace_id, list(flow_jobs))
    return {row["job_id"]: row["status"] for row in rows}


async def write_statuses(transaction: Transaction, workspace_id: str, statuses: Mapping[UUID, str]) -> None:
    """Store where flows stand, whatever their version; the caller holds them."""
    await transaction.execute(_SQL["write_statuses"], workspace_id, list(statuses), list(statuses.values()))


async def lock_below(transaction: Transaction, workspace_id: str, flow_jobs: Sequence[UUID]) -> None:
    """Hold the flows that are told when flows are cancelled, in the order of ids, before any job below is held."""
    await transaction.fetch(_SQL["lock_below"], workspace_id, list(flow_jobs))
