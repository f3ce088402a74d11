"""Queries on resources, states included."""

from typing import NamedTuple

import msgspec

from millpond.model.actors import Actor
from millpond.model.resources import (
    NamedResource,
    NewResource,
    Resource,
    ResourceChange,
    ResourceFilters,
    SearchedResource,
)
from millpond.store.columns import contains, perms, raw, text
from millpond.store.pool import Row, Transaction
from millpond.store.queries import load
from millpond.store.visibility import visibility

_SQL = load("resources")


class StoredValue(NamedTuple):
    """A resource's value, with what decides who may see it."""

    value: str | None
    resource_type: str
    extra_perms: dict[str, bool]


class LockedResource(NamedTuple):
    """A row held for a change."""

    path: str
    resource_type: str
    extra_perms: dict[str, bool]


async def get_resource(transaction: Transaction, workspace_id: str, path: str) -> Resource | None:
    """One resource with its value."""
    row = await transaction.fetch_row(_SQL["get_resource"], workspace_id, path)
    return None if row is None else _resource(workspace_id, row, raw(row["value"]))


async def get_value(transaction: Transaction, workspace_id: str, path: str) -> StoredValue | None:
    """The value alone."""
    row = await transaction.fetch_row(_SQL["get_value"], workspace_id, path)
    return None if row is None else StoredValue(row["value"], row["resource_type"], perms(row["extra_perms"]))


async def get_values(
    transaction: Transaction, workspace_id: str, paths: list[str]
) -> list[tuple[str, StoredValue]]:
    """Those of the paths that are resources, with their values."""
    if not paths:
        return []
    rows = await transaction.fetch(_SQL["get_values"], workspace_id, paths)
    return [
        (row["path"], StoredValue(row["value"], row["resource_type"], perms(row["extra_perms"])))
        for row in rows
    ]


async def lock_value(transaction: Transaction, workspace_id: str, path: str) -> StoredValue | None:
    """The row with its value, held until the transaction ends."""
    row = await transaction.fetch_row(_SQL["lock_value"], workspace_id, path)
    return None if row is None else StoredValue(row["value"], row["resource_type"], perms(row["extra_perms"]))


async def lock_resource(transaction: Transaction, workspace_id: str, path: str) -> LockedResource | None:
    """The row, held until the transaction ends."""
    row = await transaction.fetch_row(_SQL["lock_resource"], workspace_id, path)
    return (
        None if row is None else LockedResource(row["path"], row["resource_type"], perms(row["extra_perms"]))
    )


async def resource_exists(transaction: Transaction, workspace_id: str, path: str) -> bool:
    """Whether the path is taken."""
    return bool(await transaction.fetch_value(_SQL["resource_exists"], workspace_id, path))


async def list_resources(
    transaction: Transaction, actor: Actor, filters: ResourceFilters, limit: int, offset: int
) -> list[Resource]:
    """Visible resources, values left out."""
    rows = await transaction.fetch(
        _SQL["list_resources"],
        actor.workspace_id,
        *visibility(actor),
        filters.resource_types,
        filters.excluded_types,
        filters.path_start,
        filters.path,
        contains(filters.description),
        filters.value,
        contains(filters.broad_filter),
        filters.labels,
        limit,
        offset,
    )
    return [_resource(actor.workspace_id, row, msgspec.Raw(b"null")) for row in rows]


async def search_resources(transaction: Transaction, actor: Actor) -> list[SearchedResource]:
    """Up to 1000 visible paths and values."""
    rows = await transaction.fetch(_SQL["search_resources"], actor.workspace_id, *visibility(actor))
    return [SearchedResource(path=row["path"], value=raw(row["value"])) for row in rows]


async def list_names(transaction: Transaction, actor: Actor, resource_type: str) -> list[NamedResource]:
    """The names inside the values of one type."""
    rows = await transaction.fetch(_SQL["list_names"], actor.workspace_id, *visibility(actor), resource_type)
    return [NamedResource(name=row["name"], path=row["path"]) for row in rows]


async def insert_resource(
    transaction: Transaction, actor: Actor, new: NewResource, *, overwrite: bool
) -> bool:
    """Create a resource; False, changing nothing, when the path is taken and `overwrite` is off."""
    query = _SQL["upsert_resource"] if overwrite else _SQL["insert_resource"]
    inserted = await transaction.execute(
        query,
        actor.workspace_id,
        new.path,
        text(new.value),
        new.description,
        new.resource_type,
        new.labels,
        actor.username,
    )
    return inserted == 1


async def put_state(transaction: Transaction, actor: Actor, new: NewResource) -> bool:
    """Create or overwrite a state; False when a resource of another type is at its path."""
    values = (actor.workspace_id, new.path, text(new.value), new.description, actor.username)
    return await transaction.execute(_SQL["put_state"], *values) == 1


async def update_resource(
    transaction: Transaction, workspace_id: str, path: str, change: ResourceChange
) -> None:
    """Apply a change to a locked row."""
    value, description, labels = change.value, change.description, change.labels
    await transaction.execute(
        _SQL["update_resource"],
        workspace_id,
        path,
        change.path or path,
        value is not msgspec.UNSET,
        None if value is msgspec.UNSET else text(value),
        description is not msgspec.UNSET,
        None if description is msgspec.UNSET else description,
        change.resource_type,
        labels is not msgspec.UNSET,
        None if labels is msgspec.UNSET else labels,
    )


async def update_value(transaction: Transaction, workspace_id: str, path: str, value: msgspec.Raw) -> bool:
    """Replace the value; False when there is no such resource."""
    return await transaction.execute(_SQL["update_value"], workspace_id, path, text(value)) == 1


async def delete_resource(transaction: Transaction, workspace_id: str, path: str) -> bool:
    """Delete a resource; False when there was none."""
    return await transaction.execute(_SQL["delete_resource"], workspace_id, path) == 1


def _resource(workspace_id: str, row: Row, value: msgspec.Raw) -> Resource:
    return Resource(
        workspace_id=workspace_id,
        path=row["path"],
        value=value,
        description=row["description"],
        resource_type=row["resource_type"],
        extra_perms=perms(row["extra_perms"]),
        labels=row["labels"] or msgspec.UNSET,
        created_by=row["created_by"],
        edited_at=row["edited_at"],
        is_linked=row["is_linked"],
    )
