"""Members of a workspace: their shapes on the wire (compat facts, clients 3.8)."""

from datetime import datetime

import msgspec

from millpond.model.actors import Role


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a workspace. `groups` always holds `all`."""

    workspace_id: str
    username: str
    email: str
    name: str | None
    role: Role
    is_admin: bool
    is_super_admin: bool
    operator: bool
    disabled: bool
    created_at: datetime
    groups: list[str]


class Whoami(Member, frozen=True, kw_only=True):
    """The one who asks, with the folders that are open: `folders` to write, `folders_read` to read."""

    folders: list[str]
    folders_owners: list[str]
    folders_read: list[str]


class MemberChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a member; what is left out stays as it is."""

    is_admin: bool | None = None
    operator: bool | None = None
    disabled: bool | None = None


class Username(msgspec.Struct, frozen=True, kw_only=True):
    """The body that names a member."""

    username: str


def role_of(*, is_admin: bool, is_operator: bool) -> Role:
    """Windmill's two flags as one role; `is_admin` wins."""
    if is_admin:
        return "admin"
    return "operator" if is_operator else "developer"


def changed_role(role: Role, change: MemberChange) -> Role:
    """The role after a change. An administrator who becomes no more than that is a developer."""
    is_admin = role == "admin" if change.is_admin is None else change.is_admin
    is_operator = role == "operator" if change.operator is None else change.operator
    return role_of(is_admin=is_admin, is_operator=is_operator)
