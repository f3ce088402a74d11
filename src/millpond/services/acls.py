"""Permissions of single items: who, besides those its path belongs to, may read or write one."""

from collections.abc import Mapping
from typing import cast, get_args

from millpond.base.errors import InvalidInput, NotFound, PermissionDenied
from millpond.base.paths import check_name, check_path
from millpond.model.acls import AclKind, Grant, Revocation
from millpond.model.actors import Actor
from millpond.model.permissions import check_principal, may_manage
from millpond.services.authorization import authorize, require_owner, require_read
from millpond.services.identities import Identities
from millpond.store import acls as store
from millpond.store.pool import Database, Transaction

KINDS: tuple[str, ...] = get_args(AclKind)
NAMED: frozenset[AclKind] = frozenset({"group_", "folder"})
"""Kinds that decide over rights themselves, and have names instead of paths."""


class Acls:
    """Use cases on `extra_perms`. Reading them asks for access to the item, changing them for owning it."""

    def __init__(self, database: Database, identities: Identities) -> None:
        self._database = database
        self._identities = identities

    async def get(self, actor: Actor, kind: str, path: str) -> dict[str, bool]:
        """What an item grants. Raises InvalidInput, NotFound, PermissionDenied."""
        authorize(actor, "acls", "read", path)
        checked = _checked_kind(kind, path)
        async with self._database.transaction() as transaction:
            held = await _lock(transaction, actor, checked, path)
        _require_read(actor, checked, path, held)
        return held

    async def add(self, actor: Actor, kind: str, path: str, grant: Grant) -> None:
        """Let a principal read, or write too. Raises InvalidInput, NotFound, PermissionDenied."""
        authorize(actor, "acls", "write", path)
        checked = _checked_kind(kind, path)
        check_principal(grant.owner)
        async with self._database.transaction() as transaction:
            held = await _lock(transaction, actor, checked, path)
            _require_owner(actor, checked, path, held)
            changed = {**held, grant.owner: grant.write}
            await store.write_permissions(transaction, actor.workspace_id, checked, path, changed)
        self._identities.forget_all()

    async def remove(self, actor: Actor, kind: str, path: str, revocation: Revocation) -> None:
        """Take a principal's grant away, if it has one. Raises InvalidInput, NotFound, PermissionDenied."""
        authorize(actor, "acls", "write", path)
        checked = _checked_kind(kind, path)
        check_principal(revocation.owner)
        async with self._database.transaction() as transaction:
            held = await _lock(transaction, actor, checked, path)
            _require_owner(actor, checked, path, held)
            changed = {principal: write for principal, write in held.items() if principal != revocation.owner}
            await store.write_permissions(transaction, actor.workspace_id, checked, path, changed)
        self._identities.forget_all()


def _checked_kind(kind: str, path: str) -> AclKind:
    if kind not in KINDS:
        raise InvalidInput(
            f"Items of kind {kind[:40]!r} carry no permissions here: use one of {', '.join(KINDS)}"
        )
    checked = cast("AclKind", kind)
    if checked in NAMED:
        check_name(path, kind.rstrip("_"))
    else:
        check_path(path)
    return checked


async def _lock(transaction: Transaction, actor: Actor, kind: AclKind, path: str) -> dict[str, bool]:
    held = await store.lock_permissions(transaction, actor.workspace_id, kind, path)
    if held is None:
        raise NotFound(f"No {kind.rstrip('_')} {path}")
    return held


def _require_read(actor: Actor, kind: AclKind, path: str, held: Mapping[str, bool]) -> None:
    match kind:
        case "group_":
            pass  # every member sees every group
        case "folder":
            if not actor.is_admin and path not in actor.readable_folders:
                raise PermissionDenied(f"Folder {path} exists but {actor.username} has no access to it")
        case _:
            require_read(actor, kind, path, held)


def _require_owner(actor: Actor, kind: AclKind, path: str, held: Mapping[str, bool]) -> None:
    match kind:
        case "group_":
            allowed = may_manage(actor, held)
        case "folder":
            allowed = actor.is_admin or path in actor.owned_folders
        case _:
            require_owner(actor, kind, path)
            return
    if not allowed:
        raise PermissionDenied(f"{actor.username} may not change who uses {kind.rstrip('_')} {path}")
