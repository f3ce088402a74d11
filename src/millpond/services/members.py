"""Members of a workspace: who they are, what they may do, and that one administrator stays."""

from millpond.base.errors import Conflict, NotFound
from millpond.base.paths import check_path
from millpond.model.actors import Actor
from millpond.model.groups import ALL
from millpond.model.members import Member, MemberChange, Whoami, changed_role
from millpond.model.permissions import is_owner
from millpond.services.authorization import authorize, require_admin
from millpond.services.identities import Identities
from millpond.store import accounts as account_store
from millpond.store import members as store
from millpond.store.pool import Database, Transaction


class Members:
    """Use cases on members."""

    def __init__(self, database: Database, identities: Identities) -> None:
        self._database = database
        self._identities = identities

    async def whoami(self, actor: Actor) -> Whoami:
        """The actor that asks, with the groups and folders it may use."""
        authorize(actor, "users", "read")
        async with self._database.statement() as connection:
            known = await store.describe_actor(connection, actor.workspace_id, actor.email)
        if known is None:
            raise NotFound(f"No workspace {actor.workspace_id}")
        return Whoami(
            workspace_id=actor.workspace_id,
            username=actor.username,
            email=actor.email,
            name=known.name,
            role=known.role or "admin",
            is_admin=actor.is_admin,
            is_super_admin=actor.is_superadmin,
            operator=actor.is_operator,
            disabled=known.disabled,
            created_at=known.created_at,
            groups=[ALL, *sorted(actor.groups - {ALL})],
            folders=sorted(actor.writable_folders),
            folders_owners=sorted(actor.owned_folders),
            folders_read=sorted(actor.readable_folders),
        )

    async def list_members(self, actor: Actor, limit: int, offset: int) -> list[Member]:
        """Members by username."""
        authorize(actor, "users", "read")
        async with self._database.statement() as connection:
            return await store.list_members(connection, actor.workspace_id, limit, offset)

    async def list_usernames(self, actor: Actor) -> list[str]:
        """Usernames alone."""
        authorize(actor, "users", "read")
        async with self._database.statement() as connection:
            return await store.list_usernames(connection, actor.workspace_id)

    async def get(self, actor: Actor, username: str) -> Member:
        """One member. Raises NotFound."""
        authorize(actor, "users", "read")
        async with self._database.statement() as connection:
            return await _require(connection, actor, username)

    async def exists(self, actor: Actor, username: str) -> bool:
        """Whether the username is taken."""
        authorize(actor, "users", "read")
        async with self._database.statement() as connection:
            return await store.username_to_email(connection, actor.workspace_id, username) is not None

    async def email_of(self, actor: Actor, username: str) -> str:
        """The e-mail behind a username. Raises NotFound."""
        authorize(actor, "users", "read")
        async with self._database.statement() as connection:
            email = await store.username_to_email(connection, actor.workspace_id, username)
        if email is None:
            raise NotFound(f"User {username} not found in workspace {actor.workspace_id}")
        return email

    async def owns_path(self, actor: Actor, path: str) -> bool:
        """Whether the path is the actor's own. Raises InvalidInput."""
        authorize(actor, "users", "read")
        return is_owner(actor, check_path(path))

    async def update(self, actor: Actor, username: str, change: MemberChange) -> None:
        """Change a member's role, or whether it may enter. Raises PermissionDenied, NotFound, Conflict."""
        authorize(actor, "users", "write")
        require_admin(actor)
        async with self._database.transaction() as transaction:
            await store.lock_workspace(transaction, actor.workspace_id)
            held = await _require(transaction, actor, username)
            role = changed_role(held.role, change)
            disabled = held.disabled if change.disabled is None else change.disabled
            if role != "admin" or disabled:
                await _require_other_admin(transaction, actor, held)
            await store.update_member(transaction, actor.workspace_id, username, role, disabled=disabled)
        self._identities.forget_all()

    async def delete(self, actor: Actor, username: str) -> None:
        """Remove a member, and what folders grant it. Raises PermissionDenied, NotFound, Conflict."""
        authorize(actor, "users", "write")
        require_admin(actor)
        await self._remove(actor, username)

    async def leave(self, actor: Actor) -> None:
        """Remove oneself. Raises NotFound for one who is no member, Conflict for the last administrator."""
        authorize(actor, "users", "write")
        await self._remove(actor, actor.username)

    async def _remove(self, actor: Actor, username: str) -> None:
        async with self._database.transaction() as transaction:
            await store.lock_workspace(transaction, actor.workspace_id)
            held = await _require(transaction, actor, username)
            await _require_other_admin(transaction, actor, held)
            await account_store.forget_grants(transaction, held.email, actor.workspace_id)
            await store.delete_member(transaction, actor.workspace_id, username)
        self._identities.forget_all()


async def _require(connection: Transaction, actor: Actor, username: str) -> Member:
    member = await store.get_member(connection, actor.workspace_id, username)
    if member is None:
        raise NotFound(f"User {username} not found in workspace {actor.workspace_id}")
    return member


async def _require_other_admin(transaction: Transaction, actor: Actor, member: Member) -> None:
    """Raises Conflict when nobody could administer the workspace without this member."""
    if member.role != "admin" or member.disabled:
        return
    if not await store.other_admin_exists(transaction, actor.workspace_id, member.username):
        raise Conflict(
            f"{member.username} is the last administrator of {actor.workspace_id}: name another one first"
        )
