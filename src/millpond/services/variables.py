"""Variables and secrets: read, write, list, delete (compat facts, storage 3).

A secret is stored sealed under the workspace's key. Deleting a variable leaves the resource of the same path
alone.
"""

import msgspec

from millpond.base.errors import Conflict, InvalidInput, NotFound
from millpond.base.paths import check_path
from millpond.base.sealing import check_sealed_shape, seal
from millpond.model.actors import Actor
from millpond.model.references import rename_variable_in
from millpond.model.variables import (
    ContextualVariable,
    NewVariable,
    Variable,
    VariableChange,
    VariableFilters,
    contextual_variables,
)
from millpond.services.authorization import authorize, require_owner, require_read, require_write
from millpond.services.secrets_seen import open_secret
from millpond.services.workspace_keys import WorkspaceKeys
from millpond.store import resources as resource_store
from millpond.store import variables as store
from millpond.store.pool import Database, Transaction

MAX_BULK = 1000


class Variables:
    """Use cases on variables."""

    def __init__(self, database: Database, workspace_keys: WorkspaceKeys) -> None:
        self._database = database
        self._workspace_keys = workspace_keys

    async def get(
        self, actor: Actor, path: str, *, decrypt_secret: bool, include_encrypted: bool
    ) -> Variable:
        """One variable. A secret's value is opened; if not to be, it is the ciphertext if asked for, or null.

        Raises NotFound, PermissionDenied, SecretUnreadable for a secret that cannot be opened.
        """
        authorize(actor, "variables", "read", path)
        workspace_key = await self._workspace_keys.key_of(actor.workspace_id)
        async with self._database.statement() as connection:
            variable = await store.get_variable(connection, actor.workspace_id, path)
            if variable is None:
                raise NotFound(f"Variable {path} not found")
            require_read(actor, "Variable", path, variable.extra_perms)
            if not variable.is_secret or variable.value is None:
                return variable
            if decrypt_secret:
                value = await open_secret(connection, workspace_key, actor, path, variable.value)
                return msgspec.structs.replace(variable, value=value)
        return variable if include_encrypted else msgspec.structs.replace(variable, value=None)

    async def get_value(self, actor: Actor, path: str) -> str:
        """The value alone, secrets opened. Raises NotFound, PermissionDenied, SecretUnreadable."""
        authorize(actor, "variables", "read", path)
        workspace_key = await self._workspace_keys.key_of(actor.workspace_id)
        async with self._database.statement() as connection:
            found = await store.get_values(connection, actor.workspace_id, [path])
            if not found:
                raise NotFound(f"Variable {path} not found")
            variable = found[0]
            require_read(actor, "Variable", path, variable.extra_perms)
            if not variable.is_secret:
                return variable.value
            return await open_secret(connection, workspace_key, actor, path, variable.value)

    async def exists(self, actor: Actor, path: str) -> bool:
        """Whether the path is taken, visible or not."""
        authorize(actor, "variables", "read", path)
        async with self._database.statement() as connection:
            return await store.variable_exists(connection, actor.workspace_id, path)

    async def list_variables(
        self, actor: Actor, filters: VariableFilters, limit: int, offset: int
    ) -> list[Variable]:
        """Visible variables by path; values of secrets are null."""
        authorize(actor, "variables", "read")
        async with self._database.statement() as connection:
            return await store.list_variables(connection, actor, filters, limit, offset)

    async def list_contextual(self, actor: Actor) -> list[ContextualVariable]:
        """The environment variables jobs find, with example values."""
        authorize(actor, "variables", "read")
        return contextual_variables(actor.workspace_id, actor.username, actor.email)

    async def create(self, actor: Actor, new: NewVariable, *, already_encrypted: bool) -> None:
        """Create a variable; `already_encrypted` stores a secret's value as the ciphertext it is.

        Raises Conflict, InvalidInput, PermissionDenied.
        """
        authorize(actor, "variables", "write", new.path)
        check_path(new.path)
        require_write(actor, "variable", new.path, {})
        stored_value = await self._stored(
            actor, new.value, is_secret=new.is_secret, already_encrypted=already_encrypted
        )
        async with self._database.transaction() as transaction:
            if not await store.insert_variable(transaction, actor, new, stored_value):
                raise Conflict(f"Variable {new.path} already exists")

    async def update(
        self, actor: Actor, path: str, change: VariableChange, *, already_encrypted: bool
    ) -> str:
        """Change what is given; the path it has now.

        Raises NotFound, Conflict, InvalidInput, PermissionDenied.
        """
        authorize(actor, "variables", "write", path)
        new_path = check_path(change.path or path)
        if new_path != path:
            authorize(actor, "variables", "write", new_path)
        workspace_key = await self._workspace_keys.key_of(actor.workspace_id)
        async with self._database.transaction() as transaction:
            held = await store.lock_variable(transaction, actor.workspace_id, path)
            if held is None:
                raise NotFound(f"Variable {path} not found")
            require_write(actor, "variable", path, held.extra_perms)
            is_secret = held.is_secret if change.is_secret is None else change.is_secret
            if change.value is None:
                if is_secret != held.is_secret:
                    raise InvalidInput("cannot change is_secret without updating value too")
                stored_value = None
            else:
                stored_value = _as_stored(
                    workspace_key, change.value, is_secret=is_secret, already_encrypted=already_encrypted
                )
            if new_path != path:
                await self._prepare_rename(transaction, actor, path, new_path)
            await store.update_variable(transaction, actor, path, change, stored_value)
        return new_path

    async def delete(self, actor: Actor, path: str) -> None:
        """Delete a variable; nothing happens when there is none. Raises PermissionDenied."""
        authorize(actor, "variables", "write", path)
        async with self._database.transaction() as transaction:
            await _delete_if_allowed(transaction, actor, path)

    async def delete_bulk(self, actor: Actor, paths: list[str]) -> list[str]:
        """Delete those that exist; their paths.

        Raises PermissionDenied, deleting none, when one may not be changed.
        """
        authorize(actor, "variables", "write")
        if len(paths) > MAX_BULK:
            raise InvalidInput(f"{len(paths)} paths are given, {MAX_BULK} are allowed in one call")
        deleted = []
        async with self._database.transaction() as transaction:
            # One order for all: two deletions at once wait for each other instead of deadlocking.
            for path in sorted(set(paths)):
                authorize(actor, "variables", "write", path)
                if await _delete_if_allowed(transaction, actor, path):
                    deleted.append(path)
        return deleted

    async def encrypt(self, actor: Actor, value: str) -> str:
        """The ciphertext of a value under the workspace's key, as `already_encrypted` takes it."""
        authorize(actor, "variables", "write")
        return seal(await self._workspace_keys.key_of(actor.workspace_id), value)

    async def _stored(self, actor: Actor, value: str, *, is_secret: bool, already_encrypted: bool) -> str:
        workspace_key = await self._workspace_keys.key_of(actor.workspace_id)
        return _as_stored(workspace_key, value, is_secret=is_secret, already_encrypted=already_encrypted)

    async def _prepare_rename(self, transaction: Transaction, actor: Actor, path: str, new_path: str) -> None:
        require_owner(actor, "variable", path)
        require_write(actor, "variable", new_path, {})
        if await store.variable_exists(transaction, actor.workspace_id, new_path):
            raise Conflict(f"Variable {new_path} already exists")
        # The resource of the old path, whose secret part this was, goes on finding it.
        linked = await resource_store.lock_value(transaction, actor.workspace_id, path)
        if linked is None or linked.value is None:
            return
        rewritten = rename_variable_in(linked.value, path, new_path)
        if rewritten != linked.value:
            require_write(actor, "resource", path, linked.extra_perms)
            await resource_store.update_value(
                transaction, actor.workspace_id, path, msgspec.Raw(rewritten.encode())
            )


async def _delete_if_allowed(transaction: Transaction, actor: Actor, path: str) -> bool:
    held = await store.lock_variable(transaction, actor.workspace_id, path)
    if held is None:
        return False
    require_write(actor, "variable", path, held.extra_perms)
    return await store.delete_variable(transaction, actor.workspace_id, path)


def _as_stored(workspace_key: bytes, value: str, *, is_secret: bool, already_encrypted: bool) -> str:
    if not is_secret:
        return value
    if already_encrypted and value:
        check_sealed_shape(value)
        return value
    return seal(workspace_key, value)
