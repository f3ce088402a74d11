"""`/w/{workspace}/jobs` and `/jobs_u`: reading and cancelling jobs."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import decode, json_bytes, json_of, page_of, text
from millpond.api.event_streams import poll, stream_of
from millpond.api.job_filters import ago, filters_of
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Actor
from millpond.model.jobs import Job, JobResultMaybe, JobTiming, JobUpdate
from millpond.services.cancellations import Cancellations
from millpond.services.jobs import JobCursor, Jobs

AnyRequest = Request[Any, Any, Any]


class CancelBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a cancellation; all of it may be left out."""

    reason: str | None = None


class ProgressBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `set_progress`."""

    percent: int
    flow_job_id: UUID | None = None


@get("/get/{job_id:uuid}", opt=answers(Job))
async def get_job(
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    job_id: FromPath[UUID],
    no_logs: FromQuery[bool] = False,
    no_code: FromQuery[bool] = False,
) -> Response[bytes]:
    """One job."""
    return json_of(await jobs.get(actor, job_id, no_logs=no_logs, no_code=no_code))


@get("/completed/get/{job_id:uuid}", opt=answers(Job))
async def get_completed(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """One job that has ended."""
    return json_of(await jobs.get_completed(actor, job_id))


@get("/completed/get_result/{job_id:uuid}")
async def get_result(
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    job_id: FromPath[UUID],
    json_path: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The result."""
    return json_bytes(await jobs.get_result(actor, job_id, json_path))


@get("/completed/get_result_maybe/{job_id:uuid}", opt=answers(JobResultMaybe))
async def get_result_maybe(
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    job_id: FromPath[UUID],
    get_started: FromQuery[bool] = False,
) -> Response[bytes]:
    """Whether it has ended, and how."""
    return json_of(await jobs.get_result_maybe(actor, job_id, get_started=get_started))


