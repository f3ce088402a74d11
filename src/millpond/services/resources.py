"""Resources and states: read, write, list, delete (compat facts, storage 1 and 2)."""

import msgspec

from millpond.base.errors import Conflict, InvalidInput, NotFound
from millpond.base.paths import check_name, check_path
from millpond.model.actors import Actor
from millpond.model.builtin_resource_types import BUILTIN_RESOURCE_TYPES
from millpond.model.permissions import can_write
from millpond.model.references import rename_variable_in
from millpond.model.resource_types import UNCHECKED_TYPES
from millpond.model.resources import (
    STATE,
    NamedResource,
    NewResource,
    Resource,
    ResourceChange,
    ResourceFilters,
    SearchedResource,
)
from millpond.model.variables import VariableChange
from millpond.services.authorization import authorize, require_owner, require_write
from millpond.services.interpolation import Interpolation
from millpond.services.resource_access import (
    may_write_without_grant,
    require_read_resource,
    require_write_resource,
)
from millpond.services.resource_validation import ResourceValidation
from millpond.store import resource_types as type_store
from millpond.store import resources as store
from millpond.store import variables as variable_store
from millpond.store.columns import raw
from millpond.store.pool import Database, Transaction

MAX_BULK = 1000


class Resources:
    """Use cases on resources."""

    def __init__(self, database: Database, interpolation: Interpolation) -> None:
        self._database = database
        self._interpolation = interpolation
        self._validation = ResourceValidation()

    async def get(self, actor: Actor, path: str) -> Resource:
        """One resource with its value. Raises NotFound, PermissionDenied."""
        authorize(actor, "resources", "read", path)
        async with self._database.statement() as connection:
            resource = await store.get_resource(connection, actor.workspace_id, path)
        if resource is None:
            raise NotFound(f"Resource {path} not found")
        require_read_resource(actor, path, resource.resource_type, resource.extra_perms)
        return resource

    async def get_value(self, actor: Actor, path: str) -> str:
        """The value as stored, JSON text; nothing inside it is replaced.

        Raises NotFound, PermissionDenied.
        """
        authorize(actor, "resources", "read", path)
        async with self._database.statement() as connection:
            stored = await store.get_value(connection, actor.workspace_id, path)
        if stored is None:
            raise NotFound(f"Resource {path} not found")
        require_read_resource(actor, path, stored.resource_type, stored.extra_perms)
        return "null" if stored.value is None else stored.value

    async def get_value_interpolated(self, actor: Actor, path: str) -> str:
        """The value with its `$var:` and `$res:` references resolved; a state is content, never interpolated.

        Raises NotFound for the path or for a reference, PermissionDenied, InvalidInput when references nest
        too deep.
        """
        authorize(actor, "resources", "read", path)
        return await self._interpolation.resource(actor, path)

    async def exists(self, actor: Actor, path: str) -> bool:
        """Whether the path is taken, visible or not."""
        authorize(actor, "resources", "read", path)
        async with self._database.statement() as connection:
            return await store.resource_exists(connection, actor.workspace_id, path)

    async def list_resources(
        self, actor: Actor, filters: ResourceFilters, limit: int, offset: int
    ) -> list[Resource]:
        """Visible resources, values left out, by path descending."""
        authorize(actor, "resources", "read")
        if filters.value is not None and not _is_json(filters.value):
            return []
        async with self._database.statement() as connection:
            return await store.list_resources(connection, actor, filters, limit, offset)

    async def list_search(self, actor: Actor) -> list[SearchedResource]:
        """Up to 1000 paths and values for search; states and caches are left out."""
        authorize(actor, "resources", "read")
        async with self._database.statement() as connection:
            return await store.search_resources(connection, actor)

    async def list_names(self, actor: Actor, resource_type: str) -> list[NamedResource]:
        """The `name` inside each value of one type; values without one are left out."""
        authorize(actor, "resources", "read")
        async with self._database.statement() as connection:
            return await store.list_names(connection, actor, resource_type)

    async def create(self, actor: Actor, new: NewResource, *, update_if_exists: bool, validate: bool) -> None:
        """Create a resource; `update_if_exists` overwrites what is there.

        `validate` checks the value against the type's schema. Raises Conflict, InvalidInput,
        PermissionDenied.
        """
        authorize(actor, "resources", "write", new.path)
        check_path(new.path)
        check_name(new.resource_type, "resource type")
        if update_if_exists and await self._put_state(actor, new):
            return
        async with self._database.transaction() as transaction:
            held = await store.lock_resource(transaction, actor.workspace_id, new.path)
            if held is None:
                require_write_resource(actor, new.path, new.resource_type, {})
            else:
                require_write_resource(actor, new.path, held.resource_type, held.extra_perms)
                require_write_resource(actor, new.path, new.resource_type, held.extra_perms)
                if not update_if_exists:
                    raise Conflict(f"Resource {new.path} already exists")
            if validate:
                await self._validate(transaction, actor, new.resource_type, new.value)
            if not await store.insert_resource(transaction, actor, new, overwrite=update_if_exists):
                raise Conflict(f"Resource {new.path} already exists")

    async def _put_state(self, actor: Actor, new: NewResource) -> bool:
        """Write a state in one round trip, the way jobs do; False when the longer way must decide.

        Who may write the path whatever its row grants needs no look at the row, and states are not validated.
        """
        if new.resource_type != STATE or not may_write_without_grant(actor, new.path, STATE):
            return False
        async with self._database.statement() as connection:
            return await store.put_state(connection, actor, new)

    async def update(self, actor: Actor, path: str, change: ResourceChange, *, validate: bool) -> str:
        """Change what is given; the path it has now. A new path takes the variable of the old one along.

        `validate` checks a new value, or the value under a new type. Raises NotFound, Conflict, InvalidInput,
        PermissionDenied.
        """
        authorize(actor, "resources", "write", path)
        new_path = check_path(change.path or path)
        if change.resource_type is not None:
            check_name(change.resource_type, "resource type")
        async with self._database.transaction() as transaction:
            held = await self._lock_for_write(transaction, actor, path)
            if change.resource_type is not None:
                require_write_resource(actor, path, change.resource_type, held.extra_perms)
            if validate:
                await self._validate_change(transaction, actor, held, change)
            if new_path != path:
                await self._check_rename(transaction, actor, path, new_path)
            await store.update_resource(transaction, actor.workspace_id, path, change)
            if new_path != path:
                await self._rename_linked_variable(transaction, actor, path, new_path)
        return new_path

    async def update_value(self, actor: Actor, path: str, value: msgspec.Raw, *, validate: bool) -> None:
        """Replace the value, after checking it against the type's schema if `validate`.

        Raises NotFound where Windmill answers 200 and loses the write, InvalidInput, PermissionDenied.
        """
        authorize(actor, "resources", "write", path)
        async with self._database.transaction() as transaction:
            held = await self._lock_for_write(transaction, actor, path)
            if validate:
                await self._validate(transaction, actor, held.resource_type, value)
            await store.update_value(transaction, actor.workspace_id, path, value)

    async def delete(self, actor: Actor, path: str) -> None:
        """Delete a resource, and the variable of the same path, its secret part.

        Raises NotFound, PermissionDenied.
        """
        authorize(actor, "resources", "write", path)
        async with self._database.transaction() as transaction:
            await self._lock_for_write(transaction, actor, path)
            await self._delete_locked(transaction, actor, path)

    async def delete_bulk(self, actor: Actor, paths: list[str]) -> list[str]:
        """Delete those that exist; their paths.

        Raises PermissionDenied, deleting none, when one may not be changed.
        """
        authorize(actor, "resources", "write")
        if len(paths) > MAX_BULK:
            raise InvalidInput(f"{len(paths)} paths are given, {MAX_BULK} are allowed in one call")
        deleted = []
        async with self._database.transaction() as transaction:
            # One order for all: two deletions at once wait for each other instead of deadlocking.
            for path in sorted(set(paths)):
                authorize(actor, "resources", "write", path)
                held = await store.lock_resource(transaction, actor.workspace_id, path)
                if held is not None:
                    require_write_resource(actor, path, held.resource_type, held.extra_perms)
                    await self._delete_locked(transaction, actor, path)
                    deleted.append(path)
        return deleted

    async def _lock_for_write(
        self, transaction: Transaction, actor: Actor, path: str
    ) -> store.LockedResource:
        held = await store.lock_resource(transaction, actor.workspace_id, path)
        if held is None:
            raise NotFound(f"Resource {path} not found")
        require_write_resource(actor, path, held.resource_type, held.extra_perms)
        return held

    async def _delete_locked(self, transaction: Transaction, actor: Actor, path: str) -> None:
        if await _may_change_linked_variable(transaction, actor, path):
            await variable_store.delete_variable(transaction, actor.workspace_id, path)
        await store.delete_resource(transaction, actor.workspace_id, path)

    async def _check_rename(self, transaction: Transaction, actor: Actor, path: str, new_path: str) -> None:
        authorize(actor, "resources", "write", new_path)
        require_owner(actor, "resource", path)
        require_write(actor, "resource", new_path, {})
        if await store.resource_exists(transaction, actor.workspace_id, new_path):
            raise Conflict(f"Resource {new_path} already exists")

    async def _rename_linked_variable(
        self, transaction: Transaction, actor: Actor, path: str, new_path: str
    ) -> None:
        if not await _may_change_linked_variable(transaction, actor, path):
            return
        if await variable_store.variable_exists(transaction, actor.workspace_id, new_path):
            raise Conflict(
                f"Variable {new_path} already exists, and variable {path} would move there with its resource"
            )
        await variable_store.update_variable(transaction, actor, path, VariableChange(path=new_path), None)
        # The resource names its secret part by path.
        moved = await store.get_value(transaction, actor.workspace_id, new_path)
        if moved is not None and moved.value is not None:
            rewritten = rename_variable_in(moved.value, path, new_path)
            if rewritten != moved.value:
                await store.update_value(
                    transaction, actor.workspace_id, new_path, msgspec.Raw(rewritten.encode())
                )

    async def _validate(
        self, transaction: Transaction, actor: Actor, resource_type: str, value: msgspec.Raw
    ) -> None:
        if resource_type in UNCHECKED_TYPES:
            return
        own = await type_store.get_resource_type(transaction, actor.workspace_id, resource_type)
        self._validation.check(own or BUILTIN_RESOURCE_TYPES.get(resource_type), value)

    async def _validate_change(
        self, transaction: Transaction, actor: Actor, held: store.LockedResource, change: ResourceChange
    ) -> None:
        resource_type = change.resource_type or held.resource_type
        if isinstance(change.value, msgspec.Raw):
            await self._validate(transaction, actor, resource_type, change.value)
        elif resource_type != held.resource_type:
            stored = await store.get_value(transaction, actor.workspace_id, held.path)
            if stored is not None:
                await self._validate(transaction, actor, resource_type, raw(stored.value))


async def _may_change_linked_variable(transaction: Transaction, actor: Actor, path: str) -> bool:
    """Whether there is a variable at the resource's path that the actor may change:

    It goes where the resource goes.
    """
    linked = await variable_store.lock_variable(transaction, actor.workspace_id, path)
    return linked is not None and can_write(actor, path, linked.extra_perms)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
