"""Queries on workspaces."""

from typing import cast

from millpond.model.workspaces import Workspace, WorkspaceMembership
from millpond.store.pool import Row, Transaction
from millpond.store.queries import load

_SQL = load("workspaces")

_JOB_TABLES = ("delete_queue", "delete_logs", "delete_completed", "delete_jobs")
"""Tables of jobs do not refer to their workspace, so that writing a job is cheap: emptied by hand."""


async def list_memberships(
    transaction: Transaction, email: str, bound_to: str | None
) -> list[WorkspaceMembership]:
    """Workspaces an account is a member of, and who it is there."""
    rows = await transaction.fetch(_SQL["list_workspaces_of_account"], email, bound_to)
    return [
        WorkspaceMembership(
            id=row["id"],
            name=row["name"],
            username=row["username"],
            role=row["role"],
            disabled=row["disabled"],
        )
        for row in rows
    ]


async def list_of_account(transaction: Transaction, email: str, bound_to: str | None) -> list[Workspace]:
    """Workspaces an account may enter as a member."""
    rows = await transaction.fetch(_SQL["list_workspaces_of_account"], email, bound_to)
    return [_workspace(row) for row in rows if not row["disabled"]]


async def list_workspaces(transaction: Transaction, limit: int, offset: int) -> list[Workspace]:
    """All workspaces, archived ones included."""
    return [_workspace(row) for row in await transaction.fetch(_SQL["list_workspaces"], limit, offset)]


async def get_workspace(transaction: Transaction, workspace_id: str) -> Workspace | None:
    """One workspace."""
    row = await transaction.fetch_row(_SQL["get_workspace"], workspace_id)
    return None if row is None else _workspace(row)


async def workspace_exists(transaction: Transaction, workspace_id: str) -> bool:
    """Whether the id is taken."""
    return bool(await transaction.fetch_value(_SQL["workspace_exists"], workspace_id))


async def username_exists(transaction: Transaction, workspace_id: str, username: str) -> bool:
    """Whether the username is taken in the workspace."""
    return bool(await transaction.fetch_value(_SQL["username_exists"], workspace_id, username))


async def insert_workspace(
    transaction: Transaction, workspace_id: str, name: str, owner: str, sealed_key: bytes
) -> bool:
    """Create a workspace with the group of all its members; False when the id is taken."""
    if await transaction.execute(_SQL["insert_workspace"], workspace_id, name, owner, sealed_key) == 0:
        return False
    await transaction.execute(_SQL["insert_group_all"], workspace_id)
    return True


async def get_sealed_key(transaction: Transaction, workspace_id: str) -> bytes | None:
    """The workspace's key as it is kept: wrapped."""
    return cast("bytes | None", await transaction.fetch_value(_SQL["get_sealed_key"], workspace_id))


async def rename_workspace(transaction: Transaction, workspace_id: str, name: str) -> None:
    """Give it another name."""
    await transaction.execute(_SQL["rename_workspace"], workspace_id, name)


async def set_archived(transaction: Transaction, workspace_id: str, *, archived: bool) -> bool:
    """Archive it or bring it back; False when there is none, or it is so already."""
    return await transaction.execute(_SQL["set_archived"], workspace_id, archived) == 1


async def delete_archived_workspace(transaction: Transaction, workspace_id: str) -> bool:
    """Delete an archived workspace and all in it; False, changing nothing, when it is not archived."""
    if await transaction.execute(_SQL["delete_archived_workspace"], workspace_id) == 0:
        return False
    for query in _JOB_TABLES:
        await transaction.execute(_SQL[query], workspace_id)
    return True


def _workspace(row: Row) -> Workspace:
    return Workspace(
        id=row["id"],
        name=row["name"],
        owner=row["owner"],
        created_at=row["created_at"],
        deleted=row["archived"],
    )
