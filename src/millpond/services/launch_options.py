"""What every launch shares: how a run is wanted, and pushing it (compat facts, flows 3.2)."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from millpond.base.errors import Conflict, InvalidInput
from millpond.base.ids import is_from_the_future
from millpond.model.actors import Actor
from millpond.model.jobs import NewJob
from millpond.services.job_access import require_read_job
from millpond.services.script_preparation import MAX_SECS
from millpond.store import flow_user_states as user_state_store
from millpond.store import jobs as job_store
from millpond.store import queue as store
from millpond.store.pool import Database
from millpond.store.queue import Entry

CHILD_PRIORITY = 2
"""Of what another job starts: it is waited for."""

PREVIEW = "preview:"
"""What a token's scopes must cover to run code that is not deployed."""


class LaunchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is started, beside what it runs: the query parameters of the run endpoints."""

    job_id: UUID | None = None
    scheduled_for: datetime | None = None
    scheduled_in_secs: int | None = None
    parent_job: UUID | None = None
    root_job: UUID | None = None
    tag: str | None = None
    timeout_s: int | None = None
    cache_ttl_s: int | None = None
    invisible_to_owner: bool = False
    queue_limit: int | None = None
    trigger_kind: str | None = None
    preprocess: bool = False


class Restart(NamedTuple):
    """Where a flow begins that goes on from an earlier run, and that run, whose user states it takes over."""

    flow_status: str
    past_job: UUID


async def push_launch(
    database: Database, actor: Actor, job: NewJob, options: LaunchOptions, restart: Restart | None = None
) -> UUID:
    """Push a job as a caller wants it started; its id.

    Raises NotFound for an unknown parent, Conflict for a taken id, InvalidInput for options that do not fit.
    """
    # The job tables are partitioned by the time in the id: a row ahead of its partition would keep it from being made.
    if is_from_the_future(job.id):
        raise InvalidInput(f"The time inside job id {job.id} lies in the future: choose another id")
    async with database.transaction() if restart else database.statement() as connection:
        for ancestor in filter(None, {options.parent_job, options.root_job}):
            await require_read_job(connection, actor, ancestor)
        if options.queue_limit is not None:
            waiting = await job_store.count_queued(connection, job.workspace_id)
            if waiting > options.queue_limit:
                raise InvalidInput(f"Number of queued job is too high: {waiting} > {options.queue_limit}")
        if options.scheduled_in_secs is not None and job.scheduled_for is None:
            due = after(await job_store.now(connection), options.scheduled_in_secs)
            job = msgspec.structs.replace(job, scheduled_for=due)
        try:
            entry = Entry(job, flow_status=restart.flow_status if restart else None)
            await store.push_entries(connection, [entry], None)
            if restart:
                await user_state_store.copy_values(connection, job.workspace_id, restart.past_job, job.id)
        except Conflict:
            raise Conflict(f"A job with id {job.id} exists already") from None
    return job.id


def cache_ttl_of(options: LaunchOptions, own: int | None) -> int | None:
    """Seconds a result may be used again: as the caller asks, else as what runs says. Raises InvalidInput."""
    asked = options.cache_ttl_s
    if asked is not None and not 0 <= asked <= MAX_SECS:
        raise InvalidInput(f"cache_ttl must be between 0 and {MAX_SECS} seconds, not {asked}")
    return (own if asked is None else asked) or None


def after(now: datetime, seconds: int) -> datetime:
    """An instant so many seconds later. Raises InvalidInput."""
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        raise InvalidInput(f"scheduled_in_secs {seconds} leads out of the calendar") from None


def shortest(asked: int | None, own: int | None) -> int | None:
    """The shorter of two timeouts, seconds. Raises InvalidInput for one that is asked for and is none."""
    if asked is not None and not 0 < asked < 2**31:
        raise InvalidInput(f"timeout must be a number of seconds above 0, not {asked}")
    given = [limit for limit in (asked, own) if limit]
    return min(given) if given else None


def args_text(args: msgspec.Raw) -> str:
    """The arguments of a preview as they are stored. Raises InvalidInput."""
    text = bytes(args).decode().strip()
    if text == "null":
        return "{}"
    if not text.startswith("{"):
        raise InvalidInput("The preview's args must be a JSON object")
    return text
