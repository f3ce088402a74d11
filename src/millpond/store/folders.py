"""Queries on folders."""

from millpond.model.actors import Actor
from millpond.model.folders import Folder, FolderUsage, NewFolder
from millpond.store.columns import json_text, perms
from millpond.store.pool import Row, Transaction
from millpond.store.queries import load

_SQL = load("folders")


async def list_folders(transaction: Transaction, actor: Actor, limit: int, offset: int) -> list[Folder]:
    """Folders the actor may read, by name."""
    seen = sorted(actor.readable_folders)
    rows = await transaction.fetch(
        _SQL["list_folders"], actor.workspace_id, actor.is_admin, seen, limit, offset
    )
    return [_folder(actor.workspace_id, row) for row in rows]


async def list_folder_names(transaction: Transaction, actor: Actor) -> list[str]:
    """Names of the folders the actor may read."""
    seen = sorted(actor.readable_folders)
    rows = await transaction.fetch(_SQL["list_folder_names"], actor.workspace_id, actor.is_admin, seen)
    return [row["name"] for row in rows]


async def get_folder(transaction: Transaction, workspace_id: str, name: str) -> Folder | None:
    """One folder."""
    row = await transaction.fetch_row(_SQL["get_folder"], workspace_id, name)
    return None if row is None else _folder(workspace_id, row)


async def lock_folder(transaction: Transaction, workspace_id: str, name: str) -> Folder | None:
    """One folder, held until the transaction ends."""
    row = await transaction.fetch_row(_SQL["lock_folder"], workspace_id, name)
    return None if row is None else _folder(workspace_id, row)


async def folder_exists(transaction: Transaction, workspace_id: str, name: str) -> bool:
    """Whether the name is taken."""
    return bool(await transaction.fetch_value(_SQL["folder_exists"], workspace_id, name))


async def count_items(transaction: Transaction, workspace_id: str, name: str) -> FolderUsage:
    """How many items lie in a folder."""
    row = await transaction.fetch_row(_SQL["count_items"], workspace_id, f"f/{name}/")
    assert row is not None
    return FolderUsage(scripts=row["scripts"], resources=row["resources"], variables=row["variables"])


async def has_items(transaction: Transaction, workspace_id: str, name: str) -> bool:
    """Whether anything lies below the folder's path, the folder existing or not."""
    return bool(await transaction.fetch_value(_SQL["has_items"], workspace_id, f"f/{name}/"))


async def insert_folder(transaction: Transaction, actor: Actor, new: NewFolder) -> bool:
    """Create a folder; False when the name is taken."""
    inserted = await transaction.execute(
        _SQL["insert_folder"],
        actor.workspace_id,
        new.name,
        new.display_name or new.name,
        new.summary,
        new.owners or [],
        json_text(new.extra_perms or {}),
        actor.username,
    )
    return inserted == 1


async def update_folder(transaction: Transaction, folder: Folder) -> None:
    """Write a locked folder as it shall be."""
    await transaction.execute(
        _SQL["update_folder"],
        folder.workspace_id,
        folder.name,
        folder.display_name,
        folder.summary,
        folder.owners,
        json_text(folder.extra_perms),
    )


async def delete_folder(transaction: Transaction, workspace_id: str, name: str) -> None:
    """Delete a folder; what lies in it stays."""
    await transaction.execute(_SQL["delete_folder"], workspace_id, name)


def _folder(workspace_id: str, row: Row) -> Folder:
    return Folder(
        workspace_id=workspace_id,
        name=row["name"],
        display_name=row["display_name"],
        summary=row["summary"],
        owners=list(row["owners"]),
        extra_perms=perms(row["extra_perms"]),
        created_by=row["created_by"],
        edited_at=row["edited_at"],
    )
