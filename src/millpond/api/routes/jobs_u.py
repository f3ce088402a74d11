"""`/w/{workspace}/jobs_u`: reading and cancelling one job."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import decode, json_bytes, json_of, text
from millpond.api.event_streams import Updates, poll, stream_of
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Actor
from millpond.model.jobs import Job, JobResultMaybe, JobTiming, JobUpdate
from millpond.services.cancellations import Cancellations
from millpond.services.flow_views import FlowViews
from millpond.services.jobs import JobCursor, Jobs

AnyRequest = Request[Any, Any, Any]


class CancelBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a cancellation; all of it may be left out."""

    reason: str | None = None


@get("/get/{job_id:uuid}", opt=answers(Job))
async def get_job(
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    flow_views: NamedDependency[FlowViews],
    job_id: FromPath[UUID],
    no_logs: FromQuery[bool] = False,
    no_code: FromQuery[bool] = False,
) -> Response[bytes]:
    """One job."""
    job = await flow_views.described(actor, await jobs.get(actor, job_id, no_logs=no_logs, no_code=no_code))
    return json_of(msgspec.structs.replace(job, raw_flow=msgspec.UNSET) if no_code else job)


@get("/completed/get/{job_id:uuid}", opt=answers(Job))
async def get_completed(
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    flow_views: NamedDependency[FlowViews],
    job_id: FromPath[UUID],
) -> Response[bytes]:
    """One job that has ended."""
    return json_of(await flow_views.described(actor, await jobs.get_completed(actor, job_id)))


@get("/get_flow_debug_info/{flow_job:uuid}", opt=answers(dict[str, Job]))
async def get_flow_debug_info(
    actor: NamedDependency[Actor], flow_views: NamedDependency[FlowViews], flow_job: FromPath[UUID]
) -> Response[bytes]:
    """The latest job of each step of a flow, by the step's id."""
    return json_of(await flow_views.debug_info(actor, flow_job))


@get("/get_flow_all_logs/{flow_job:uuid}")
async def get_flow_all_logs(
    actor: NamedDependency[Actor], flow_views: NamedDependency[FlowViews], flow_job: FromPath[UUID]
) -> Response[str]:
    """What all steps of a flow printed, at any depth."""
    return text(await flow_views.all_logs(actor, flow_job))


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
    flow_views: NamedDependency[FlowViews],
    job_id: FromPath[UUID],
    running: FromQuery[bool] = False,
    log_offset: FromQuery[int] = 0,
    stream_offset: FromQuery[int] = 0,
    get_progress: FromQuery[bool] = False,
    no_logs: FromQuery[bool] = False,
) -> Response[bytes]:
    """What changed since the offsets; held back a little while nothing does."""
    cursor = _cursor(running, log_offset, stream_offset, get_progress, no_logs)
    return json_of(await poll(Updates(jobs, flow_views, actor, job_id), cursor))


@get("/getupdate_sse/{job_id:uuid}")
async def get_update_stream(
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    flow_views: NamedDependency[FlowViews],
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
    return stream_of(Updates(jobs, flow_views, actor, job_id), cursor, only_result=only_result)


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


router = Router(
    "/jobs_u",
    route_handlers=[
        get_job,
        get_completed,
        get_flow_all_logs,
        get_flow_debug_info,
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
