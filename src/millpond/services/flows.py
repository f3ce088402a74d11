"""Deployed flows: read, list, archive, delete, and which version a run uses (compat facts, flows 1.1 and 6.F).

Saving is `flow_deployment`'s; running is not done here.
"""

from typing import TypeVar

from millpond.base.errors import InvalidInput, NotFound
from millpond.model.actors import Actor
from millpond.model.flow_documents import (
    Flow,
    FlowDeploymentStatus,
    FlowFilters,
    FlowVersion,
    ListedFlow,
    NewFlow,
    RunnableFlow,
    SearchedFlow,
    StepKind,
    TriggersCount,
)
from millpond.model.scripts import ScopedToken
from millpond.services.authorization import authorize, require_read, require_write
from millpond.services.flow_deployment import FlowDeployment
from millpond.store import flows as store
from millpond.store import scripts as script_store
from millpond.store.flows import Candidate
from millpond.store.pool import Database, Transaction

__all__ = ["Flows", "RunnableFlow"]

T = TypeVar("T")


class Flows:
    """Use cases on deployed flows."""

    def __init__(self, database: Database, languages: frozenset[str]) -> None:
        self._database = database
        self._deployment = FlowDeployment(database, languages)

    async def create(self, actor: Actor, new: NewFlow) -> str:
        """Deploy a flow; its path. Raises InvalidInput, Conflict, PermissionDenied."""
        authorize(actor, "flows", "write", new.path)
        await self._deployment.create(actor, new)
        return new.path

    async def update(self, actor: Actor, path: str, new: NewFlow) -> str:
        """Deploy the next version of a flow, renaming it when `new` names another path; its path.

        Raises InvalidInput, NotFound, Conflict, PermissionDenied.
        """
        authorize(actor, "flows", "write", path)
        await self._deployment.update(actor, path, new)
        return new.path

    async def get(self, actor: Actor, path: str) -> Flow:
        """A flow by its newest version, also when it is archived. Raises NotFound, PermissionDenied."""
        authorize(actor, "flows", "read", path)
        async with self._database.statement() as connection:
            return await _readable(connection, actor, path)

    async def get_by_version(self, actor: Actor, version_id: int, path: str | None = None) -> Flow:
        """A flow by one of its versions, of `path` when that is given. Raises NotFound, PermissionDenied."""
        authorize(actor, "flows", "read", path)
        async with self._database.statement() as connection:
            found = await store.get_by_version(connection, actor, version_id)
        if found is None or path not in (None, found.path):
            raise NotFound(_no_version(version_id, path))
        authorize(actor, "flows", "read", found.path)
        require_read(actor, "Flow", found.path, found.extra_perms)
        return found

    async def exists(self, actor: Actor, path: str) -> bool:
        """Whether the path is taken, visible or not, archived or not."""
        authorize(actor, "flows", "read", path)
        async with self._database.statement() as connection:
            return await store.flow_exists(connection, actor.workspace_id, path)

    async def list_flows(
        self, actor: Actor, filters: FlowFilters, limit: int, offset: int
    ) -> list[ListedFlow]:
        """Visible flows without their values, the actor's starred ones first."""
        authorize(actor, "flows", "read")
        if filters.dedicated_worker:
            return []  # no flow has a worker of its own here
        async with self._database.statement() as connection:
            return await store.list_flows(connection, actor, filters, limit, offset)

    async def list_paths(self, actor: Actor) -> list[str]:
        """Paths of visible flows in use."""
        authorize(actor, "flows", "read")
        async with self._database.statement() as connection:
            return await store.list_paths(connection, actor)

    async def list_search(self, actor: Actor) -> list[SearchedFlow]:
        """Up to 1000 paths and values, for search."""
        authorize(actor, "flows", "read")
        async with self._database.statement() as connection:
            return await store.search_flows(connection, actor)

    async def list_users_of_runnable(
        self, actor: Actor, kind: StepKind, path: str, *, path_start: bool = False
    ) -> list[str]:
        """Paths of visible flows in use with a step, at any depth, that runs `path` or something below it."""
        authorize(actor, "flows", "read")
        async with self._database.statement() as connection:
            return await store.list_users_of_runnable(connection, actor, kind, path, path_start=path_start)

    async def get_history(self, actor: Actor, path: str) -> list[FlowVersion]:
        """The versions of a flow, newest first. Raises NotFound, PermissionDenied."""
        authorize(actor, "flows", "read", path)
        async with self._database.statement() as connection:
            extra_perms, versions = await store.get_history(connection, actor.workspace_id, path)
        _found(versions or None, path)
        require_read(actor, "Flow", path, extra_perms)
        return versions

    async def get_latest_version(self, actor: Actor, path: str) -> FlowVersion:
        """The newest version of a flow. Raises NotFound, PermissionDenied."""
        authorize(actor, "flows", "read", path)
        async with self._database.statement() as connection:
            extra_perms, versions = await store.get_history(connection, actor.workspace_id, path, 1)
        _found(versions or None, path)
        require_read(actor, "Flow", path, extra_perms)
        return versions[0]

    async def update_history(
        self, actor: Actor, version_id: int, message: str | None, path: str | None = None
    ) -> None:
        """Change what a deployment says of itself, of `path` when that is given.

        Raises NotFound, PermissionDenied, InvalidInput.
        """
        authorize(actor, "flows", "write", path)
        if message and "\x00" in message:
            raise InvalidInput("The deployment_msg holds a NUL character")
        async with self._database.transaction() as transaction:
            owned = await store.lock_flow_of_version(transaction, actor.workspace_id, version_id)
            if owned is None or path not in (None, owned.path):
                raise NotFound(_no_version(version_id, path))
            authorize(actor, "flows", "write", owned.path)
            require_write(actor, "flow", owned.path, owned.extra_perms)
            await store.set_deployment_message(transaction, actor.workspace_id, version_id, message or None)

    async def get_deployment_status(self, actor: Actor, path: str) -> FlowDeploymentStatus:
        """How far the locks of the newest version are. Raises NotFound, PermissionDenied."""
        authorize(actor, "flows", "read", path)
        async with self._database.statement() as connection:
            deployment = _found(await store.get_deployment(connection, actor.workspace_id, path), path)
        require_read(actor, "Flow", path, deployment.extra_perms)
        return deployment.status

    async def archive(self, actor: Actor, path: str, *, archived: bool) -> None:
        """Take a flow out of use, or put it back; twice changes nothing. Raises NotFound, PermissionDenied."""
        authorize(actor, "flows", "write", path)
        async with self._database.transaction() as transaction:
            await _lock_writable(transaction, actor, path)
            await store.set_archived(transaction, actor.workspace_id, path, archived=archived)

    async def delete(self, actor: Actor, path: str) -> None:
        """Delete a flow with its history; one that is gone already is no error. Raises PermissionDenied.

        Whoever may write it may: clients delete a flow when its file is gone, and ask for it more than once.
        """
        authorize(actor, "flows", "write", path)
        async with self._database.transaction() as transaction:
            extra_perms = await store.lock_flow(transaction, actor.workspace_id, path)
            if extra_perms is not None:
                require_write(actor, "flow", path, extra_perms)
                await store.delete_flow(transaction, actor.workspace_id, path)

    async def mute_error_handler(self, actor: Actor, path: str, *, muted: bool) -> None:
        """Raises InvalidInput unless the flow shall be heard, as all are. Raises NotFound, PermissionDenied."""
        authorize(actor, "flows", "write", path)
        async with self._database.transaction() as transaction:
            await _lock_writable(transaction, actor, path)
        if muted:
            raise InvalidInput(
                "This version does not support the flow setting ws_error_handler_muted: nothing would act on it"
            )

    async def list_tokens(self, actor: Actor, path: str) -> list[ScopedToken]:
        """Tokens made to run this flow: administrators see all, others their own. Raises NotFound, PermissionDenied."""
        authorize(actor, "flows", "read", path)
        async with self._database.statement() as connection:
            await _readable(connection, actor, path)
            return await _tokens(connection, actor, path, None if actor.is_admin else actor.email)

    async def count_triggers(self, actor: Actor, path: str) -> TriggersCount:
        """How many triggers of each kind start this flow. Raises NotFound, PermissionDenied."""
        authorize(actor, "flows", "read", path)
        async with self._database.statement() as connection:
            await _readable(connection, actor, path)
            return TriggersCount(webhook_count=len(await _tokens(connection, actor, path, None)))

    async def resolve_by_path(self, actor: Actor, path: str) -> RunnableFlow:
        """The version a run by path uses: the newest, whose missing locks are resolved by its runs.

        Raises NotFound also when the flow is archived, PermissionDenied.
        """
        authorize(actor, "jobs", "run", f"flows:{path}")
        async with self._database.statement() as connection:
            candidate = await store.head_version(connection, actor.workspace_id, path)
        if candidate is None:
            raise NotFound(f"No flow at path {path} in workspace {actor.workspace_id}")
        return _runnable(actor, candidate)

    async def resolve_by_version(self, actor: Actor, version_id: int) -> RunnableFlow:
        """One version, for a run. Raises as `resolve_by_path`; tokens limited to paths need the flow's."""
        authorize(actor, "jobs", "run")
        async with self._database.statement() as connection:
            candidate = await store.get_runnable_by_version(connection, actor.workspace_id, version_id)
        if candidate is None:
            raise NotFound(_no_version(version_id, None))
        authorize(actor, "jobs", "run", f"flows:{candidate.flow.path}")
        return _runnable(actor, candidate)


