"""Queries on the secrets that running jobs have read; values stay sealed here."""

from typing import NamedTuple
from uuid import UUID

from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("job_secrets")


class SealedSecret(NamedTuple):
    """A secret a job has read, running as `read_as`; `number` names the row, so that a reader asks for the rows it lacks.

    `read_as` is None when the job was deleted.
    """

    number: int
    job_id: UUID
    read_as: str | None
    path: str
    sealed_value: str


async def record(
    transaction: Transaction, workspace_id: str, job_id: UUID, path: str, sealed_value: str
) -> None:
    """Note that a job has read a secret. It must be committed before the value leaves the server."""
    await transaction.execute(_SQL["record"], workspace_id, job_id, path, sealed_value)


async def list_new(
    transaction: Transaction, workspace_id: str, job_ids: list[UUID], known: list[int]
) -> list[SealedSecret]:
    """What the jobs have read, without the rows whose numbers are `known`."""
    rows = await transaction.fetch(_SQL["list_new"], workspace_id, job_ids, known)
    return [
        SealedSecret(row["number"], row["job_id"], row["read_as"], row["path"], row["sealed_value"])
        for row in rows
    ]


async def delete_of_ended_jobs(transaction: Transaction) -> int:
    """Forget what ended jobs left behind, for maintenance; the number of rows."""
    return await transaction.execute(_SQL["delete_of_ended_jobs"])