@get("/completed/get_timing/{job_id:uuid}", opt=answers(JobTiming))
async def get_timing(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """When it was made, began, and how long it took."""
    return json_of(await jobs.get_timing(actor, job_id))


@get("/get_args/{job_id:uuid}")
async def get_args(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """The arguments."""
    return json_bytes(await jobs.get_args(actor, job_id))


@get(["/get_logs/{job_id:uuid}", "/get_completed_logs_tail/{job_id:uuid}"])
async def get_logs(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[str]:
    """The log."""
    return text(await jobs.get_logs(actor, job_id))


@get("/get_root_job_id/{job_id:uuid}", opt=answers(UUID))
async def get_root_job_id(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """The outermost job that started this one."""
    return json_of(await jobs.get_root_job_id(actor, job_id))


def _cursor(
    running: bool, log_offset: int, stream_offset: int, get_progress: bool, no_logs: bool
) -> JobCursor:
    return JobCursor(
        knows_running=running,
        log_offset=max(log_offset, 0),
        stream_offset=max(stream_offset, 0),
        wants_progress=get_progress,
        no_logs=no_logs,
    )


@get("/getupdate/{job_id:uuid}", opt=answers(JobUpdate))
async def get_update(
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    job_id: FromPath[UUID],
    running: FromQuery[bool] = False,
    log_offset: FromQuery[int] = 0,
    stream_offset: FromQuery[int] = 0,
    get_progress: FromQuery[bool] = False,
    no_logs: FromQuery[bool] = False,
) -> Response[bytes]:
    """What changed since the offsets; held back a little while nothing does."""
    cursor = _cursor(running, log_offset, stream_offset, get_progress, no_logs)
    return json_of(await poll(jobs, actor, job_id, cursor))


@get("/getupdate_sse/{job_id:uuid}")
async def get_update_stream(
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    job_id: FromPath[UUID],
    running: FromQuery[bool] = False,
    log_offset: FromQuery[int] = 0,
    stream_offset: FromQuery[int] = 0,
    get_progress: FromQuery[bool] = False,
    no_logs: FromQuery[bool] = False,
    only_result: FromQuery[bool] = False,
) -> Response[Any]:
    """What changes, as an event stream."""
    cursor = _cursor(running, log_offset, stream_offset, get_progress, no_logs)
    return stream_of(jobs, actor, job_id, cursor, only_result=only_result)


@post(
    ["/queue/cancel/{job_id:uuid}", "/queue/force_cancel/{job_id:uuid}"],
    opt=accepts(CancelBody),
    status_code=200,
)
async def cancel(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    cancellations: NamedDependency[Cancellations],
    job_id: FromPath[UUID],
    body: RawBody,
) -> Response[str]:
    """Cancel a job and its children."""
    reason = decode(body, CancelBody).reason if body.strip() else None
    force = "/force_cancel/" in request.url.path
    return text(await cancellations.cancel(actor, job_id, reason, force=force))


public_router = Router(
    "/jobs_u",
    route_handlers=[
        get_job,
        get_completed,
        get_result,
        get_result_maybe,
        get_timing,
        get_args,
        get_logs,
        get_root_job_id,
        get_update,
        get_update_stream,
        cancel,
    ],
    tags=["jobs"],
)


@get("/list", opt=answers(list[Job]))
async def list_jobs(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Matching jobs, those of the queue first."""
    where = page_of(page, per_page, default=100, maximum=1000)
    return json_of(await jobs.list_jobs(actor, filters_of(request.query_params), where.limit, where.offset))


@get("/queue/list", opt=answers(list[Job]))
async def list_queue(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Matching jobs that wait or run."""
    where = page_of(page, per_page, default=100, maximum=1000)
    return json_of(await jobs.list_queue(actor, filters_of(request.query_params), where.limit, where.offset))


@get("/completed/list", opt=answers(list[Job]))
async def list_completed(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Matching jobs that ended."""
    where = page_of(page, per_page, default=100, maximum=1000)
    return json_of(
        await jobs.list_completed(actor, filters_of(request.query_params), where.limit, where.offset)
    )


@get("/queue/count")
async def count_queue(actor: NamedDependency[Actor], jobs: NamedDependency[Jobs]) -> Response[bytes]:
    """How many are due and wait."""
    return json_of({"database_length": await jobs.count_queue(actor), "suspended": 0})


@get("/completed/count")
async def count_completed(actor: NamedDependency[Actor], jobs: NamedDependency[Jobs]) -> Response[bytes]:
    """How many have ended."""
    return json_of({"database_length": await jobs.count_completed(actor, None, None), "suspended": 0})


@get("/completed/count_jobs", opt=answers(int))
async def count_jobs(
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    completed_after_s_ago: FromQuery[int | None] = None,
    success: FromQuery[bool | None] = None,
) -> Response[bytes]:
    """How many ended lately."""
    return json_of(await jobs.count_completed(actor, ago(completed_after_s_ago), success))


@get("/queue/position/{scheduled_for_ms:int}")
async def queue_position(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], scheduled_for_ms: FromPath[int]
) -> Response[bytes]:
    """How many due jobs stand before an instant."""
    return json_of({"position": await jobs.queue_position(actor, scheduled_for_ms)})


@get("/queue/scheduled_for/{job_id:uuid}", opt=answers(int))
async def scheduled_for(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """When a waiting job is due, milliseconds since 1970."""
    due = await jobs.queued_scheduled_for(actor, job_id)
    return json_of(int(due.timestamp() * 1000))


@post("/queue/cancel_selection", opt=accepts(list[UUID]) | answers(list[UUID]), status_code=200)
async def cancel_selection(
    actor: NamedDependency[Actor],
    cancellations: NamedDependency[Cancellations],
    body: RawBody,
    force_cancel: FromQuery[bool] = False,
) -> Response[bytes]:
    """Cancel several."""
    return json_of(await cancellations.cancel_selection(actor, decode(body, list[UUID]), force=force_cancel))


@post("/completed/delete/{job_id:uuid}", opt=answers(Job), status_code=200)
async def delete_completed(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """Wipe what a job was given, returned and printed."""
    return json_of(await jobs.delete_completed(actor, job_id))


@get("/worker_is_draining/{job_id:uuid}", opt=answers(bool))
async def worker_is_draining(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """Whether the worker that runs a job is about to stop."""
    return json_of(await jobs.worker_is_draining(actor, job_id))


router = Router(
    "/jobs",
    route_handlers=[
        list_jobs,
        list_queue,
        list_completed,
        count_queue,
        count_completed,
        count_jobs,
        queue_position,
        scheduled_for,
        cancel_selection,
        delete_completed,
        worker_is_draining,
    ],
    tags=["jobs"],
)


@post("/set_progress/{job_id:uuid}", opt=accepts(ProgressBody), status_code=200)
async def set_progress(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID], body: RawBody
) -> Response[bytes]:
    """Say how far a job is."""
    await jobs.set_progress(actor, job_id, decode(body, ProgressBody).percent)
    return json_bytes("null")


@get("/get_progress/{job_id:uuid}", opt=answers(int | None))
async def get_progress(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """How far a job is, in percent."""
    return json_of(await jobs.get_percent(actor, job_id))


metrics_router = Router("/job_metrics", route_handlers=[set_progress, get_progress], tags=["jobs"])


@get("/jobs/db_clock")
async def database_clock(jobs: NamedDependency[Jobs]) -> Response[bytes]:
    """Milliseconds since 1970, by the database."""
    return json_of(await jobs.database_clock())
