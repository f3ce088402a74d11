"""Workspaces: creating, naming, archiving and deleting them, and who enters them."""

from millpond.base.errors import Conflict, InvalidInput, NotFound
from millpond.base.paths import check_name, check_workspace_id, username_from_email
from millpond.base.sealing import MasterKey, new_workspace_key
from millpond.model.accounts import normal_email
from millpond.model.actors import Account, Actor
from millpond.model.members import role_of
from millpond.model.workspaces import Memberships, NewMember, NewWorkspace, Workspace, WorkspaceSettings
from millpond.services.authorization import authorize, authorize_account, require_admin, require_superadmin
from millpond.services.identities import Identities
from millpond.store import accounts as account_store
from millpond.store import members as member_store
from millpond.store import workspaces as store
from millpond.store.pool import Database

MAX_NAME = 100


class Workspaces:
    """Use cases on workspaces. A token bound to one workspace sees no other."""

    def __init__(self, database: Database, master_key: MasterKey, identities: Identities) -> None:
        self._database = database
        self._master_key = master_key
        self._identities = identities

    async def list_own(self, account: Account) -> list[Workspace]:
        """Workspaces the account may enter as a member."""
        authorize_account(account, "workspaces", "read")
        async with self._database.statement() as connection:
            return await store.list_of_account(connection, account.email, account.workspace_id)

    async def list_memberships(self, account: Account) -> Memberships:
        """Workspaces the account is a member of, and who it is there."""
        authorize_account(account, "workspaces", "read")
        async with self._database.statement() as connection:
            memberships = await store.list_memberships(connection, account.email, account.workspace_id)
        return Memberships(email=account.email, workspaces=memberships)

    async def list_all(self, account: Account, limit: int, offset: int) -> list[Workspace]:
        """All workspaces, archived ones included. Raises PermissionDenied unless a superadmin asks."""
        authorize_account(account, "workspaces", "read")
        require_superadmin(account)
        async with self._database.statement() as connection:
            return await store.list_workspaces(connection, limit, offset)

    async def exists(self, account: Account, workspace_id: str) -> bool:
        """Whether the id is taken."""
        authorize_account(account, "workspaces", "read")
        async with self._database.statement() as connection:
            return await store.workspace_exists(connection, workspace_id)

    async def username_exists(self, account: Account, workspace_id: str, username: str) -> bool:
        """Whether the username is taken in a workspace."""
        authorize_account(account, "workspaces", "read")
        async with self._database.statement() as connection:
            return await store.username_exists(connection, workspace_id, username)

    async def create(self, account: Account, new: NewWorkspace) -> None:
        """Create a workspace with a key of its own, and the account as its administrator.

        Only superadmins do: a workspace costs the whole instance. Raises PermissionDenied, InvalidInput,
        Conflict.
        """
        authorize_account(account, "workspaces", "write")
        require_superadmin(account)
        check_workspace_id(new.id)
        username = check_name(new.username or account.username, "user")
        sealed_key = self._master_key.wrap(new.id, new_workspace_key())
        async with self._database.transaction() as transaction:
            name = _checked_name(new.name)
            if not await store.insert_workspace(transaction, new.id, name, account.email, sealed_key):
                raise Conflict(f"Workspace {new.id} already exists")
            # The superadmin secret may act without an account: it enters every workspace as it is.
            await member_store.insert_member(transaction, new.id, username, account.email, "admin")
        self._identities.forget_all()

    async def unarchive(self, account: Account, workspace_id: str) -> None:
        """Bring an archived workspace back. Raises PermissionDenied, NotFound."""
        authorize_account(account, "workspaces", "write")
        require_superadmin(account)
        async with self._database.statement() as connection:
            if not await store.set_archived(connection, workspace_id, archived=False):
                raise NotFound(f"No archived workspace {workspace_id}")
        self._identities.forget_all()

    async def delete(self, account: Account, workspace_id: str) -> None:
        """Delete an archived workspace with all its items, jobs and logs, for good.

        Raises PermissionDenied, NotFound, InvalidInput when it is not archived.
        """
        authorize_account(account, "workspaces", "write")
        require_superadmin(account)
        async with self._database.transaction() as transaction:
            if not await store.delete_archived_workspace(transaction, workspace_id):
                if await store.workspace_exists(transaction, workspace_id):
                    raise InvalidInput(f"Workspace {workspace_id} is in use: archive it before you delete it")
                raise NotFound(f"No workspace {workspace_id}")
        self._identities.forget_all()

    async def archive(self, actor: Actor) -> None:
        """Close the workspace: nobody enters until a superadmin brings it back. Raises PermissionDenied."""
        authorize(actor, "workspaces", "write")
        require_admin(actor)
        async with self._database.statement() as connection:
            await store.set_archived(connection, actor.workspace_id, archived=True)
        self._identities.forget_all()

    async def name(self, actor: Actor) -> str:
        """The workspace's name."""
        authorize(actor, "workspaces", "read")
        return (await self._require(actor)).name

    async def settings(self, actor: Actor) -> WorkspaceSettings:
        """What is set for the workspace."""
        authorize(actor, "workspaces", "read")
        workspace = await self._require(actor)
        return WorkspaceSettings(
            workspace_id=workspace.id,
            name=workspace.name,
            owner=workspace.owner,
            created_at=workspace.created_at,
        )

    async def rename(self, actor: Actor, name: str) -> None:
        """Give the workspace another name. Raises PermissionDenied, InvalidInput."""
        authorize(actor, "workspaces", "write")
        require_admin(actor)
        async with self._database.statement() as connection:
            await store.rename_workspace(connection, actor.workspace_id, _checked_name(name))

    async def add_member(self, actor: Actor, new: NewMember) -> str:
        """Make an account a member; its username there. Raises PermissionDenied, NotFound, Conflict."""
        authorize(actor, "users", "write")
        require_admin(actor)
        email = normal_email(new.email)
        username = check_name(new.username or username_from_email(email), "user")
        role = role_of(is_admin=new.is_admin, is_operator=new.operator)
        async with self._database.transaction() as transaction:
            if not await account_store.account_exists(transaction, email):
                raise NotFound(f"No account {email}: a superadmin creates it first, with 'wmill user add'")
            if not await member_store.insert_member(transaction, actor.workspace_id, username, email, role):
                raise Conflict(
                    f"User {username} already exists in {actor.workspace_id}: choose another username"
                )
        self._identities.forget_all()
        return username

    async def _require(self, actor: Actor) -> Workspace:
        async with self._database.statement() as connection:
            workspace = await store.get_workspace(connection, actor.workspace_id)
        if workspace is None:
            raise NotFound(f"No workspace {actor.workspace_id}")
        return workspace


def _checked_name(name: str) -> str:
    if not 1 <= len(name.strip()) <= len(name) <= MAX_NAME:
        raise InvalidInput(f"A workspace's name has 1 to {MAX_NAME} characters")
    return name
