"""Stores the logs of running jobs: one write for all that printed, at most a twentieth of a second late."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from uuid import UUID

from millpond.base.errors import MillpondError, Unavailable
from millpond.base.log import get_logger
from millpond.services.queue import Queue
from millpond.services.secrets_seen import SeenSecret
from millpond.store.queue import LogChunk
from millpond.worker.job_log import JobLog

log = get_logger()

FLUSH_EVERY_SECS = 0.05
RETRY_SECS = 0.5

SecretsSeen = Callable[[str, list[UUID], list[int]], Awaitable[list[SeenSecret]]]


class LogWriter:
    """Flushes job logs in the background, and one log entirely when its job ends."""

    def __init__(self, queue: Queue, secrets_seen: SecretsSeen) -> None:
        self._queue = queue
        self._secrets_seen = secrets_seen
        self._waiting: dict[JobLog, None] = {}
        self._unsent: list[LogChunk] = []
        self._woken = asyncio.Event()
        self._writing = asyncio.Lock()

    def wake(self, job_log: JobLog) -> None:
        """A log has output."""
        self._waiting[job_log] = None
        self._woken.set()

    async def run(self) -> None:
        """Flush until cancelled."""
        while True:
            await self._woken.wait()
            await asyncio.sleep(FLUSH_EVERY_SECS)
            self._woken.clear()
            try:
                await self._flush(list(self._waiting), last=False)
            except MillpondError as error:
                log.warning("log_flush_failed", error=error.message)
                self._woken.set()
                await asyncio.sleep(RETRY_SECS)

    async def finish(self, job_log: JobLog, *, secrets_matter: bool) -> None:
        """Store the rest of a log: its job has ended. `secrets_matter` looks for secrets even when nothing was printed.

        Raises what the database raises; what could not be stored stays, and goes out with the next write.
        """
        await self._flush([job_log], last=True, learn=secrets_matter or job_log.has_output)

    async def _flush(self, logs: list[JobLog], *, last: bool, learn: bool = True) -> None:
        # One writer at a time: chunks of a log are numbered when they are taken.
        async with self._writing:
            if learn:
                await self._learn_secrets(logs)
            for job_log in logs:
                self._waiting.pop(job_log, None)
                self._unsent += job_log.take_chunks(last=last)
            await self._send()

    async def _send(self) -> None:
        if not self._unsent:
            return
        try:
            await self._queue.append_logs(self._unsent)
        except Unavailable:
            raise
        except MillpondError as error:
            # Kept, it would stand in the way of every other job's log for ever.
            log.error("log_chunks_refused", chunks=len(self._unsent), error=error.message)
        self._unsent = []

    async def _learn_secrets(self, logs: list[JobLog]) -> None:
        by_workspace: dict[str, list[JobLog]] = defaultdict(list)
        for job_log in logs:
            by_workspace[job_log.claim.workspace_id].append(job_log)
        for workspace_id, members in by_workspace.items():
            known = [number for member in members for number in member.secret_numbers]
            seen = await self._secrets_seen(workspace_id, _readers(members), known)
            # Jobs that print at the same moment mask each other's secrets too: harmless, and one query for all.
            for member in members:
                member.secret_numbers += [secret.number for secret in seen]
                member.mask.add(secret.value for secret in seen)


def _readers(logs: list[JobLog]) -> list[UUID]:
    """The jobs, and those above them: what a parent has read is masked in what its children print."""
    ids: dict[UUID | None, None] = {}
    for job_log in logs:
        claim = job_log.claim
        ids.update(dict.fromkeys((claim.job_id, claim.parent_job, claim.root_job)))
    return [job_id for job_id in ids if job_id is not None]
