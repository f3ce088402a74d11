"""Groups: members that are granted things together."""

from millpond.base.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from millpond.base.paths import check_name
from millpond.model.actors import Actor
from millpond.model.groups import ALL, Group, GroupChange, NewGroup
from millpond.model.permissions import may_manage
from millpond.services.authorization import authorize
from millpond.services.identities import Identities
from millpond.store import groups as store
from millpond.store.pool import Database, Transaction


class Groups:
    """Use cases on groups. Members see all; administrators and those named in `extra_perms` change them."""

    def __init__(self, database: Database, identities: Identities) -> None:
        self._database = database
        self._identities = identities

    async def list_groups(self, actor: Actor, limit: int, offset: int) -> list[Group]:
        """Groups by name."""
        authorize(actor, "groups", "read")
        async with self._database.statement() as connection:
            return await store.list_groups(connection, actor.workspace_id, limit, offset)

    async def list_names(self, actor: Actor, *, only_own: bool) -> list[str]:
        """Names of all groups, or of those the actor is in."""
        authorize(actor, "groups", "read")
        async with self._database.statement() as connection:
            return await store.list_group_names(
                connection, actor.workspace_id, actor.username if only_own else None
            )

    async def get(self, actor: Actor, name: str) -> Group:
        """One group. Raises NotFound."""
        authorize(actor, "groups", "read", name)
        async with self._database.statement() as connection:
            group = await store.get_group(connection, actor.workspace_id, name)
        if group is None:
            raise NotFound(f"Group {name} not found")
        return group

    async def create(self, actor: Actor, new: NewGroup) -> None:
        """Create a group, which the actor manages without being in it.

        Only administrators may create one whose name is granted something already, from a deleted group say:
        whoever manages the new one would inherit it. Raises Conflict, InvalidInput, PermissionDenied.
        """
        authorize(actor, "groups", "write", new.name)
        check_name(new.name, "group")
        async with self._database.transaction() as transaction:
            if not await store.insert_group(transaction, actor.workspace_id, new, f"u/{actor.username}"):
                raise Conflict(f"Group {new.name} already exists")
            if not actor.is_admin and await store.is_granted(
                transaction, actor.workspace_id, f"g/{new.name}"
            ):
                raise PermissionDenied(
                    f"g/{new.name} is granted something already: an administrator creates this group"
                )
        self._identities.forget_all()

    async def update(self, actor: Actor, name: str, change: GroupChange) -> None:
        """Change the summary. Raises NotFound, PermissionDenied."""
        authorize(actor, "groups", "write", name)
        async with self._database.transaction() as transaction:
            await _lock(transaction, actor, name)
            await store.update_group(transaction, actor.workspace_id, name, change.summary)

    async def delete(self, actor: Actor, name: str) -> None:
        """Delete a group; its grants help nobody then. Raises NotFound, InvalidInput, PermissionDenied."""
        authorize(actor, "groups", "write", name)
        _refuse_all(name)
        async with self._database.transaction() as transaction:
            await _lock(transaction, actor, name)
            await store.delete_group(transaction, actor.workspace_id, name)
        self._identities.forget_all()

    async def add_member(self, actor: Actor, name: str, username: str) -> None:
        """Put a user into a group. Raises NotFound, InvalidInput, PermissionDenied."""
        authorize(actor, "groups", "write", name)
        _refuse_all(name)
        async with self._database.transaction() as transaction:
            await _lock(transaction, actor, name)
            await store.add_member(transaction, actor.workspace_id, name, username)
        self._identities.forget_all()

    async def remove_member(self, actor: Actor, name: str, username: str) -> None:
        """Take a user out of a group. Raises NotFound, InvalidInput, PermissionDenied."""
        authorize(actor, "groups", "write", name)
        _refuse_all(name)
        async with self._database.transaction() as transaction:
            await _lock(transaction, actor, name)
            if not await store.remove_member(transaction, actor.workspace_id, name, username):
                raise NotFound(f"User {username} is not in group {name}")
        self._identities.forget_all()


async def _lock(transaction: Transaction, actor: Actor, name: str) -> None:
    extra_perms = await store.lock_group(transaction, actor.workspace_id, name)
    if extra_perms is None:
        raise NotFound(f"Group {name} not found")
    if not may_manage(actor, extra_perms):
        raise PermissionDenied(f"{actor.username} does not manage group {name}")


def _refuse_all(name: str) -> None:
    if name == ALL:
        raise InvalidInput(
            "Every member is in group all, for as long as it is a member: it cannot be changed"
        )
