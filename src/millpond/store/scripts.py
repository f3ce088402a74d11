"""Queries on scripts and their versions."""

from typing import cast

import msgspec

from millpond.base.ids import hash_to_hex
from millpond.model.actors import Actor
from millpond.model.scripts import (
    DeploymentStatus,
    ListedScript,
    ScopedToken,
    Script,
    ScriptFilters,
    ScriptVersion,
    SearchedScript,
)
from millpond.store.columns import json_text, perms
from millpond.store.composition import Composition
from millpond.store.pool import Transaction
from millpond.store.queries import load
from millpond.store.script_rows import (
    Candidate,
    Content,
    Deployment,
    LockedScript,
    NewVersion,
    candidate_of,
    listed_script,
    locked_script,
    script_of,
)
from millpond.store.visibility import visibility

_SQL = load("scripts")

MAX_HISTORY = 1000


async def get_by_path(transaction: Transaction, actor: Actor, path: str) -> Script | None:
    """The newest version of a path, archived or not."""
    row = await transaction.fetch_row(_SQL["get_script_by_path"], actor.workspace_id, path, actor.username)
    return None if row is None else script_of(actor.workspace_id, row)


async def get_by_hash(transaction: Transaction, actor: Actor, script_hash: int) -> Script | None:
    """One version."""
    row = await transaction.fetch_row(
        _SQL["get_script_by_hash"], actor.workspace_id, script_hash, actor.username
    )
    return None if row is None else script_of(actor.workspace_id, row)


async def get_head_content(transaction: Transaction, workspace_id: str, path: str) -> Content | None:
    """The source that is live at a path."""
    row = await transaction.fetch_row(_SQL["get_head_content"], workspace_id, path)
    return None if row is None else Content(row["content"], perms(row["extra_perms"]))


async def script_exists(transaction: Transaction, workspace_id: str, path: str) -> bool:
    """Whether a version is live at the path."""
    return bool(await transaction.fetch_value(_SQL["script_exists"], workspace_id, path))


async def get_runnable_by_path(transaction: Transaction, workspace_id: str, path: str) -> Candidate | None:
    """The version a run by path would use; None when none is live there."""
    row = await transaction.fetch_row(_SQL["get_runnable_by_path"], workspace_id, path)
    return None if row is None else candidate_of(row)


async def get_runnable_by_hash(
    transaction: Transaction, workspace_id: str, script_hash: int
) -> Candidate | None:
    """One version as a run would use it."""
    row = await transaction.fetch_row(_SQL["get_runnable_by_hash"], workspace_id, script_hash)
    return None if row is None else candidate_of(row)


async def get_deployment(transaction: Transaction, workspace_id: str, script_hash: int) -> Deployment | None:
    """How far the dependencies of a version are."""
    row = await transaction.fetch_row(_SQL["get_deployment_status"], workspace_id, script_hash)
    if row is None:
        return None
    status = DeploymentStatus(
        lock=row["lock"], lock_error_logs=row["lock_error_logs"], job_id=row["lock_job_id"]
    )
    return Deployment(row["path"], perms(row["extra_perms"]), status)


async def list_scripts(
    transaction: Transaction, actor: Actor, filters: ScriptFilters, limit: int, offset: int
) -> list[ListedScript]:
    """Visible scripts, sources left out: live ones, or those whose path has none."""
    query = Composition(_SQL, "list_scripts", actor.workspace_id, *visibility(actor), actor.username)
    query.add("and_archived" if filters.show_archived else "and_live")
    query.add_if_given("and_path_start", filters.path_start)
    query.add_if_given("and_path_exact", filters.path_exact)
    query.add_if_given("and_created_by", filters.created_by)
    query.add_if_given("and_kinds", filters.kinds)
    query.add_if_given("and_languages", filters.languages)
    query.add_if_given("and_labels", filters.labels)
    query.add_if_given("and_template", filters.is_template)
    query.add_if_given("and_parent", filters.parent_hash)
    query.add_if_given("and_first_parent", filters.first_parent_hash)
    query.add_if_given("and_last_parent", filters.last_parent_hash)
    if filters.starred_only:
        query.add("and_starred")
    if not filters.include_without_main:
        query.add("and_with_main")
    query.add("newest_first" if filters.newest_first else "oldest_first", limit, offset)
    rows = await transaction.fetch(query.query, *query.values)
    return [listed_script(actor.workspace_id, row, filters) for row in rows]


async def list_paths(transaction: Transaction, actor: Actor) -> list[str]:
    """Paths of visible live scripts."""
    rows = await transaction.fetch(_SQL["list_paths"], actor.workspace_id, *visibility(actor))
    return [row["path"] for row in rows]


async def search_scripts(transaction: Transaction, actor: Actor) -> list[SearchedScript]:
    """Up to 1000 visible paths and sources."""
    rows = await transaction.fetch(_SQL["search_scripts"], actor.workspace_id, *visibility(actor))
    return [SearchedScript(path=row["path"], content=row["content"]) for row in rows]


