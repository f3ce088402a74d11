"""Resource types: their shapes on the wire (compat facts, storage 2.4)."""

from datetime import datetime

import msgspec

from millpond.model.carried import null_json

SHARED_WORKSPACE = "admins"
"""The workspace id under which types are listed that every workspace has."""

UNCHECKED_TYPES = frozenset({"state", "cache", "any"})
"""Types whose values are whatever a program wants to keep; never validated, whatever a workspace declares."""


class ResourceType(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resource type as the API answers it; `schema` is the stored JSON, byte for byte.

    File types say how their one text is called: `format_extension`, or `is_fileset` for several.
    """

    workspace_id: str
    name: str
    schema: msgspec.Raw
    description: str | None
    created_by: str | None = None
    edited_at: datetime | None = None
    format_extension: str | None = None
    is_fileset: bool = False


class NewResourceType(msgspec.Struct, frozen=True, kw_only=True):
    """The body that creates a resource type."""

    name: str
    schema: msgspec.Raw = msgspec.field(default_factory=null_json)
    description: str | None = None
    format_extension: str | None = None
    is_fileset: bool | None = None


class ResourceTypeChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a resource type; what is left out stays as it is."""

    schema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    format_extension: str | msgspec.UnsetType | None = msgspec.UNSET
    is_fileset: bool | None = None


class FileFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How the CLI lays out values of a file type."""

    format_extension: str | None
    is_fileset: bool
