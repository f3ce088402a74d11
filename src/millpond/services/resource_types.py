"""Resource types: a workspace's own, and those every workspace has (compat facts, storage 2.4)."""

import msgspec

from millpond.base.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from millpond.base.paths import check_name
from millpond.model.actors import Actor
from millpond.model.builtin_resource_types import BUILTIN_RESOURCE_TYPES
from millpond.model.resource_types import FileFormat, NewResourceType, ResourceType, ResourceTypeChange
from millpond.services.authorization import authorize, require_admin
from millpond.services.resource_validation import check_schema
from millpond.store import resource_types as store
from millpond.store.pool import Database

MAX_EXTENSION = 20


class ResourceTypes:
    """Use cases on resource types. Members see them all; operators change none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_resource_types(self, actor: Actor) -> list[ResourceType]:
        """All types by name; the workspace's own hide the common ones of the same name."""
        authorize(actor, "resources", "read")
        async with self._database.statement() as connection:
            own = await store.list_resource_types(connection, actor.workspace_id)
        visible = {**BUILTIN_RESOURCE_TYPES, **{entry.name: entry for entry in own}}
        return [visible[name] for name in sorted(visible)]

    async def list_names(self, actor: Actor) -> list[str]:
        """The names of all types."""
        authorize(actor, "resources", "read")
        return [entry.name for entry in await self.list_resource_types(actor)]

    async def get(self, actor: Actor, name: str) -> ResourceType:
        """One type. Raises NotFound."""
        authorize(actor, "resources", "read")
        async with self._database.statement() as connection:
            found = await store.get_resource_type(connection, actor.workspace_id, name)
        found = found or BUILTIN_RESOURCE_TYPES.get(name)
        if found is None:
            raise _missing(name)
        return found

    async def exists(self, actor: Actor, name: str) -> bool:
        """Whether there is such a type, own or common."""
        authorize(actor, "resources", "read")
        async with self._database.statement() as connection:
            own = await store.get_resource_type(connection, actor.workspace_id, name)
        return own is not None or name in BUILTIN_RESOURCE_TYPES

    async def file_formats(self, actor: Actor) -> dict[str, FileFormat]:
        """The types whose values are files, by name."""
        authorize(actor, "resources", "read")
        return {
            entry.name: FileFormat(format_extension=entry.format_extension, is_fileset=entry.is_fileset)
            for entry in await self.list_resource_types(actor)
            if entry.format_extension is not None or entry.is_fileset
        }

    async def create(self, actor: Actor, new: NewResourceType) -> None:
        """Create a type of the workspace. Raises Conflict, InvalidInput, PermissionDenied for operators."""
        authorize(actor, "resources", "write")
        _refuse_operators(actor)
        check_name(new.name, "resource type")
        _check_files(new.format_extension, is_fileset=bool(new.is_fileset))
        check_schema(new.name, new.schema)
        async with self._database.transaction() as transaction:
            if not await store.insert_resource_type(transaction, actor, new):
                raise Conflict(f"Resource type {new.name} already exists")

    async def update(self, actor: Actor, name: str, change: ResourceTypeChange) -> None:
        """Change a type of the workspace. Raises NotFound, InvalidInput, PermissionDenied for operators."""
        authorize(actor, "resources", "write")
        _refuse_operators(actor)
        if isinstance(change.schema, msgspec.Raw):
            check_schema(name, change.schema)
        async with self._database.transaction() as transaction:
            held = await store.lock_resource_type(transaction, actor.workspace_id, name)
            if held is None:
                raise _missing(name)
            extension = (
                held.format_extension if change.format_extension is msgspec.UNSET else change.format_extension
            )
            is_fileset = held.is_fileset if change.is_fileset is None else change.is_fileset
            _check_files(extension, is_fileset=is_fileset)
            await store.update_resource_type(transaction, actor.workspace_id, name, change)

    async def delete(self, actor: Actor, name: str) -> None:
        """Delete a type of the workspace; its resources stay.

        Raises NotFound, PermissionDenied but for admins.
        """
        authorize(actor, "resources", "write")
        require_admin(actor)
        async with self._database.transaction() as transaction:
            if not await store.delete_resource_type(transaction, actor.workspace_id, name):
                raise _missing(name)


def _refuse_operators(actor: Actor) -> None:
    # Operators may change resources, and so pass `authorize`.
    if actor.is_operator:
        raise PermissionDenied(
            f"Operators cannot change resource types: {actor.username} is an operator of {actor.workspace_id}"
        )


def _check_files(format_extension: str | None, *, is_fileset: bool) -> None:
    if is_fileset and format_extension is not None:
        raise InvalidInput("A resource type is a fileset or has a format_extension, not both")
    if format_extension is not None and len(format_extension) > MAX_EXTENSION:
        raise InvalidInput(f"format_extension is over {MAX_EXTENSION} characters long")


def _missing(name: str) -> NotFound:
    return NotFound(f"ResourceType not found at name {name}")
