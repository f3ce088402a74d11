"""Deploying a version of a script: its place in the lineage, and its dependency job, in one transaction."""

from typing import Protocol
from uuid import UUID

import msgspec

from millpond.base.errors import Conflict, InvalidInput
from millpond.base.ids import hash_from_hex, hash_to_hex
from millpond.model.actors import Actor
from millpond.model.scripts import MAX_PARENTS, NewScript, PreparedScript
from millpond.services.authorization import authorize, require_owner, require_write
from millpond.services.script_preparation import hash_of, prepare
from millpond.store import scripts as store
from millpond.store.pool import Database, Transaction
from millpond.store.script_rows import LockedScript, NewVersion


class DependencyJobs(Protocol):
    """Whoever can have a version's dependencies resolved."""

    async def push_dependency_job(
        self,
        transaction: Transaction,
        actor: Actor,
        *,
        script_hash: int,
        path: str,
        language: str,
        code: str,
        tag: str | None,
        deployment_message: str | None,
    ) -> UUID:
        """Push the job in this transaction; its id. `store.scripts.record_lock` hears how it ended."""
        ...


class ScriptDeployment:
    """The use case of deploying."""

    def __init__(self, database: Database, jobs: DependencyJobs, languages: frozenset[str]) -> None:
        self._database = database
        self._jobs = jobs
        self._languages = languages

    async def deploy(self, actor: Actor, new: NewScript, *, skip_if_noop: bool) -> int:
        """Store a version and make it the live one of its path; its hash.

        With `skip_if_noop` the live version's hash when nothing would change. Raises InvalidInput for a rule
        of the body, Conflict when the lineage does not allow it, PermissionDenied.
        """
        authorize(actor, "scripts", "write", new.path)
        script = prepare(actor, new, self._languages)
        given_parent = parse_hash(new.parent_hash) if new.parent_hash else None
        async with self._database.transaction() as transaction:
            head = await store.lock_head(transaction, actor.workspace_id, script.path)
            # Asked before anything is said about what lives at the path.
            require_write(actor, "script", script.path, {} if head is None else head.extra_perms)
            if skip_if_noop and head is not None and _is_noop(head, script):
                return head.hash
            parent = await self._parent(transaction, actor, head, given_parent, auto=bool(new.auto_parent))
            return await self._store(transaction, actor, script, head, parent)

    async def _parent(
        self,
        transaction: Transaction,
        actor: Actor,
        head: LockedScript | None,
        given: int | None,
        *,
        auto: bool,
    ) -> LockedScript | None:
        if given is None:
            return head if auto else None
        if head is not None and head.hash == given:
            return head
        parent = await store.lock_version(transaction, actor.workspace_id, given)
        if auto and head is not None and (parent is None or parent.path == head.path):
            return head
        if parent is None:
            raise Conflict("The parent hash does not seem to exist")
        return parent

    async def _store(
        self,
        transaction: Transaction,
        actor: Actor,
        script: PreparedScript,
        head: LockedScript | None,
        parent: LockedScript | None,
    ) -> int:
        if parent is not None and parent.path != script.path:
            require_owner(actor, "script", parent.path)
        script_hash = hash_of(actor.workspace_id, None if parent is None else parent.hash, script)
        await _refuse_same_version(transaction, actor, script_hash)
        await _check_lineage(transaction, actor, script.path, head, parent)
        if parent is not None:
            await store.archive_version(transaction, actor.workspace_id, parent.hash)
            if parent.path != script.path:
                await store.move_stars(transaction, actor.workspace_id, parent.path, script.path)
        job_id = (
            None if script.lock is not None else await self._push_job(transaction, actor, script, script_hash)
        )
        version = NewVersion(
            hash=script_hash,
            parent_hashes=[] if parent is None else [parent.hash, *parent.parent_hashes][:MAX_PARENTS],
            extra_perms={} if parent is None else parent.extra_perms,
            lock_job_id=job_id,
            script=script,
        )
        if not await store.insert_script(transaction, actor, version):
            raise _same_version()
        return script_hash

    async def _push_job(
        self, transaction: Transaction, actor: Actor, script: PreparedScript, script_hash: int
    ) -> UUID:
        tag = script.settings.tag
        return await self._jobs.push_dependency_job(
            transaction,
            actor,
            script_hash=script_hash,
            path=script.path,
            language=script.language,
            code=script.content,
            # A tag made from a run's arguments means nothing before there is a run.
            tag=None if tag is None or "$args[" in tag else tag,
            deployment_message=script.deployment_message,
        )


def parse_hash(text: str) -> int:
    """A version's hash as clients write it. Raises InvalidInput."""
    script_hash = hash_from_hex(text)
    if script_hash is None:
        raise InvalidInput(f"Invalid script hash {text[:40]!r}: 16 hex digits are expected")
    return script_hash


async def _refuse_same_version(transaction: Transaction, actor: Actor, script_hash: int) -> None:
    archived = await store.get_archived(transaction, actor.workspace_id, script_hash)
    if archived is not None:
        raise _same_version(hash_to_hex(script_hash) if archived else None)


async def _check_lineage(
    transaction: Transaction, actor: Actor, path: str, head: LockedScript | None, parent: LockedScript | None
) -> None:
    if parent is not None:
        child = await store.get_child(transaction, actor.workspace_id, parent.hash)
        if child is not None:
            raise Conflict(
                f"A script with hash {hash_to_hex(child)} with same parent_hash has been found. However, "
                "the lineage must be linear: no two versions can have the same parent"
            )
    if head is not None and (parent is None or parent.hash != head.hash):
        raise Conflict(f"Path conflict for {path} with non-archived hash {hash_to_hex(head.hash)}")


def _same_version(archived_hash: str | None = None) -> Conflict:
    message = "A script with same hash (hence same path, description, summary, content) already exists!"
    if archived_hash is not None:
        message += f" It is archived: to deploy it again, name {archived_hash} as parent_hash"
    return Conflict(message)


def _is_noop(head: LockedScript, script: PreparedScript) -> bool:
    same = (
        head.summary == script.summary
        and head.description == script.description
        and head.content == script.content
        and head.language == script.language
        and head.kind == script.kind
        and head.is_template == script.is_template
        and head.settings == script.settings
        and (head.labels or None) == script.labels
    )
    return same and _is_same_lock(head, script) and _is_same_json(head.schema, script.schema)


def _is_same_lock(head: LockedScript, script: PreparedScript) -> bool:
    if script.lock is None:
        # Resolved or under way is what was asked for; after a failure, deploying again tries again.
        return head.lock is not None or head.lock_error_logs is None
    return head.lock is not None and head.lock.strip() == script.lock.strip()


def _is_same_json(stored: str | None, given: str) -> bool:
    if stored is None:
        return False
    try:
        return stored == given or msgspec.json.decode(stored) == msgspec.json.decode(given)
    except RecursionError:  # just within the depth a request may have, and beyond what is left of it here
        return False
