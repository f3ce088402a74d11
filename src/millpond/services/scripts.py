"""Scripts: read, list, archive, delete, and which version a run uses (compat facts, flows 5).

Deploying is `script_deployment`'s; running is not done here.
"""

from typing import TypeVar

from millpond.base.errors import InvalidInput, NotFound
from millpond.base.ids import hash_to_hex
from millpond.base.paths import check_path
from millpond.model.actors import Actor
from millpond.model.scripts import (
    Code,
    DeploymentStatus,
    Favorite,
    ListedScript,
    NewScript,
    RunnableScript,
    ScopedToken,
    Script,
    ScriptFilters,
    ScriptVersion,
    SearchedScript,
)
from millpond.services.authorization import authorize, require_admin, require_read, require_write
from millpond.services.script_deployment import DependencyJobs, ScriptDeployment
from millpond.services.script_preparation import MAX_CONTENT_CHARACTERS
from millpond.signatures import Signature, infer
from millpond.store import scripts as store
from millpond.store.pool import Database
from millpond.store.script_rows import Candidate

__all__ = ["DependencyJobs", "RunnableScript", "Scripts"]

MAX_BULK = 1000

T = TypeVar("T")


class Scripts:
    """Use cases on scripts."""

    def __init__(self, database: Database, jobs: DependencyJobs, languages: frozenset[str]) -> None:
        self._database = database
        self._deployment = ScriptDeployment(database, jobs, languages)

    async def create(self, actor: Actor, new: NewScript, *, skip_if_noop: bool = False) -> str:
        """Deploy a version; its hash in hex. Raises InvalidInput, Conflict, PermissionDenied."""
        authorize(actor, "scripts", "write", new.path)
        return hash_to_hex(await self._deployment.deploy(actor, new, skip_if_noop=skip_if_noop))

    async def get(self, actor: Actor, path: str) -> Script:
        """The newest version of a path, also when it is archived. Raises NotFound, PermissionDenied."""
        authorize(actor, "scripts", "read", path)
        async with self._database.statement() as connection:
            script = _found(await store.get_by_path(connection, actor, path), path)
        require_read(actor, "Script", path, script.extra_perms)
        return script

    async def get_by_hash(self, actor: Actor, script_hash: int) -> Script:
        """One version. Raises NotFound, PermissionDenied."""
        authorize(actor, "scripts", "read")
        async with self._database.statement() as connection:
            script = _found(await store.get_by_hash(connection, actor, script_hash), hash_to_hex(script_hash))
        authorize(actor, "scripts", "read", script.path)
        require_read(actor, "Script", script.path, script.extra_perms)
        return script

    async def get_content(self, actor: Actor, path: str) -> str:
        """The source that is live at a path. Raises NotFound, PermissionDenied."""
        authorize(actor, "scripts", "read", path)
        async with self._database.statement() as connection:
            live = _found(await store.get_head_content(connection, actor.workspace_id, path), path)
        require_read(actor, "Script", path, live.extra_perms)
        return live.content

    async def exists(self, actor: Actor, path: str) -> bool:
        """Whether a version is live at the path, visible or not."""
        authorize(actor, "scripts", "read", path)
        async with self._database.statement() as connection:
            return await store.script_exists(connection, actor.workspace_id, path)

    async def list_scripts(
        self, actor: Actor, filters: ScriptFilters, limit: int, offset: int
    ) -> list[ListedScript]:
        """Visible scripts without their sources, the actor's starred ones first."""
        authorize(actor, "scripts", "read")
        if filters.dedicated_worker:
            return []  # no script has a worker of its own here
        async with self._database.statement() as connection:
            return await store.list_scripts(connection, actor, filters, limit, offset)

    async def list_paths(self, actor: Actor) -> list[str]:
        """Paths of visible live scripts."""
        authorize(actor, "scripts", "read")
        async with self._database.statement() as connection:
            return await store.list_paths(connection, actor)

    async def list_search(self, actor: Actor) -> list[SearchedScript]:
        """Up to 1000 paths and sources, for search."""
        authorize(actor, "scripts", "read")
        async with self._database.statement() as connection:
            return await store.search_scripts(connection, actor)

    async def get_history(self, actor: Actor, path: str) -> list[ScriptVersion]:
        """The versions of a path, newest first. Raises NotFound, PermissionDenied."""
        authorize(actor, "scripts", "read", path)
        async with self._database.statement() as connection:
            extra_perms, versions = await store.get_history(connection, actor.workspace_id, path)
        _found(versions or None, path)
        require_read(actor, "Script", path, extra_perms)
        return versions

    async def get_latest_version(self, actor: Actor, path: str) -> ScriptVersion:
        """The newest version of a path. Raises NotFound, PermissionDenied."""
        authorize(actor, "scripts", "read", path)
        async with self._database.statement() as connection:
            extra_perms, versions = await store.get_history(connection, actor.workspace_id, path, 1)
        _found(versions or None, path)
        require_read(actor, "Script", path, extra_perms)
        return versions[0]

    async def update_history(self, actor: Actor, script_hash: int, path: str, message: str | None) -> None:
        """Change what a deployment says of itself. Raises NotFound, PermissionDenied."""
        authorize(actor, "scripts", "write", path)
        async with self._database.transaction() as transaction:
            version = await store.lock_version(transaction, actor.workspace_id, script_hash)
            if version is None or version.path != path:
                raise NotFound(f"Script {path} has no version {hash_to_hex(script_hash)}")
            require_write(actor, "script", path, version.extra_perms)
            await store.set_deployment_message(transaction, actor.workspace_id, script_hash, message or None)

    async def get_deployment_status(self, actor: Actor, script_hash: int) -> DeploymentStatus:
        """How far the dependencies of a version are. Raises NotFound, PermissionDenied."""
        authorize(actor, "scripts", "read")
        async with self._database.statement() as connection:
            found = await store.get_deployment(connection, actor.workspace_id, script_hash)
        deployment = _found(found, hash_to_hex(script_hash))
        authorize(actor, "scripts", "read", deployment.path)
        require_read(actor, "Script", deployment.path, deployment.extra_perms)
        return deployment.status

    async def archive(self, actor: Actor, path: str) -> None:
        """Take a script out of use; archiving again changes nothing. Raises NotFound, PermissionDenied."""
        authorize(actor, "scripts", "write", path)
        async with self._database.transaction() as transaction:
            newest = _found(await store.get_by_path(transaction, actor, path), path)
            require_write(actor, "script", path, newest.extra_perms)
            await store.archive_path(transaction, actor.workspace_id, path)

    async def archive_by_hash(self, actor: Actor, script_hash: int) -> Script:
        """Take a version out of use; the version. Raises NotFound, PermissionDenied."""
        authorize(actor, "scripts", "write")
        async with self._database.transaction() as transaction:
            found = await store.lock_version(transaction, actor.workspace_id, script_hash)
            version = _found(found, hash_to_hex(script_hash))
            authorize(actor, "scripts", "write", version.path)
            require_write(actor, "script", version.path, version.extra_perms)
            await store.archive_version(transaction, actor.workspace_id, script_hash)
            return _found(await store.get_by_hash(transaction, actor, script_hash), version.path)

    async def delete(self, actor: Actor, path: str) -> None:
        """Delete every version of a path. Raises NotFound, PermissionDenied unless an administrator asks."""
        authorize(actor, "scripts", "write", path)
        require_admin(actor)
        async with self._database.transaction() as transaction:
            _found(await store.delete_path(transaction, actor.workspace_id, path) or None, path)

    async def delete_by_hash(self, actor: Actor, script_hash: int) -> Script:
        """Blank one version and mark it deleted; what is left of it. Raises NotFound, PermissionDenied."""
        authorize(actor, "scripts", "write")
        require_admin(actor)
        async with self._database.transaction() as transaction:
            found = await store.lock_version(transaction, actor.workspace_id, script_hash)
            version = _found(found, hash_to_hex(script_hash))
            authorize(actor, "scripts", "write", version.path)
            await store.blank_version(transaction, actor.workspace_id, script_hash)
            return _found(await store.get_by_hash(transaction, actor, script_hash), version.path)

    async def delete_bulk(self, actor: Actor, paths: list[str]) -> list[str]:
        """Delete every version of several paths; those that existed. Raises PermissionDenied."""
        authorize(actor, "scripts", "write")
        require_admin(actor)
        if len(paths) > MAX_BULK:
            raise InvalidInput(f"{len(paths)} paths are given, {MAX_BULK} are allowed in one call")
        deleted = []
        async with self._database.transaction() as transaction:
            for path in sorted(set(paths)):
                authorize(actor, "scripts", "write", path)
                if await store.delete_path(transaction, actor.workspace_id, path):
                    deleted.append(path)
        return deleted

    async def list_tokens(self, actor: Actor, path: str) -> list[ScopedToken]:
        """Tokens made to run this script: administrators see all, others their own.

        Raises NotFound, PermissionDenied.
        """
        authorize(actor, "scripts", "read", path)
        async with self._database.statement() as connection:
            script = _found(await store.get_by_path(connection, actor, path), path)
            require_read(actor, "Script", path, script.extra_perms)
            owner = None if actor.is_admin else actor.email
            return await store.list_scoped_tokens(
                connection, actor.workspace_id, f"jobs:run:scripts:{path}", owner
            )

    async def infer_signature(self, actor: Actor, code: Code) -> Signature:
        """The signature of code that need not be deployed. Raises InvalidInput when it is too long."""
        authorize(actor, "scripts", "read")
        if len(code.content) > MAX_CONTENT_CHARACTERS:
            raise InvalidInput(
                f"The code is {len(code.content)} characters long, {MAX_CONTENT_CHARACTERS} are allowed"
            )
        return infer(code.language, code.content)

    async def star(self, actor: Actor, favorite: Favorite) -> None:
        """Make a script or flow the actor's favorite. Raises InvalidInput for what is no path."""
        # Favorites are the user's own business: operators have them too.
        authorize(actor, "users", "write")
        check_path(favorite.path)
        async with self._database.statement() as connection:
            await store.star(connection, actor, favorite.favorite_kind, favorite.path)

    async def unstar(self, actor: Actor, favorite: Favorite) -> None:
        """Make it no favorite of the actor."""
        authorize(actor, "users", "write")
        async with self._database.statement() as connection:
            await store.unstar(connection, actor, favorite.favorite_kind, favorite.path)

    async def resolve_by_path(self, actor: Actor, path: str) -> RunnableScript:
        """The version a run by path uses: the newest whose dependencies are resolved.

        While none ever was, the live one, its `lock` None. Raises NotFound, PermissionDenied, InvalidInput
        with the resolver's words when the only version there is could not be locked.
        """
        authorize(actor, "jobs", "run", f"scripts:{path}")
        async with self._database.statement() as connection:
            candidate = await store.get_runnable_by_path(connection, actor.workspace_id, path)
        if candidate is None:
            raise NotFound(
                f"No live script at path {path} in workspace {actor.workspace_id}: not deployed, or archived"
            )
        return _runnable(actor, candidate)

    async def resolve_by_hash(self, actor: Actor, script_hash: int) -> RunnableScript:
        """One version, for a run; archived ones run too. Raises as `resolve_by_path`."""
        authorize(actor, "jobs", "run")
        async with self._database.statement() as connection:
            candidate = await store.get_runnable_by_hash(connection, actor.workspace_id, script_hash)
        if candidate is None or candidate.deleted:
            raise NotFound(
                f"No script with hash {hash_to_hex(script_hash)} in workspace {actor.workspace_id}"
            )
        authorize(actor, "jobs", "run", f"scripts:{candidate.script.path}")
        return _runnable(actor, candidate)


def _runnable(actor: Actor, candidate: Candidate) -> RunnableScript:
    script = candidate.script
    require_read(actor, "Script", script.path, script.extra_perms)
    if script.lock is None and candidate.lock_error_logs is not None:
        raise InvalidInput(
            f"Script {script.path} cannot run: its dependencies could not be resolved.\n"
            f"{candidate.lock_error_logs}"
        )
    return script


def _found(value: T | None, name: str) -> T:
    if value is None:
        raise NotFound(f"Script {name} not found")
    return value