async def _readable(connection: Transaction, actor: Actor, path: str) -> Flow:
    flow = _found(await store.get_by_path(connection, actor, path), path)
    require_read(actor, "Flow", path, flow.extra_perms)
    return flow


async def _lock_writable(transaction: Transaction, actor: Actor, path: str) -> None:
    extra_perms = _found(await store.lock_flow(transaction, actor.workspace_id, path), path)
    require_write(actor, "flow", path, extra_perms)


async def _tokens(connection: Transaction, actor: Actor, path: str, owner: str | None) -> list[ScopedToken]:
    scope = f"jobs:run:flows:{path}"
    return await script_store.list_scoped_tokens(connection, actor.workspace_id, scope, owner)


def _runnable(actor: Actor, candidate: Candidate) -> RunnableFlow:
    flow = candidate.flow
    require_read(actor, "Flow", flow.path, flow.extra_perms)
    if candidate.archived:
        raise NotFound(f"Flow {flow.path} is archived: put it back into use to run it")
    return flow


def _no_version(version_id: int, path: str | None) -> str:
    return f"No flow version {version_id}" if path is None else f"Flow {path} has no version {version_id}"


def _found(value: T | None, path: str) -> T:
    if value is None:
        raise NotFound(f"Flow {path} not found")
    return value
