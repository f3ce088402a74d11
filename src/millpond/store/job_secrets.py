"""Queries on the secrets that running jobs have read; values stay sealed here."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("job_secrets")


class SealedSecret(NamedTuple):
    """A secret that the job `printer`, or one above it, has read.

    `number` names the row, so that a reader asks for the rows it lacks.
    """

    printer: UUID
    number: int
    path: str
    sealed_value: str


async def record(
    transaction: Transaction, workspace_id: str, job_id: UUID, path: str, sealed_value: str
) -> None:
    """Note that a job has read a secret. It must be committed before the value leaves the server."""
    await transaction.execute(_SQL["record"], workspace_id, job_id, path, sealed_value)


async def list_new(
    transaction: Transaction, workspace_id: str, printers: Sequence[UUID], known: Sequence[tuple[UUID, int]]
) -> list[SealedSecret]:
    """What jobs that print and those above them have read, without the rows `known` of a printer by number."""
    rows = await transaction.fetch(
        _SQL["list_new"],
        workspace_id,
        list(printers),
        [printer for printer, _ in known],
        [number for _, number in known],
    )
    return [SealedSecret(row["printer"], row["number"], row["path"], row["sealed_value"]) for row in rows]


async def delete_of_ended_jobs(transaction: Transaction) -> int:
    """Forget what ended jobs left behind, for maintenance; the number of rows."""
    return await transaction.execute(_SQL["delete_of_ended_jobs"])
