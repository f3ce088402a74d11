"""Workspaces: their shapes on the wire (compat facts, clients 3.3)."""

from datetime import datetime

import msgspec


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace as lists answer it; `deleted` is Windmill's word for archived."""

    id: str
    name: str
    owner: str
    created_at: datetime
    deleted: bool


class WorkspaceMembership(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace and who the account is in it."""

    id: str
    name: str
    username: str
    role: str
    disabled: bool
    color: str | None = None
    parent_workspace_id: str | None = None


class Memberships(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `workspaces/users`."""

    email: str
    workspaces: list[WorkspaceMembership]


class NewWorkspace(msgspec.Struct, frozen=True, kw_only=True):
    """The body that creates a workspace."""

    id: str
    name: str
    username: str | None = None


class WorkspaceId(msgspec.Struct, frozen=True, kw_only=True):
    """The body that asks whether a workspace exists."""

    id: str


class WorkspaceUsername(msgspec.Struct, frozen=True, kw_only=True):
    """The body that asks whether a username is taken in a workspace."""

    id: str
    username: str


class WorkspaceName(msgspec.Struct, frozen=True, kw_only=True):
    """The body that renames a workspace."""

    new_name: str


class NewMember(msgspec.Struct, frozen=True, kw_only=True):
    """The body that makes an account a member. `is_admin` wins over `operator`; neither makes a developer."""

    email: str
    is_admin: bool = False
    operator: bool = False
    username: str | None = None


class WorkspaceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `get_settings`: what is set for a workspace. Integrations that do not exist are absent."""

    workspace_id: str
    name: str
    owner: str
    created_at: datetime
