"""Queries on the members of a workspace."""

from datetime import datetime
from typing import NamedTuple, cast

from millpond.model.actors import Role
from millpond.model.groups import ALL
from millpond.model.members import Member
from millpond.store.pool import Row, Transaction
from millpond.store.queries import load

_SQL = load("members")


class ActorDescription(NamedTuple):
    """What an actor does not carry with it; `role` is None for a superadmin who is no member."""

    created_at: datetime
    role: Role | None
    disabled: bool
    name: str | None


async def list_members(transaction: Transaction, workspace_id: str, limit: int, offset: int) -> list[Member]:
    """Members by username."""
    rows = await transaction.fetch(_SQL["list_members"], workspace_id, limit, offset)
    return [_member(workspace_id, row) for row in rows]


async def get_member(transaction: Transaction, workspace_id: str, username: str) -> Member | None:
    """One member."""
    row = await transaction.fetch_row(_SQL["get_member"], workspace_id, username)
    return None if row is None else _member(workspace_id, row)


async def describe_actor(transaction: Transaction, workspace_id: str, email: str) -> ActorDescription | None:
    """What is known of an actor beyond its rights; None when the workspace is gone."""
    row = await transaction.fetch_row(_SQL["describe_actor"], workspace_id, email)
    return (
        None
        if row is None
        else ActorDescription(row["created_at"], row["role"], row["disabled"], row["name"])
    )


async def list_usernames(transaction: Transaction, workspace_id: str) -> list[str]:
    """Usernames alone."""
    return [row["username"] for row in await transaction.fetch(_SQL["list_usernames"], workspace_id)]


async def username_to_email(transaction: Transaction, workspace_id: str, username: str) -> str | None:
    """The e-mail behind a username."""
    return cast(
        "str | None", await transaction.fetch_value(_SQL["username_to_email"], workspace_id, username)
    )


async def insert_member(
    transaction: Transaction, workspace_id: str, username: str, email: str, role: Role
) -> bool:
    """Make an account a member; False when there is none, or the username is taken. Raises Conflict."""
    return await transaction.execute(_SQL["insert_member"], workspace_id, username, email, role) == 1


async def lock_workspace(transaction: Transaction, workspace_id: str) -> None:
    """Keep other changes of members out until the transaction ends."""
    await transaction.execute(_SQL["lock_workspace"], workspace_id)


async def other_admin_exists(transaction: Transaction, workspace_id: str, username: str) -> bool:
    """Whether someone else could still administer the workspace."""
    return bool(await transaction.fetch_value(_SQL["other_admin_exists"], workspace_id, username))


async def update_member(
    transaction: Transaction, workspace_id: str, username: str, role: Role, *, disabled: bool
) -> None:
    """Set the role, and whether the member may enter."""
    await transaction.execute(_SQL["update_member"], workspace_id, username, role, disabled)


async def delete_member(transaction: Transaction, workspace_id: str, username: str) -> None:
    """Remove a member, from groups too."""
    await transaction.execute(_SQL["delete_member"], workspace_id, username)


def _member(workspace_id: str, row: Row) -> Member:
    role = cast("Role", row["role"])
    return Member(
        workspace_id=workspace_id,
        username=row["username"],
        email=row["email"],
        name=row["name"],
        role=role,
        is_admin=role == "admin" or row["is_superadmin"],
        is_super_admin=row["is_superadmin"],
        operator=role == "operator" and not row["is_superadmin"],
        disabled=row["disabled"],
        created_at=row["created_at"],
        groups=[ALL, *row["groups"]],
    )
