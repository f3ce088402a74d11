"""Queries on results kept for equal runs."""

from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("result_cache")


class CachedResult(NamedTuple):
    """A result, JSON text, of the run `job_id`, which ended at `created_at`."""

    result: str
    job_id: UUID
    created_at: datetime


class NewResult(NamedTuple):
    """A result to keep for `ttl_s` seconds; `path` and `permissioned_as` say what it is of, to whoever looks through."""

    workspace_id: str
    key: bytes
    result: str
    path: str | None
    permissioned_as: str
    job_id: UUID
    ttl_s: int


async def find(transaction: Transaction, workspace_id: str, key: bytes) -> CachedResult | None:
    """The result kept for a key; None when there is none that is still good."""
    row = await transaction.fetch_row(_SQL["find"], workspace_id, key)
    return None if row is None else CachedResult(row["result"], row["job_id"], row["created_at"])


async def keep(transaction: Transaction, new: NewResult) -> None:
    """Keep a result; it takes the place of an earlier one."""
    await transaction.execute(
        _SQL["keep"],
        new.workspace_id,
        new.key,
        new.result,
        new.path,
        new.permissioned_as,
        new.job_id,
        float(new.ttl_s),
    )


async def note_flow_key(transaction: Transaction, workspace_id: str, flow_job: UUID, key: bytes) -> None:
    """Remember under which key the result of a flow is to be kept."""
    await transaction.execute(_SQL["note_flow_key"], workspace_id, flow_job, key)


async def get_flow_key(transaction: Transaction, workspace_id: str, flow_job: UUID) -> bytes | None:
    """That key; None when the flow began without one."""
    return cast("bytes | None", await transaction.fetch_value(_SQL["get_flow_key"], workspace_id, flow_job))


async def delete_expired(transaction: Transaction, most: int) -> int:
    """Forget results that are too old, for maintenance; how many, up to `most`."""
    return await transaction.execute(_SQL["delete_expired"], most)
