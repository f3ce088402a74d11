"""Queries on the server itself, for `millpond doctor`."""

from typing import cast

from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("diagnosis")


async def server_version(transaction: Transaction) -> str:
    """The version of the PostgreSQL server, such as `18.1`."""
    return cast("str", await transaction.fetch_value(_SQL["server_version"]))
