"""Reading jobs: one, its result, its log, what changed, lists (compat facts, flows 3.4)."""

from datetime import datetime
from uuid import UUID

import msgspec

from millpond.base.errors import InvalidInput, NotFound
from millpond.model.actors import Actor
from millpond.model.jobs import LOG_TAIL_CHARACTERS, Job, JobFilters, JobResultMaybe, JobTiming, JobUpdate
from millpond.services.authorization import authorize, require_admin
from millpond.services.job_access import require_change_job, require_read_job
from millpond.services.json_paths import value_at
from millpond.store import deletions
from millpond.store import jobs as store
from millpond.store.columns import raw
from millpond.store.jobs import JobProgress, StoredResult
from millpond.store.pool import Database, Transaction

WIPED_LOG = "##DELETED##"


class JobCursor(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller of `update_since` has seen: offsets count characters from 1 (log) and chunks from 0 (stream)."""

    knows_running: bool = False
    percent: int | None = None
    log_offset: int = 0
    stream_offset: int = 0
    wants_progress: bool = False
    no_logs: bool = False


class Jobs:
    """Use cases that read jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, actor: Actor, job_id: UUID, *, no_logs: bool = False, no_code: bool = False) -> Job:
        """One job, with the last 20,000 characters of its log. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(job_id))
        async with self._database.statement() as connection:
            await require_read_job(connection, actor, job_id)
            job = await store.get_job(connection, actor.workspace_id, job_id)
            if job is None:
                raise NotFound(f"Job not found: {job_id}")
            if not no_logs:
                job = msgspec.structs.replace(
                    job, logs=await self._log_tail(connection, actor.workspace_id, job)
                )
        return msgspec.structs.replace(job, raw_code=None, raw_lock=None) if no_code else job

    async def get_completed(self, actor: Actor, job_id: UUID) -> Job:
        """The same, only once it has ended. Raises NotFound before that."""
        authorize(actor, "jobs", "read", str(job_id))
        job = await self.get(actor, job_id)
        if job.type != "CompletedJob":
            raise NotFound(f"Completed Job not found at name {job_id}")
        return job

    async def get_result(self, actor: Actor, job_id: UUID, json_path: str | None = None) -> str:
        """The result of a completed job, JSON text; `json_path` (`a.b[0]`) picks a part, null when it is absent.

        Raises NotFound while the job has not completed.
        """
        authorize(actor, "jobs", "read", str(job_id))
        stored = await self._result(actor, job_id)
        if stored is None:
            raise NotFound(f"Completed Job not found at name {job_id}")
        text = stored.result or "null"
        return value_at(text, json_path) if json_path else text

    async def get_result_maybe(self, actor: Actor, job_id: UUID, *, get_started: bool) -> JobResultMaybe:
        """Whether the job has ended, and how. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(job_id))
        stored = await self._result(actor, job_id)
        if stored is not None:
            return JobResultMaybe(
                started=True,
                completed=True,
                success=stored.status in ("success", "skipped"),
                result=raw(stored.result),
            )
        started = None
        if get_started:
            async with self._database.statement() as connection:
                progress = await store.get_progress(connection, actor.workspace_id, job_id)
            started = progress is not None and progress.started
        return JobResultMaybe(started=started, completed=False, success=None, result=msgspec.Raw(b"null"))

    async def get_timing(self, actor: Actor, job_id: UUID) -> JobTiming:
        """When a completed job was made and began, and its duration in ms. Raises NotFound before it ended."""
        authorize(actor, "jobs", "read", str(job_id))
        job = await self.get_completed(actor, job_id)
        return JobTiming(
            created_at=job.created_at, started_at=job.started_at, duration_ms=job.duration_ms or 0
        )

    async def get_args(self, actor: Actor, job_id: UUID) -> str:
        """The arguments as given, references unresolved. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(job_id))
        async with self._database.statement() as connection:
            await require_read_job(connection, actor, job_id)
            return await store.get_args(connection, actor.workspace_id, job_id) or "{}"

    async def get_logs(self, actor: Actor, job_id: UUID) -> str:
        """The whole log. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(job_id))
        async with self._database.statement() as connection:
            await require_read_job(connection, actor, job_id)
            pieces = await store.read_log(connection, actor.workspace_id, job_id)
        return "".join(piece.content for piece in pieces)

    async def get_root_job_id(self, actor: Actor, job_id: UUID) -> UUID:
        """The outermost job that started this one; itself when none did. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(job_id))
        async with self._database.statement() as connection:
            line = await require_read_job(connection, actor, job_id)
        return line[-1].id

    async def update_since(self, actor: Actor, job_id: UUID, cursor: JobCursor) -> JobUpdate:
        """What changed since `cursor`. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(job_id))
        async with self._database.statement() as connection:
            await require_read_job(connection, actor, job_id)
            # Where the job stands is read before its log: what it printed last is then never missed.
            progress = await store.get_progress(connection, actor.workspace_id, job_id)
            if progress is None:
                raise NotFound(f"Job not found: {job_id}")
            changes = _changes(progress, cursor)
            if not cursor.no_logs:
                changes |= await self._new_logs(connection, actor.workspace_id, job_id, cursor.log_offset)
            changes |= await self._new_stream(connection, actor.workspace_id, job_id, cursor.stream_offset)
        return JobUpdate(**changes)  # type: ignore[arg-type]

    async def list_jobs(self, actor: Actor, filters: JobFilters, limit: int, offset: int) -> list[Job]:
        """Matching jobs of the queue first, then up to `limit` completed ones; args and results only when asked for.

        What is queued stands on the first page only: further pages, by offset or by `before_id`, hold completed jobs.
        Raises InvalidInput when both `success` and `running` are given.
        """
        authorize(actor, "jobs", "read")
        if filters.success is not None and filters.running is not None:
            raise InvalidInput("cannot specify both success and running")
        found: list[Job] = []
        async with self._database.statement() as connection:
            if _may_match_queue(filters) and offset == 0 and filters.before_id is None:
                found += await store.list_queued(connection, actor, filters, limit, 0)
            if filters.running is None and filters.scheduled_for_before_now is None:
                found += await store.list_completed(connection, actor, filters, limit, offset)
        return found

    async def list_queue(self, actor: Actor, filters: JobFilters, limit: int, offset: int) -> list[Job]:
        """Matching jobs that wait or run."""
        authorize(actor, "jobs", "read")
        async with self._database.statement() as connection:
            return await store.list_queued(connection, actor, filters, limit, offset)

    async def list_completed(self, actor: Actor, filters: JobFilters, limit: int, offset: int) -> list[Job]:
        """Matching jobs that ended."""
        authorize(actor, "jobs", "read")
        async with self._database.statement() as connection:
            return await store.list_completed(connection, actor, filters, limit, offset)

    async def count_queue(self, actor: Actor) -> int:
        """Jobs of the workspace that are due and wait."""
        authorize(actor, "jobs", "read")
        async with self._database.statement() as connection:
            return await store.count_queued(connection, actor.workspace_id)

    async def count_completed(self, actor: Actor, within_secs: int | None, success: bool | None) -> int:
        """Jobs of the workspace that ended within so many seconds, or at all."""
        authorize(actor, "jobs", "read")
        async with self._database.statement() as connection:
            return await store.count_completed(
                connection, actor.workspace_id, within_secs, store.statuses_of(JobFilters(success=success))
            )

    async def queue_position(self, actor: Actor, scheduled_for_ms: int) -> int:
        """Due jobs before an instant, milliseconds since 1970."""
        authorize(actor, "jobs", "read")
        async with self._database.statement() as connection:
            return await store.queue_position(connection, actor.workspace_id, scheduled_for_ms)

    async def queued_scheduled_for(self, actor: Actor, job_id: UUID) -> datetime:
        """When a waiting job is due. Raises NotFound once it left the queue."""
        authorize(actor, "jobs", "read", str(job_id))
        async with self._database.statement() as connection:
            await require_read_job(connection, actor, job_id)
            due = await store.queued_scheduled_for(connection, actor.workspace_id, job_id)
        if due is None:
            raise NotFound(f"queued job id {job_id} does not exist")
        return due

    async def delete_completed(self, actor: Actor, job_id: UUID) -> Job:
        """Wipe args, result and log of a completed job; that it ran stays. Administrators only. Raises NotFound."""
        authorize(actor, "jobs", "write", str(job_id))
        require_admin(actor)
        async with self._database.transaction() as transaction:
            if not await store.wipe_completed(transaction, actor.workspace_id, job_id):
                raise NotFound(f"Completed Job not found at name {job_id}")
            await deletions.forget_results_of(transaction, actor.workspace_id, [job_id])
        return await self.get(actor, job_id)

    async def set_progress(self, actor: Actor, job_id: UUID, percent: int) -> None:
        """Record the progress of a running job, clamped to 0 to 99. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "write", str(job_id))
        async with self._database.statement() as connection:
            await require_change_job(connection, actor, job_id)
            await store.set_percent(connection, actor.workspace_id, job_id, max(0, min(percent, 99)))

    async def get_percent(self, actor: Actor, job_id: UUID) -> int | None:
        """The progress of a job in percent; None when it never said. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(job_id))
        async with self._database.statement() as connection:
            await require_read_job(connection, actor, job_id)
            progress = await store.get_progress(connection, actor.workspace_id, job_id)
        return progress.percent if progress else None

    async def worker_is_draining(self, actor: Actor, job_id: UUID) -> bool:
        """Whether the worker that runs a job is about to stop. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(job_id))
        async with self._database.statement() as connection:
            await require_read_job(connection, actor, job_id)
            return await store.worker_is_draining(connection, actor.workspace_id, job_id)

    async def database_clock(self) -> int:
        """Milliseconds since 1970, by the database; says nothing of any workspace, so nobody is asked who they are."""
        async with self._database.statement() as connection:
            return await store.database_clock(connection)

    async def _result(self, actor: Actor, job_id: UUID) -> StoredResult | None:
        async with self._database.statement() as connection:
            await require_read_job(connection, actor, job_id)
            return await store.get_result(connection, actor.workspace_id, job_id)

    async def _log_tail(self, connection: Transaction, workspace_id: str, job: Job) -> str:
        if job.deleted:
            return WIPED_LOG
        return await store.read_log_tail(connection, workspace_id, job.id, LOG_TAIL_CHARACTERS)

    async def _new_logs(
        self, connection: Transaction, workspace_id: str, job_id: UUID, offset: int
    ) -> dict[str, object]:
        seen = max(offset - 1, 0)
        pieces = await store.read_log(connection, workspace_id, job_id, from_character=seen)
        if not pieces:
            return {}
        text = "".join(piece.content for piece in pieces)[max(seen - pieces[0].start_character, 0) :]
        end = pieces[-1].start_character + len(pieces[-1].content)
        return {"new_logs": text, "log_offset": end + 1}

    async def _new_stream(
        self, connection: Transaction, workspace_id: str, job_id: UUID, offset: int
    ) -> dict[str, object]:
        pieces = await store.read_log(connection, workspace_id, job_id, kind="stream", from_chunk=offset)
        if not pieces:
            return {}
        return {
            "new_result_stream": "".join(piece.content for piece in pieces),
            "stream_offset": pieces[-1].chunk + 1,
        }


def _changes(progress: JobProgress, cursor: JobCursor) -> dict[str, object]:
    changes: dict[str, object] = {"completed": progress.status is not None}
    if progress.status is not None:
        changes["running"] = False
    elif progress.running and not cursor.knows_running:
        changes["running"] = True
    if cursor.wants_progress and progress.percent is not None:
        changes["progress"] = progress.percent
    if progress.memory_peak_bytes is not None:
        changes["mem_peak"] = progress.memory_peak_bytes // 1024
    return changes


def _may_match_queue(filters: JobFilters) -> bool:
    ended = (
        filters.success,
        filters.status,
        filters.is_skipped,
        filters.label,
        filters.result,
        filters.completed_before,
        filters.completed_after,
    )
    return all(value is None for value in ended)
