"""Folders: their shapes on the wire (compat facts, clients 3.3 and 3.5)."""

from datetime import datetime

import msgspec


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder. `owners` may change it and all in it; `extra_perms`: who may write (true) or read (false)."""

    workspace_id: str
    name: str
    display_name: str
    summary: str | None
    owners: list[str]
    extra_perms: dict[str, bool]
    created_by: str
    edited_at: datetime


class NewFolder(msgspec.Struct, frozen=True, kw_only=True):
    """The body that creates a folder."""

    name: str
    summary: str | None = None
    display_name: str | None = None
    owners: list[str] | None = None
    extra_perms: dict[str, bool] | None = None


class FolderChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a folder; what is left out stays as it is."""

    summary: str | msgspec.UnsetType | None = msgspec.UNSET
    display_name: str | None = None
    owners: list[str] | None = None
    extra_perms: dict[str, bool] | None = None


class FolderOwner(msgspec.Struct, frozen=True, kw_only=True):
    """The body that adds or removes an owner; `write` is what a former owner keeps, nothing when left out."""

    owner: str
    write: bool | None = None


class FolderUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How many items lie in a folder."""

    scripts: int
    resources: int
    variables: int
    flows: int = 0
    schedules: int = 0
    apps: int = 0
