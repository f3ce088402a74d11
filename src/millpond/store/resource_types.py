"""Queries on the resource types a workspace has declared itself."""

import msgspec

from millpond.model.actors import Actor
from millpond.model.resource_types import NewResourceType, ResourceType, ResourceTypeChange
from millpond.store.columns import raw, text
from millpond.store.pool import Row, Transaction
from millpond.store.queries import load

_SQL = load("resource_types")


async def list_resource_types(transaction: Transaction, workspace_id: str) -> list[ResourceType]:
    """The workspace's own types by name."""
    rows = await transaction.fetch(_SQL["list_resource_types"], workspace_id)
    return [_resource_type(workspace_id, row) for row in rows]


async def get_resource_type(transaction: Transaction, workspace_id: str, name: str) -> ResourceType | None:
    """One of the workspace's own types."""
    row = await transaction.fetch_row(_SQL["get_resource_type"], workspace_id, name)
    return None if row is None else _resource_type(workspace_id, row)


async def lock_resource_type(transaction: Transaction, workspace_id: str, name: str) -> ResourceType | None:
    """The row, held until the transaction ends."""
    row = await transaction.fetch_row(_SQL["lock_resource_type"], workspace_id, name)
    return None if row is None else _resource_type(workspace_id, row)


async def insert_resource_type(transaction: Transaction, actor: Actor, new: NewResourceType) -> bool:
    """Create a type; False, changing nothing, when the workspace has one of that name."""
    inserted = await transaction.execute(
        _SQL["insert_resource_type"],
        actor.workspace_id,
        new.name,
        text(new.schema),
        new.description,
        actor.username,
        new.format_extension,
        bool(new.is_fileset),
    )
    return inserted == 1


async def update_resource_type(
    transaction: Transaction, workspace_id: str, name: str, change: ResourceTypeChange
) -> None:
    """Apply a change to a locked row."""
    schema, description, extension = change.schema, change.description, change.format_extension
    await transaction.execute(
        _SQL["update_resource_type"],
        workspace_id,
        name,
        schema is not msgspec.UNSET,
        None if schema is msgspec.UNSET else text(schema),
        description is not msgspec.UNSET,
        None if description is msgspec.UNSET else description,
        extension is not msgspec.UNSET,
        None if extension is msgspec.UNSET else extension,
        change.is_fileset,
    )


async def delete_resource_type(transaction: Transaction, workspace_id: str, name: str) -> bool:
    """Delete a type; False when the workspace has none of that name."""
    return await transaction.execute(_SQL["delete_resource_type"], workspace_id, name) == 1


def _resource_type(workspace_id: str, row: Row) -> ResourceType:
    return ResourceType(
        workspace_id=workspace_id,
        name=row["name"],
        schema=raw(row["schema"]),
        description=row["description"],
        created_by=row["created_by"],
        edited_at=row["edited_at"],
        format_extension=row["format_extension"],
        is_fileset=row["is_fileset"],
    )
