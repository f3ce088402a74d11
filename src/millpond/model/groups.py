"""Groups: their shapes on the wire (compat facts, clients 3.3)."""

import msgspec

ALL = "all"
"""The group every member is in, without a row that says so."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group with its members; `extra_perms` names those who may manage it."""

    workspace_id: str
    name: str
    summary: str | None
    members: list[str]
    extra_perms: dict[str, bool]


class NewGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The body that creates a group."""

    name: str
    summary: str | None = None


class GroupChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a group."""

    summary: str | None = None
