"""Folders: who may read and write what lies below `f/<name>/`."""

import msgspec

from millpond.base.errors import Conflict, NotFound, PermissionDenied
from millpond.base.paths import check_name
from millpond.model.actors import Actor
from millpond.model.folders import Folder, FolderChange, FolderOwner, FolderUsage, NewFolder
from millpond.model.permissions import check_principal, owns_folder
from millpond.services.authorization import authorize
from millpond.services.identities import Identities
from millpond.store import folders as store
from millpond.store.pool import Database, Transaction


class Folders:
    """Use cases on folders. Those who may read see a folder; its owners, and administrators, change it."""

    def __init__(self, database: Database, identities: Identities) -> None:
        self._database = database
        self._identities = identities

    async def list_folders(self, actor: Actor, limit: int, offset: int) -> list[Folder]:
        """Folders the actor may read."""
        authorize(actor, "folders", "read")
        async with self._database.statement() as connection:
            return await store.list_folders(connection, actor, limit, offset)

    async def list_names(self, actor: Actor) -> list[str]:
        """Their names."""
        authorize(actor, "folders", "read")
        async with self._database.statement() as connection:
            return await store.list_folder_names(connection, actor)

    async def get(self, actor: Actor, name: str) -> Folder:
        """One folder. Raises NotFound, PermissionDenied."""
        authorize(actor, "folders", "read", name)
        async with self._database.statement() as connection:
            folder = await store.get_folder(connection, actor.workspace_id, name)
        if folder is None:
            raise NotFound(f"Folder {name} not found")
        _require_read(actor, name)
        return folder

    async def exists(self, actor: Actor, name: str) -> bool:
        """Whether the name is taken, visible or not."""
        authorize(actor, "folders", "read", name)
        async with self._database.statement() as connection:
            return await store.folder_exists(connection, actor.workspace_id, name)

    async def usage(self, actor: Actor, name: str) -> FolderUsage:
        """How many items lie in it. Raises NotFound, PermissionDenied."""
        authorize(actor, "folders", "read", name)
        async with self._database.statement() as connection:
            if not await store.folder_exists(connection, actor.workspace_id, name):
                raise NotFound(f"Folder {name} not found")
            _require_read(actor, name)
            return await store.count_items(connection, actor.workspace_id, name)

    async def is_owner(self, actor: Actor, name: str) -> bool:
        """Whether the actor may change the folder."""
        authorize(actor, "folders", "read", name)
        return actor.is_admin or name in actor.owned_folders

    async def create(self, actor: Actor, new: NewFolder) -> None:
        """Create a folder, of which the actor becomes an owner.

        Only administrators may create one where items lie already, of a deleted folder say: its owner would
        take them over. Raises Conflict, InvalidInput, PermissionDenied.
        """
        authorize(actor, "folders", "write", new.name)
        check_name(new.name, "folder")
        owned = _with_owner(new, f"u/{actor.username}")
        async with self._database.transaction() as transaction:
            if not await store.insert_folder(transaction, actor, owned):
                raise Conflict(f"Folder {new.name} already exists")
            if not actor.is_admin and await store.has_items(transaction, actor.workspace_id, new.name):
                raise PermissionDenied(
                    f"Items lie below f/{new.name}/ already: an administrator creates this folder"
                )
        self._identities.forget_all()

    async def update(self, actor: Actor, name: str, change: FolderChange) -> None:
        """Change what is given. Raises NotFound, InvalidInput, PermissionDenied."""
        authorize(actor, "folders", "write", name)
        for principal in (*(change.owners or ()), *(change.extra_perms or ())):
            check_principal(principal)
        async with self._database.transaction() as transaction:
            held = await _lock(transaction, actor, name)
            changed = msgspec.structs.replace(
                held,
                summary=held.summary if change.summary is msgspec.UNSET else change.summary,
                display_name=held.display_name if change.display_name is None else change.display_name,
                owners=held.owners if change.owners is None else change.owners,
                extra_perms=held.extra_perms if change.extra_perms is None else change.extra_perms,
            )
            await store.update_folder(transaction, changed)
        self._identities.forget_all()

    async def delete(self, actor: Actor, name: str) -> None:
        """Delete a folder; what lies in it stays, for administrators. Raises NotFound, PermissionDenied."""
        authorize(actor, "folders", "write", name)
        async with self._database.transaction() as transaction:
            await _lock(transaction, actor, name)
            await store.delete_folder(transaction, actor.workspace_id, name)
        self._identities.forget_all()

    async def add_owner(self, actor: Actor, name: str, new: FolderOwner) -> None:
        """Make a principal an owner. Raises NotFound, InvalidInput, PermissionDenied."""
        authorize(actor, "folders", "write", name)
        check_principal(new.owner)
        async with self._database.transaction() as transaction:
            held = await _lock(transaction, actor, name)
            owners = held.owners if new.owner in held.owners else [*held.owners, new.owner]
            grants = {**held.extra_perms, new.owner: True}
            await store.update_folder(
                transaction, msgspec.structs.replace(held, owners=owners, extra_perms=grants)
            )
        self._identities.forget_all()

    async def remove_owner(self, actor: Actor, name: str, former: FolderOwner) -> None:
        """Take ownership away; `write` says what access stays. Raises NotFound, PermissionDenied."""
        authorize(actor, "folders", "write", name)
        check_principal(former.owner)
        async with self._database.transaction() as transaction:
            held = await _lock(transaction, actor, name)
            owners = [owner for owner in held.owners if owner != former.owner]
            grants = {
                principal: may_write
                for principal, may_write in held.extra_perms.items()
                if principal != former.owner
            }
            if former.write is not None:
                grants[former.owner] = former.write
            await store.update_folder(
                transaction, msgspec.structs.replace(held, owners=owners, extra_perms=grants)
            )
        self._identities.forget_all()


async def _lock(transaction: Transaction, actor: Actor, name: str) -> Folder:
    folder = await store.lock_folder(transaction, actor.workspace_id, name)
    if folder is None:
        raise NotFound(f"Folder {name} not found")
    if not owns_folder(actor, folder.owners):
        raise PermissionDenied(f"{actor.username} does not own folder {name}")
    return folder


def _require_read(actor: Actor, name: str) -> None:
    if not actor.is_admin and name not in actor.readable_folders:
        raise PermissionDenied(f"Folder {name} exists but {actor.username} has no access to it")


def _with_owner(new: NewFolder, creator: str) -> NewFolder:
    owners = list(dict.fromkeys([*(new.owners or ()), creator]))
    grants = {**(new.extra_perms or {}), **dict.fromkeys(owners, True)}
    for principal in grants:
        check_principal(principal)
    return msgspec.structs.replace(new, owners=owners, extra_perms=grants)
