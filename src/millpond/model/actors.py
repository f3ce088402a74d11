"""Who is asking: the identity every use case receives first."""

from typing import Literal
from uuid import UUID

import msgspec

Role = Literal["admin", "developer", "operator"]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated person or program, before any workspace is entered.

    `scopes` None means everything the account may do. `workspace_id` is set when the token opens one
    workspace only: it then has no power over the instance, and `is_superadmin` is false whoever owns it.
    """

    email: str
    username: str
    is_superadmin: bool
    scopes: tuple[str, ...] | None = None
    workspace_id: str | None = None
    job: "JobIdentity | None" = None


class JobIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The running job whose token was shown: its id, and the state path that is its own."""

    job_id: UUID
    state_path: str | None


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """An account inside a workspace, with all that decides what it may touch.

    `groups` are names without `g/`, always holding `all`. Folders are names:
    `owned` ⊆ `writable` ⊆ `readable`.
    """

    workspace_id: str
    email: str
    username: str
    is_superadmin: bool = False
    is_admin: bool = False
    is_operator: bool = False
    groups: frozenset[str] = frozenset({"all"})
    readable_folders: frozenset[str] = frozenset()
    writable_folders: frozenset[str] = frozenset()
    owned_folders: frozenset[str] = frozenset()
    scopes: tuple[str, ...] | None = None
    job: JobIdentity | None = None

    @property
    def permissioned_as(self) -> str:
        """The principal whose rights this actor has."""
        return f"u/{self.username}"

    def principals(self) -> list[str]:
        """Every name under which `extra_perms` may grant this actor something."""
        return [f"u/{self.username}", *(f"g/{group}" for group in sorted(self.groups))]
