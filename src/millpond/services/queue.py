"""The queue as workers and the scheduler see it: claims, leases, completions, logs, rescue.

These use cases have no actor: only `worker` and `scheduler` call them, and an import contract keeps HTTP away. Every
write on a job's behalf names the claim's fencing token; a stale one changes nothing.
"""

from collections.abc import Sequence
from uuid import UUID

from millpond.base.errors import NotFound
from millpond.base.ids import hash_to_hex
from millpond.base.log import get_logger
from millpond.model.jobs import FLOW_KINDS, Cancellation, Claim, Completion, Lane
from millpond.model.results import canceled_result, error_result
from millpond.services.job_endings import Ended, end_by_force, follow_ends, tell_of_end
from millpond.store import flow_runs as flow_store
from millpond.store import flows as flow_document_store
from millpond.store import queue as store
from millpond.store import scripts as script_store
from millpond.store.pool import Database
from millpond.store.queue import HeldJob, LeftClaim, LogChunk, ScriptSource, WorkerRegistration

log = get_logger()

LEASE_SECS = 20.0
MOST_RESCUES = 3


class Queue:
    """Use cases of workers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, worker: WorkerRegistration, *, comes_back: bool = False) -> None:
        """A worker comes up: it gets its lease, and predecessors under its name lose theirs.

        One that `comes_back` after losing its lease takes nobody else's: two of one name would do so in turns for ever.
        """
        async with self._database.transaction() as transaction:
            await store.register_worker(transaction, worker, LEASE_SECS)
            if not comes_back:
                await store.supersede_workers(transaction, worker)

    async def heartbeat(self, worker_id: UUID, jobs_done: int, *, draining: bool) -> list[HeldJob] | None:
        """Renew the lease; what the worker holds, with requests to cancel. None when the worker is no longer known."""
        async with self._database.statement() as connection:
            if not await store.heartbeat(connection, worker_id, LEASE_SECS, jobs_done, draining=draining):
                return None
            return await store.held_jobs(connection, worker_id)

    async def unregister(self, worker_id: UUID) -> None:
        """A worker goes in order: what it still held goes back to the queue, then it is forgotten."""
        async with self._database.transaction() as transaction:
            await store.release_jobs(transaction, worker_id, count_rescue=False, most_rescues=MOST_RESCUES)
            await store.unregister_worker(transaction, worker_id)

    async def give_back(self, worker_id: UUID, lease_tokens: list[int]) -> None:
        """What a worker holds by the database but not by itself: the answer to a claim was lost, or its own code failed.

        As after a rescue: the jobs run again, or end when that has been tried too often.
        """
        async with self._database.transaction() as transaction:
            released = await store.release_jobs(
                transaction,
                worker_id,
                count_rescue=True,
                most_rescues=MOST_RESCUES,
                lease_tokens=lease_tokens,
            )
        ended = await self._end_left(worker_id, lease_tokens)
        log.warning("claims_given_back", worker_id=str(worker_id), jobs_released=released, jobs_ended=ended)

    async def claim(
        self,
        worker_id: UUID,
        lane: Lane,
        tags: list[str] | None,
        limit: int,
        sandbox: str,
        pin: str | None = None,
    ) -> list[Claim]:
        """Take up to `limit` due jobs, those pinned to `pin` among them.

        Empty when none is due or the worker's lease has run out.
        """
        async with self._database.statement() as connection:
            claims = await store.claim_jobs(connection, worker_id, lane, tags, limit, sandbox, pin)
            for claim in claims:
                if claim.rescues and claim.kind not in FLOW_KINDS:
                    await store.clear_log(connection, claim.workspace_id, claim.job_id)
            return claims

    async def next_due(self, lane: Lane, tags: list[str] | None, pin: str | None = None) -> float | None:
        """Seconds until the next waiting job is due; None when none waits."""
        async with self._database.statement() as connection:
            return await store.next_due(connection, lane, tags, pin)

    async def complete(self, completions: Sequence[Completion]) -> set[UUID]:
        """Record how jobs ended, in one statement unless limits follow their ends; the ids whose claim was still current.

        The others were cancelled, rescued after a missed heartbeat, or deleted: nothing is changed for them.
        """
        if any(_is_limited(completion.claim) for completion in completions):
            async with self._database.transaction() as transaction:
                done = await store.complete_jobs(transaction, completions)
                ended = [completion.claim for completion in completions if completion.claim.job_id in done]
                await follow_ends(transaction, [Ended.of(claim.workspace_id, claim) for claim in ended])
        else:
            async with self._database.statement() as connection:
                done = await store.complete_jobs(connection, completions)
        for completion in completions:
            if completion.claim.job_id not in done:
                log.warning(
                    "stale_completion_dropped",
                    job_id=str(completion.claim.job_id),
                    lease_token=completion.claim.lease_token,
                )
        return done

    async def complete_lock(
        self,
        completion: Completion,
        lock: str | None,
        step_locks: dict[str, str] | None,
        error: str | None,
    ) -> bool:
        """Record how a dependency job ended and the locks it made, in one transaction; False when its claim was stale."""
        claim = completion.claim
        async with self._database.transaction() as transaction:
            if not await store.complete_jobs(transaction, [completion]):
                return False
            if claim.script_hash is not None:
                await script_store.record_lock(
                    transaction, claim.workspace_id, claim.script_hash, lock, error
                )
            if claim.kind == "flowdependencies" and claim.flow_version is not None:
                await flow_document_store.record_locks(
                    transaction, claim.workspace_id, claim.flow_version, step_locks, error
                )
        return True

    async def append_logs(self, chunks: Sequence[LogChunk]) -> None:
        """Store what jobs printed."""
        async with self._database.statement() as connection:
            await store.append_logs(connection, chunks)

    async def script_source(self, workspace_id: str, script_hash: int) -> ScriptSource:
        """The code of a deployed version. Raises NotFound when it was deleted since the job was pushed."""
        async with self._database.statement() as connection:
            source = await store.script_source(connection, workspace_id, script_hash)
        if source is None:
            raise NotFound(f"Script version {hash_to_hex(script_hash)} was deleted")
        return source

    async def rescue(self) -> int:
        """Give back the jobs of workers whose lease has run out; the number of jobs that moved or ended.

        A job rescued three times already fails by name instead, and one whose cancellation was asked for ends cancelled.
        """
        moved = 0
        async with self._database.statement() as connection:
            dead = await store.dead_workers(connection)
        for worker_id in dead:
            async with self._database.transaction() as transaction:
                if await store.lock_lease(transaction, worker_id):
                    continue  # renewed since it was listed
                released = await store.release_jobs(
                    transaction, worker_id, count_rescue=True, most_rescues=MOST_RESCUES
                )
                await store.unregister_worker(transaction, worker_id)
            ended = await self._end_left(worker_id, None)
            log.warning("worker_lost", worker_id=str(worker_id), jobs_released=released, jobs_ended=ended)
            moved += released + ended
        return moved

    async def _end_left(self, worker_id: UUID, lease_tokens: list[int] | None) -> int:
        """End what a worker that is gone still holds, since it must not run again; their number.

        One transaction each: a flow is held before its steps are, as everywhere.
        """
        async with self._database.statement() as connection:
            left = await store.claims_of(connection, worker_id, lease_tokens)
        for claim in left:
            status, name, message = _ending_of(claim)
            why = claim.cancellation
            result = error_result(name, message) if why is None else canceled_result(why.by, why.reason)
            async with self._database.transaction() as transaction:
                await flow_store.lock_runs(transaction, claim.workspace_id, _flows_of(claim))
                if await store.end_claim(transaction, claim, status, result):
                    await tell_of_end(transaction, claim.workspace_id, claim, status, message)
                    ended = [Ended.of(claim.workspace_id, claim)]
                    if claim.kind in FLOW_KINDS:
                        why = Cancellation(name, message)
                        _, below = await end_by_force(transaction, claim.workspace_id, claim.job_id, why)
                        ended += below
                    await follow_ends(transaction, ended)
        return len(left)


def _flows_of(claim: LeftClaim) -> list[UUID]:
    """The flow a claim is, and the one around it."""
    around = claim.parent_job if claim.step_attempt is not None else None
    own = claim.job_id if claim.kind in FLOW_KINDS else None
    return [flow_job for flow_job in (around, own) if flow_job is not None]


def _is_limited(claim: Claim) -> bool:
    return claim.concurrency_key is not None or claim.delete_after_s is not None


def _ending_of(claim: LeftClaim) -> tuple[str, str, str]:
    if claim.cancellation is not None:
        return "canceled", "Canceled", f"Job canceled: {claim.cancellation.reason} by {claim.cancellation.by}"
    times = claim.rescues + 1
    message = f"The worker died while running this job, {times} times in a row; it is not tried again"
    return "failure", "WorkerLost", message
