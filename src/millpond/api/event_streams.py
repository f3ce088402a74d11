"""Server-sent events: the updates of a job until it ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
from litestar.response import Stream

from millpond.base.errors import MillpondError, NotFound
from millpond.model.actors import Actor
from millpond.model.jobs import JobUpdate
from millpond.services.flow_views import FlowViews
from millpond.services.jobs import JobCursor, Jobs

LOOK_EVERY_SECS = 0.05
PING_EVERY_SECS = 10.0
LONGEST_STREAM_SECS = 60.0
LONGEST_POLL_SECS = 1.0


class Updates:
    """What streams and polls of one job tell: how it fares, and of a flow where it stands."""

    def __init__(self, jobs: Jobs, views: FlowViews, actor: Actor, job_id: UUID) -> None:
        self._jobs = jobs
        self._views = views
        self._actor = actor
        self._job_id = job_id

    async def since(self, cursor: JobCursor) -> JobUpdate:
        """What changed, without where a flow stands. Raises NotFound, PermissionDenied."""
        return await self._jobs.update_since(self._actor, self._job_id, cursor)

    async def with_status(self, update: JobUpdate) -> JobUpdate:
        """The update that is told."""
        status = await self._views.status(self._actor, self._job_id)
        return update if status is None else msgspec.structs.replace(update, flow_status=status)

    async def last(self, update: JobUpdate, *, only_result: bool) -> JobUpdate:
        """The update that tells how the job ended."""
        if only_result:
            result = await self._jobs.get_result(self._actor, self._job_id)
            return msgspec.structs.replace(update, only_result=msgspec.Raw(result.encode()))
        job = await self._jobs.get(self._actor, self._job_id)
        return msgspec.structs.replace(update, job=await self._views.described(self._actor, job))


def stream_of(updates: Updates, cursor: JobCursor | None = None, *, only_result: bool = False) -> Stream:
    """The updates of a job as an event stream; after 60 s it says `timeout` and the client comes back with its offsets."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return Stream(
        _events(updates, cursor or JobCursor(), only_result=only_result),
        status_code=200,  # also as the answer to a POST: browsers take nothing else for an event stream
        media_type="text/event-stream",
        headers=headers,
    )


async def poll(updates: Updates, cursor: JobCursor) -> JobUpdate:
    """The next update: held back up to a second while nothing changes, for clients that ask without a pause."""
    deadline = time.monotonic() + LONGEST_POLL_SECS
    while True:
        update = await updates.since(cursor)
        if cursor.percent is None and isinstance(update.progress, int):
            # The caller does not say which progress it knows: only one that changes meanwhile is news.
            cursor = msgspec.structs.replace(cursor, percent=update.progress)
        if _says_something(update, cursor) or time.monotonic() >= deadline:
            return await updates.with_status(update)
        await asyncio.sleep(LOOK_EVERY_SECS)


async def _events(updates: Updates, cursor: JobCursor, *, only_result: bool) -> AsyncIterator[bytes]:
    started = pinged = time.monotonic()
    while time.monotonic() - started < LONGEST_STREAM_SECS:
        try:
            update = await updates.since(cursor)
            if update.completed is True:
                yield _event("update", await updates.last(update, only_result=only_result))
                return
        except NotFound:
            yield _event("notfound")
            return
        except MillpondError as error:
            yield _event("error", {"error": error.message})
            return
        if _says_something(update, cursor):
            yield _event("update", await updates.with_status(update))
            cursor = _advanced(cursor, update)
        elif time.monotonic() - pinged > PING_EVERY_SECS:
            pinged = time.monotonic()
            yield _event("ping")
        await asyncio.sleep(LOOK_EVERY_SECS)
    yield _event("timeout")


def _advanced(cursor: JobCursor, update: JobUpdate) -> JobCursor:
    return msgspec.structs.replace(
        cursor,
        knows_running=cursor.knows_running or update.running is True,
        percent=update.progress if isinstance(update.progress, int) else cursor.percent,
        log_offset=update.log_offset if isinstance(update.log_offset, int) else cursor.log_offset,
        stream_offset=update.stream_offset if isinstance(update.stream_offset, int) else cursor.stream_offset,
    )


def _says_something(update: JobUpdate, cursor: JobCursor) -> bool:
    is_further = update.progress is not msgspec.UNSET and update.progress != cursor.percent
    news = (update.running, update.new_logs, update.new_result_stream)
    return update.completed is True or is_further or any(value is not msgspec.UNSET for value in news)


def _event(kind: str, content: object = None) -> bytes:
    members = b"{}" if content is None else msgspec.json.encode(content)
    separator = b"}" if members == b"{}" else b"," + members[1:]
    # Carried JSON may hold line breaks between its members, which would end the event: to JSON they are blanks.
    line = b'{"type":' + msgspec.json.encode(kind) + separator
    return b"data: " + line.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n\n"
