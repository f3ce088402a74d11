"""Queries on variables. Values of secrets are ciphertext here, in both directions."""

from typing import NamedTuple

import msgspec

from millpond.model.actors import Actor
from millpond.model.variables import NewVariable, Variable, VariableChange, VariableFilters
from millpond.store.columns import contains, perms
from millpond.store.pool import Row, Transaction
from millpond.store.queries import load
from millpond.store.visibility import visibility

_SQL = load("variables")


class StoredVariable(NamedTuple):
    """A variable's value as stored, with what decides who may see it."""

    path: str
    value: str
    is_secret: bool
    extra_perms: dict[str, bool]


async def get_variable(transaction: Transaction, workspace_id: str, path: str) -> Variable | None:
    """One variable, its value as stored."""
    row = await transaction.fetch_row(_SQL["get_variable"], workspace_id, path)
    return None if row is None else _variable(workspace_id, row)


async def get_values(transaction: Transaction, workspace_id: str, paths: list[str]) -> list[StoredVariable]:
    """Those of the paths that are variables."""
    if not paths:
        return []
    return [_stored(row) for row in await transaction.fetch(_SQL["get_values"], workspace_id, paths)]


async def lock_variable(transaction: Transaction, workspace_id: str, path: str) -> StoredVariable | None:
    """The row, held until the transaction ends."""
    row = await transaction.fetch_row(_SQL["lock_variable"], workspace_id, path)
    return None if row is None else _stored(row)


async def variable_exists(transaction: Transaction, workspace_id: str, path: str) -> bool:
    """Whether the path is taken."""
    return bool(await transaction.fetch_value(_SQL["variable_exists"], workspace_id, path))


async def list_variables(
    transaction: Transaction, actor: Actor, filters: VariableFilters, limit: int, offset: int
) -> list[Variable]:
    """Visible variables by path, values of secrets left out."""
    rows = await transaction.fetch(
        _SQL["list_variables"],
        actor.workspace_id,
        *visibility(actor),
        filters.path_start,
        filters.path,
        contains(filters.description),
        contains(filters.value),
        contains(filters.broad_filter),
        filters.labels,
        limit,
        offset,
    )
    return [_variable(actor.workspace_id, row) for row in rows]


async def insert_variable(
    transaction: Transaction, actor: Actor, new: NewVariable, stored_value: str
) -> bool:
    """Create a variable; False, changing nothing, when the path is taken."""
    inserted = await transaction.execute(
        _SQL["insert_variable"],
        actor.workspace_id,
        new.path,
        stored_value,
        new.is_secret,
        new.description,
        new.labels,
        new.account,
        bool(new.is_oauth),
        new.expires_at,
        actor.username,
    )
    return inserted == 1


async def update_variable(
    transaction: Transaction, actor: Actor, path: str, change: VariableChange, stored_value: str | None
) -> None:
    """Apply a change to a locked row; `stored_value` None leaves the value."""
    new_path = change.path or path
    if new_path != path:
        await transaction.execute(_SQL["delete_expired_at"], actor.workspace_id, new_path)
    await transaction.execute(
        _SQL["update_variable"],
        actor.workspace_id,
        path,
        new_path,
        stored_value,
        change.is_secret,
        change.description,
        change.labels is not msgspec.UNSET,
        None if change.labels is msgspec.UNSET else change.labels,
        change.expires_at is not msgspec.UNSET,
        None if change.expires_at is msgspec.UNSET else change.expires_at,
        actor.username,
    )


async def delete_variable(transaction: Transaction, workspace_id: str, path: str) -> bool:
    """Delete a variable; False when there was none."""
    return await transaction.execute(_SQL["delete_variable"], workspace_id, path) == 1


def _stored(row: Row) -> StoredVariable:
    return StoredVariable(row["path"], row["value"], row["is_secret"], perms(row["extra_perms"]))


def _variable(workspace_id: str, row: Row) -> Variable:
    return Variable(
        workspace_id=workspace_id,
        path=row["path"],
        value=row["value"],
        is_secret=row["is_secret"],
        description=row["description"],
        extra_perms=perms(row["extra_perms"]),
        labels=row["labels"] or None,
        account=row["account"],
        is_oauth=row["is_oauth"],
        expires_at=row["expires_at"],
        edited_by=row["edited_by"],
        edited_at=row["edited_at"],
        is_linked=row["is_linked"],
    )
