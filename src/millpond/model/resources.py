"""Resources, and states, which are resources of type `state`:

Their shapes on the wire (compat facts, storage 2).
"""

from datetime import datetime

import msgspec

from millpond.model.carried import null_json

STATE = "state"
CACHE = "cache"


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """A resource as the API answers it. `value` is the stored JSON, byte for byte; lists leave it null."""

    workspace_id: str
    path: str
    value: msgspec.Raw
    description: str | None
    resource_type: str
    extra_perms: dict[str, bool]
    created_by: str
    edited_at: datetime
    is_linked: bool
    labels: list[str] | msgspec.UnsetType = msgspec.UNSET
    is_oauth: bool = False
    is_refreshed: bool = False
    is_expired: bool = False
    account: int | None = None


class NewResource(msgspec.Struct, frozen=True, kw_only=True):
    """The body that creates a resource."""

    path: str
    value: msgspec.Raw = msgspec.field(default_factory=null_json)
    resource_type: str
    description: str | None = None
    labels: list[str] | None = None


class ResourceChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a resource; what is left out stays as it is."""

    path: str | None = None
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    resource_type: str | None = None
    labels: list[str] | msgspec.UnsetType | None = msgspec.UNSET


class ResourceValue(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes only the value."""

    value: msgspec.Raw = msgspec.field(default_factory=null_json)


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """The body of bulk deletions."""

    paths: list[str]


class NamedResource(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `list_names`: the `name` inside the value, and the path."""

    name: str
    path: str


class SearchedResource(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `list_search`."""

    path: str
    value: msgspec.Raw


class ResourceFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What `list` may be narrowed by; types are comma-separated on the wire."""

    resource_types: list[str] | None = None
    excluded_types: list[str] | None = None
    path_start: str | None = None
    path: str | None = None
    description: str | None = None
    value: str | None = None
    broad_filter: str | None = None
    labels: list[str] | None = None
