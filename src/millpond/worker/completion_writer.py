"""Stores how jobs ended: many in one write, alone when such a write fails, by name when a result cannot be stored.

A database that is away is waited for without limit, since what a job returned must not be lost. It is a result's own
fault when the database answers, fails at this one write again and again, and takes a small one in its place.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from millpond.base.errors import MillpondError, StatementBroken, Unavailable
from millpond.base.log import get_logger
from millpond.model.jobs import DEPENDENCY_KINDS, Completion
from millpond.model.results import error_result
from millpond.services.queue import Queue
from millpond.worker.batching import Batcher
from millpond.worker.execution import Ending

log = get_logger()

Written = TypeVar("Written")

COMPLETIONS_A_WRITE = 200
MOST_TRIES = 5
RETRY_SECS = 0.5
ALONE_AT_ONCE = 2


class CompletionWriter:
    """Writes completions for one worker."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._together: Batcher[Completion, bool] = Batcher(
            self._complete, most=COMPLETIONS_A_WRITE, name="complete jobs"
        )
        # Few at once: waiting in line for a connection must not count as a failure to store.
        self._alone = asyncio.Semaphore(ALONE_AT_ONCE)

    async def store(self, ending: Ending) -> None:
        """Record how a job ended. Raises only when the database refuses even the failure that names its refusal."""
        if ending.completion.claim.kind in DEPENDENCY_KINDS:
            await self.store_by(ending, self._write_lock)
            return
        try:
            await self._together.submit(ending.completion)
        except MillpondError as error:
            # One bad result fails the whole write it was in: each tries again alone.
            log.warning("completions_not_stored", error=error.message)
            await self._store_alone(ending, self._write)

    async def store_by(self, ending: Ending, write: Callable[[Ending], Awaitable[Written]]) -> Written:
        """As `store`, by a `write` of the caller's, which may be called again, and with a failure in the result's place."""
        try:
            return await write(ending)
        except MillpondError as error:
            _log_retry(ending, error)
            return await self._store_alone(ending, write)

    async def _store_alone(self, ending: Ending, write: Callable[[Ending], Awaitable[Written]]) -> Written:
        failed = 0
        while True:
            try:
                async with self._alone:
                    await self._until_answering()
                    return await write(ending)
            except StatementBroken as error:
                failed += 1
                _log_retry(ending, error)
                if failed >= MOST_TRIES:
                    try:
                        return await self._write_refused(ending, error, write)
                    except Unavailable:
                        failed = 0  # it was not this result
            except Unavailable as error:
                # The database is starting or full, or a flow is in other hands: no result is at fault.
                failed = 0
                _log_retry(ending, error)
            except MillpondError as error:
                return await self._refuse(ending, error, write)
            await asyncio.sleep(RETRY_SECS)

    async def _refuse(
        self, ending: Ending, why: MillpondError, write: Callable[[Ending], Awaitable[Written]]
    ) -> Written:
        while True:
            try:
                return await self._write_refused(ending, why, write)
            except Unavailable as error:
                _log_retry(ending, error)
                await asyncio.sleep(RETRY_SECS)

    async def _write_refused(
        self, ending: Ending, why: MillpondError, write: Callable[[Ending], Awaitable[Written]]
    ) -> Written:
        """The job ends by name instead of being run again and again."""
        result = error_result("ResultNotStored", f"The result cannot be stored: {why.message}")
        refused = msgspec.structs.replace(ending.completion, status="failure", result=result, labels=None)
        async with self._alone:
            written = await write(Ending(refused, lock_error=why.message))
        log.error("result_refused", job_id=str(refused.claim.job_id), error=why.message)
        return written

    async def _until_answering(self) -> None:
        """Returns once the database answers: a write that fails after this fails by itself."""
        while True:
            try:
                await self._queue.next_due("process", None)
            except Unavailable as error:
                log.warning("database_unreachable", error=error.message)
                await asyncio.sleep(RETRY_SECS)
            else:
                return

    async def _write(self, ending: Ending) -> None:
        await self._queue.complete([ending.completion])

    async def _write_lock(self, ending: Ending) -> None:
        await self._queue.complete_lock(ending.completion, ending.lock, ending.step_locks, ending.lock_error)

    async def _complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        done = await self._queue.complete(completions)
        return [completion.claim.job_id in done for completion in completions]


def _log_retry(ending: Ending, error: MillpondError) -> None:
    log.warning("result_not_stored", job_id=str(ending.completion.claim.job_id), error=error.message)
