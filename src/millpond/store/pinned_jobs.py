"""Queries on jobs that only one worker may take."""

from typing import cast

from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("pinned_jobs")


async def missing_pins(transaction: Transaction) -> set[str]:
    """What jobs are pinned to, `name@host`, while no worker of that name lives."""
    return {row["pinned_to"] for row in await transaction.fetch(_SQL["missing_pins"])}


async def move_pins(transaction: Transaction, pin: str) -> int:
    """Pin what is pinned to a worker that is gone to living ones, all of a flow to the same; the number of jobs."""
    return cast("int", await transaction.fetch_value(_SQL["move_pins"], pin))
