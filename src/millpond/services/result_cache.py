"""Results used again for equal runs (compat facts, storage 6.1).

Equal means: the same version, or the same code, language and lock; the same arguments once references are resolved; and
the same user or group as whom it runs, so that nobody is shown what another one was allowed to compute. Only the digest
of all that is kept, for the arguments may hold secrets.
"""

import hashlib
from uuid import UUID

import msgspec

from millpond.model.flow_runs import FlowJob
from millpond.model.jobs import Claim
from millpond.store import result_cache as store
from millpond.store.pool import Database, Transaction
from millpond.store.queue import ScriptSource
from millpond.store.result_cache import CachedResult, NewResult

MAX_CACHED_BYTES = 1024**2
"""Larger results are not kept: they would fill the database with what is cheap to make again, or too large to copy."""


class ResultCache:
    """Results of scripts. Not an endpoint: workers call it, with claims they hold."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lookup(self, claim: Claim, source: ScriptSource, args: bytes) -> CachedResult | None:
        """The result of an equal run; None when none is kept. `args` are those that `main` is given."""
        async with self._database.statement() as connection:
            return await store.find(connection, claim.workspace_id, script_key(claim, source, args))

    async def keep(self, claim: Claim, source: ScriptSource, args: bytes, result: str) -> str | None:
        """Keep the result of a successful run; why not, in words for its log, when it is not kept."""
        key = script_key(claim, source, args)
        async with self._database.statement() as connection:
            return await keep_result(connection, claim, key, result)


async def find_result(transaction: Transaction, claim: Claim, key: bytes) -> CachedResult | None:
    """The result kept under a key of `flow_key`; None when there is none, or the claim asks for none."""
    return await store.find(transaction, claim.workspace_id, key) if claim.cache_ttl_s else None


async def keep_result(transaction: Transaction, claim: Claim, key: bytes, result: str) -> str | None:
    """Keep the result of a claim for its `cache_ttl_s`; why not, in words, when it is not kept."""
    return await _keep(transaction, claim, claim.job_id, key, result)


async def keep_flow_result(transaction: Transaction, job: FlowJob, key: bytes, result: str) -> str | None:
    """As `keep_result`, for a flow that ends in a turn."""
    return await _keep(transaction, job, job.id, key, result)


async def _keep(
    transaction: Transaction, job: Claim | FlowJob, job_id: UUID, key: bytes, result: str
) -> str | None:
    ttl_s = job.cache_ttl_s or 0
    # A copy must not outlive the original, which is to be forgotten.
    if job.delete_after_s is not None:
        ttl_s = min(ttl_s, job.delete_after_s)
    if ttl_s <= 0:
        return "the result is to be deleted after use, so it is not cached"
    if len(result.encode()) > MAX_CACHED_BYTES:
        return f"the result is over {MAX_CACHED_BYTES} bytes, so it is not cached"
    new = NewResult(job.workspace_id, key, result, job.runnable_path, job.permissioned_as, job_id, ttl_s)
    await store.keep(transaction, new)
    return None


def script_key(claim: Claim, source: ScriptSource, args: bytes) -> bytes:
    """What identifies equal runs of a script, deployed or inline."""
    if claim.script_hash is not None and claim.kind == "script":
        runnable: tuple[object, ...] = ("script", claim.script_hash)
    else:
        runnable = ("code", source.language, source.code, source.lock)
    return _digest(runnable, claim.permissioned_as, args)


def flow_key(claim: Claim, definition: str | int, args: bytes) -> bytes:
    """What identifies equal runs of a flow: its version's number, or the text of one that is not deployed.

    `args` are the flow's arguments, with references resolved by the caller: as they stand a changed resource would
    not be noticed.
    """
    return _digest(("flow", definition), claim.permissioned_as, args)


def cached_note(cached: CachedResult) -> str:
    """The line of a log that says where a result comes from."""
    return f"[millpond: cached result of run {cached.job_id}, {cached.created_at:%Y-%m-%d %H:%M:%S} UTC; nothing was run]"


def _digest(runnable: tuple[object, ...], permissioned_as: str, args: bytes) -> bytes:
    # Arguments in any order are the same call; within a value the text counts, as in Windmill.
    values = msgspec.json.decode(args, type=dict[str, msgspec.Raw])
    named = [(name, bytes(values[name]).decode()) for name in sorted(values)]
    return hashlib.sha256(msgspec.json.encode((runnable, permissioned_as, named))).digest()
