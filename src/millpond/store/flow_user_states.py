"""Queries on what steps of a flow tell each other. `flow_job` is always the outermost flow."""

from typing import cast
from uuid import UUID

from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("flow_user_states")


async def get_value(transaction: Transaction, workspace_id: str, flow_job: UUID, key: str) -> str | None:
    """What is kept under a key, JSON text; None when nothing is."""
    return cast("str | None", await transaction.fetch_value(_SQL["get_value"], workspace_id, flow_job, key))


async def list_values(transaction: Transaction, workspace_id: str, flow_job: UUID) -> dict[str, str]:
    """All keys in order, with JSON texts."""
    rows = await transaction.fetch(_SQL["list_values"], workspace_id, flow_job)
    return {row["key"]: row["value"] for row in rows}


async def set_value(
    transaction: Transaction, workspace_id: str, flow_job: UUID, key: str, value: str
) -> bool:
    """Keep a value; False, changing nothing, when the flow has ended."""
    return await transaction.execute(_SQL["set_value"], workspace_id, flow_job, key, value) == 1


async def hold_flow(transaction: Transaction, workspace_id: str, flow_job: UUID) -> bool:
    """Keep the flow from ending until the commit; False when it has."""
    return bool(await transaction.fetch_value(_SQL["hold_flow"], workspace_id, flow_job))


async def lock_value(transaction: Transaction, workspace_id: str, flow_job: UUID, key: str) -> str:
    """What is kept under a key, `0` when nothing was, held against other writers until the commit."""
    await transaction.execute(_SQL["ensure_key"], workspace_id, flow_job, key)
    return cast("str", await transaction.fetch_value(_SQL["lock_value"], workspace_id, flow_job, key))


async def delete_value(transaction: Transaction, workspace_id: str, flow_job: UUID, key: str) -> bool:
    """Forget a key; False when it was not there."""
    return await transaction.execute(_SQL["delete_value"], workspace_id, flow_job, key) == 1


async def copy_values(transaction: Transaction, workspace_id: str, flow_job: UUID, to_flow_job: UUID) -> None:
    """Give a run that is restarted from another what that one's steps told each other."""
    await transaction.execute(_SQL["copy_values"], workspace_id, flow_job, to_flow_job)
