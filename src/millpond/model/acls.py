"""Permissions of single items: the kinds that carry `extra_perms`, and the bodies that change them."""

from typing import Literal

import msgspec

AclKind = Literal["script", "flow", "resource", "variable", "group_", "folder"]


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The body that grants a principal reading, or writing too."""

    owner: str
    write: bool = False


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """The body that takes a principal's grant away."""

    owner: str
