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
CHARACTERS_A_WRITE = 8 * 1024 * 1024

SecretsSeen = Callable[[str, list[UUID], list[tuple[UUID, int]]], Awaitable[list[SeenSecret]]]


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
                await self.flush(list(self._waiting))
            except MillpondError as error:
                log.warning("log_flush_failed", error=error.message)
                self._woken.set()
                await asyncio.sleep(RETRY_SECS)

    async def finish(self, job_log: JobLog, *, secrets_matter: bool) -> None:
        """Store the rest of a log: its job has ended. `secrets_matter` looks for secrets even when nothing was printed.

        Raises what the database raises; what could not be stored stays, and goes out with the next write.
        """
        await self._flush([job_log], last=True, learn=secrets_matter or job_log.has_output)

    async def flush(self, logs: list[JobLog]) -> None:
        """Store what the logs hold ready, masked. Raises what the database raises; nothing is lost by it."""
        await self._flush(logs, last=False)

    async def _flush(self, logs: list[JobLog], *, last: bool, learn: bool = True) -> None:
        # One writer at a time: chunks of a log are numbered when they are taken.
        async with self._writing:
            # What is printed while the notes are read may hold a secret noted after that: it waits for the next round.
            marks = [job_log.mark for job_log in logs]
            if learn:
                await self._learn_secrets(logs)
            for job_log, mark in zip(logs, marks, strict=True):
                if last or not job_log.is_past(mark):
                    self._waiting.pop(job_log, None)
                self._unsent += job_log.take_chunks(last=last, mark=mark)
            await self._send()

    async def _send(self) -> None:
        while self._unsent:
            part = self._unsent[: _count_within(self._unsent, CHARACTERS_A_WRITE)]
            try:
                await self._queue.append_logs(part)
            except Unavailable:
                raise
            except MillpondError as error:
                # Kept, it would stand in the way of every other job's log for ever.
                log.error("log_chunks_refused", chunks=len(part), error=error.message)
            del self._unsent[: len(part)]

    async def _learn_secrets(self, logs: list[JobLog]) -> None:
        by_workspace: dict[str, list[JobLog]] = defaultdict(list)
        for job_log in logs:
            by_workspace[job_log.claim.workspace_id].append(job_log)
        for workspace_id, members in by_workspace.items():
            # One query for all. What a job has read is masked in its own log and those of jobs below it, in no other.
            printers = {member.claim.job_id for member in members}
            seen = await self._secrets_seen(workspace_id, list(printers), _known_to_all(members))
            for member in members:
                noted = [secret for secret in seen if secret.printer == member.claim.job_id]
                member.known_secrets.update(secret.number for secret in noted)
                member.mask.add(secret.value for secret in noted)


def _known_to_all(logs: list[JobLog]) -> list[tuple[UUID, int]]:
    """The secrets that the logs know, by job and number. A job taken up again has two logs for a moment."""
    known: dict[UUID, set[int]] = {}
    for job_log in logs:
        job_id = job_log.claim.job_id
        known[job_id] = known.get(job_id, job_log.known_secrets) & job_log.known_secrets
    return [(job_id, number) for job_id, numbers in known.items() for number in numbers]


def _count_within(chunks: list[LogChunk], characters: int) -> int:
    """How many chunks go out together: at least one, and no more than make up so many characters."""
    total = 0
    for count, chunk in enumerate(chunks):
        total += len(chunk.content)
        if total > characters and count:
            return count
    return len(chunks)