async def get_history(
    transaction: Transaction, workspace_id: str, path: str, limit: int = MAX_HISTORY
) -> tuple[dict[str, bool], list[ScriptVersion]]:
    """The versions of a path, newest first, and the permissions of the newest."""
    rows = await transaction.fetch(_SQL["script_history"], workspace_id, path, limit)
    versions = [
        ScriptVersion(
            script_hash=hash_to_hex(row["hash"]),
            created_at=row["created_at"],
            created_by=row["created_by"],
            deployment_msg=row["deployment_message"] or msgspec.UNSET,
        )
        for row in rows
    ]
    return (perms(rows[0]["extra_perms"]) if rows else {}), versions


async def lock_head(transaction: Transaction, workspace_id: str, path: str) -> LockedScript | None:
    """The live version of a path, held until the transaction ends."""
    return locked_script(await transaction.fetch_row(_SQL["lock_head"], workspace_id, path))


async def lock_version(transaction: Transaction, workspace_id: str, script_hash: int) -> LockedScript | None:
    """One version, held until the transaction ends."""
    return locked_script(await transaction.fetch_row(_SQL["lock_version"], workspace_id, script_hash))


async def get_archived(transaction: Transaction, workspace_id: str, script_hash: int) -> bool | None:
    """Whether a version stepped down; None when there is no such version."""
    return cast(
        "bool | None", await transaction.fetch_value(_SQL["get_version_state"], workspace_id, script_hash)
    )


async def get_child(transaction: Transaction, workspace_id: str, script_hash: int) -> int | None:
    """The version made from another one, if any."""
    return cast("int | None", await transaction.fetch_value(_SQL["get_child"], workspace_id, script_hash))


async def archive_version(transaction: Transaction, workspace_id: str, script_hash: int) -> None:
    """A version steps down."""
    await transaction.execute(_SQL["archive_version"], workspace_id, script_hash)


async def insert_script(transaction: Transaction, actor: Actor, version: NewVersion) -> bool:
    """Store a version; False, changing nothing, when that very version is stored already."""
    script = version.script
    inserted = await transaction.execute(
        _SQL["insert_script"],
        actor.workspace_id,
        version.hash,
        script.path,
        version.parent_hashes,
        script.summary,
        script.description,
        script.content,
        script.language,
        script.kind,
        script.schema,
        script.lock,
        version.lock_job_id,
        script.has_preprocessor,
        script.no_main,
        script.is_template,
        json_text(script.settings),
        json_text(version.extra_perms),
        script.labels,
        script.deployment_message,
        actor.username,
    )
    return inserted == 1


async def move_stars(transaction: Transaction, workspace_id: str, path: str, new_path: str) -> None:
    """Favorites follow a renamed script."""
    await transaction.execute(_SQL["move_stars"], workspace_id, path, new_path)


async def record_lock(
    transaction: Transaction, workspace_id: str, script_hash: int, lock: str | None, error: str | None
) -> None:
    """Note how resolving a version's dependencies ended: exactly one of `lock` and `error` is given.

    Changes nothing when the version has its lock already, or is gone.
    """
    if (lock is None) == (error is None):
        raise ValueError("a lock or an error is recorded, not both and not neither")
    # What a resolver prints may hold NUL characters, which text columns cannot.
    words = None if error is None else error.replace("\x00", "�")
    await transaction.execute(_SQL["record_lock"], workspace_id, script_hash, lock, words)


async def set_deployment_message(
    transaction: Transaction, workspace_id: str, script_hash: int, message: str | None
) -> None:
    """Change what a deployment says of itself."""
    await transaction.execute(_SQL["set_deployment_message"], workspace_id, script_hash, message)


async def archive_path(transaction: Transaction, workspace_id: str, path: str) -> None:
    """The live version of a path, if any, steps down."""
    await transaction.execute(_SQL["archive_path"], workspace_id, path)


async def delete_path(transaction: Transaction, workspace_id: str, path: str) -> bool:
    """Delete all versions of a path, and its stars; False when there were none."""
    await transaction.execute(_SQL["delete_stars"], workspace_id, path)
    return await transaction.execute(_SQL["delete_path"], workspace_id, path) > 0


async def blank_version(transaction: Transaction, workspace_id: str, script_hash: int) -> None:
    """Remove the content of a version; its row stays, marked deleted."""
    await transaction.execute(_SQL["blank_version"], workspace_id, script_hash)


async def star(transaction: Transaction, actor: Actor, kind: str, path: str) -> None:
    """Make something the actor's favorite."""
    await transaction.execute(_SQL["star"], actor.workspace_id, actor.username, kind, path)


async def unstar(transaction: Transaction, actor: Actor, kind: str, path: str) -> None:
    """Make something no favorite of the actor."""
    await transaction.execute(_SQL["unstar"], actor.workspace_id, actor.username, kind, path)


async def list_scoped_tokens(
    transaction: Transaction, workspace_id: str, scope: str, email: str | None
) -> list[ScopedToken]:
    """Tokens that name a scope, of one account when `email` is given."""
    rows = await transaction.fetch(_SQL["list_scoped_tokens"], workspace_id, scope, email)
    return [
        ScopedToken(
            label=row["label"],
            token_prefix=row["prefix"],
            expiration=row["expires_at"],
            created_at=row["created_at"],
            last_used_at=row["last_used_at"],
            scopes=row["scopes"],
            email=row["email"],
        )
        for row in rows
    ]
