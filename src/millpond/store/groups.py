"""Queries on groups and their members."""

from millpond.model.groups import Group, NewGroup
from millpond.store.columns import perms
from millpond.store.pool import Row, Transaction
from millpond.store.queries import load

_SQL = load("groups")


async def list_groups(transaction: Transaction, workspace_id: str, limit: int, offset: int) -> list[Group]:
    """Groups by name."""
    rows = await transaction.fetch(_SQL["list_groups"], workspace_id, limit, offset)
    return [_group(workspace_id, row) for row in rows]


async def get_group(transaction: Transaction, workspace_id: str, name: str) -> Group | None:
    """One group."""
    row = await transaction.fetch_row(_SQL["get_group"], workspace_id, name)
    return None if row is None else _group(workspace_id, row)


async def list_group_names(transaction: Transaction, workspace_id: str, username: str | None) -> list[str]:
    """Names of all groups, or of those a member is in."""
    return [row["name"] for row in await transaction.fetch(_SQL["list_group_names"], workspace_id, username)]


async def lock_group(transaction: Transaction, workspace_id: str, name: str) -> dict[str, bool] | None:
    """Who may manage the group, held until the transaction ends; None when there is no such group."""
    row = await transaction.fetch_row(_SQL["lock_group"], workspace_id, name)
    return None if row is None else perms(row["extra_perms"])


async def is_granted(transaction: Transaction, workspace_id: str, principal: str) -> bool:
    """Whether something is granted to a principal, or lies below it."""
    return bool(await transaction.fetch_value(_SQL["is_granted"], workspace_id, principal))


async def insert_group(transaction: Transaction, workspace_id: str, new: NewGroup, manager: str) -> bool:
    """Create a group that `manager` may manage; False when the name is taken."""
    return await transaction.execute(_SQL["insert_group"], workspace_id, new.name, new.summary, manager) == 1


async def update_group(transaction: Transaction, workspace_id: str, name: str, summary: str | None) -> None:
    """Set the summary of a locked group."""
    await transaction.execute(_SQL["update_group"], workspace_id, name, summary)


async def delete_group(transaction: Transaction, workspace_id: str, name: str) -> None:
    """Delete a group with its memberships."""
    await transaction.execute(_SQL["delete_group"], workspace_id, name)


async def add_member(transaction: Transaction, workspace_id: str, name: str, username: str) -> None:
    """Put a member into a group. Raises NotFound when the workspace has no such user."""
    await transaction.execute(_SQL["add_group_member"], workspace_id, name, username)


async def remove_member(transaction: Transaction, workspace_id: str, name: str, username: str) -> bool:
    """Take a member out of a group; False when it was not in it."""
    return await transaction.execute(_SQL["remove_group_member"], workspace_id, name, username) == 1


def _group(workspace_id: str, row: Row) -> Group:
    return Group(
        workspace_id=workspace_id,
        name=row["name"],
        summary=row["summary"],
        members=list(row["members"]),
        extra_perms=perms(row["extra_perms"]),
    )
